"""What a deployment looks like from outside: its addresses, its parts, its health, its history."""

import time
from typing import Any

from rad_engineer.delivery import deploy_health, deploy_record
from rad_engineer.delivery.deploy_engine import Engine
from rad_engineer.delivery.deploy_parts import Parts
from rad_engineer.delivery.deploy_record import Place, Record
from rad_engineer.errors import NoInput

_LINES = 200
_ENTRIES = 10


def urls(where: Place, record: Record) -> list[str]:
    """What a person needs next; only addresses at which something answers."""
    root = f"http://127.0.0.1:{record.port}"
    lines = ["Local deployment complete!", "Dashboard: SKIP: there is none yet", f"API: {root}/api/runs",
             f"Metrics: {root}/metrics"]  # fmt: skip
    if record.prometheus_port:
        lines.append(f"Prometheus: http://127.0.0.1:{record.prometheus_port}")
    return [*lines, f"Health: {root}/health", f"Token: in {where.token}"]


def look(engine: Engine, where: Place) -> dict[str, Any]:
    """All of it as one document; raises NoInput where there is no deployment."""
    record = _record(where)
    parts = Parts(engine, where)
    health, ready = (deploy_health.ask(record.port, path) for path in ("/health", "/ready"))
    return {
        "schema_version": 1,
        "name": where.name,
        "engine": str(engine),
        "healthy": health.ok and ready.ok,
        "health": health.status,
        "ready": ready.status,
        "url": f"http://127.0.0.1:{record.port}",
        "generation": record.current and record.current.number,
        "image": record.current and record.current.image,
        "volume": record.current and record.current.volume,
        "previous": record.previous and record.previous.number,
        "containers": parts.states(),
        "history": deploy_record.history(where),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The document for people."""
    health, ready = (
        "yes" if found[name] == 200 else f"no ({found[name] or 'no answer'})" for name in ("health", "ready")
    )
    told = [
        f"{found['name']} on {found['engine']}",
        f"  {found['url']}  healthy: {health}  ready: {ready}",
        f"  generation {found['generation']}, {found['image']}, volume {found['volume']}",
    ]
    for row in found["containers"]:
        part = f"{row['part']} {row['generation']}".strip()
        told.append(f"  {part:12} {row['state']:10} {row['health']:10} {row['container']}")
    told += ["history:"] if found["history"] else []
    for entry in found["history"][-_ENTRIES:]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
        what = f"{entry['what']} {entry.get('generation', '')}".strip()
        told.append(f"  {when}  {what:12} {entry.get('outcome', '')}")
    return told


def log(engine: Engine, where: Place) -> list[str]:
    """The end of what the current generation has printed."""
    record = _record(where)
    return [] if record.current is None else Parts(engine, where).log(record.current, _LINES)


def _record(where: Place) -> Record:
    record = deploy_record.read(where)
    if record is None:
        raise NoInput("nothing is deployed from this project", hint="rad-engineer deploy local")
    return record
