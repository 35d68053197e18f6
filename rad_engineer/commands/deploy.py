"""deploy: the service in containers of this machine, or as manifests for a cluster."""

import os
import sys
from json import dumps
from pathlib import Path

from rad_engineer import trust
from rad_engineer.core.printable import plain
from rad_engineer.delivery import deploy_engine, deploy_kubernetes, deploy_local, deploy_stage, deploy_status
from rad_engineer.errors import ExitCode, Refused, UsageError
from rad_engineer.launch import gate_plan, ground, records


def local(  # noqa: PLR0913 -- as many as the command has options
    *,
    status: bool,
    down: bool,
    purge: bool,
    rollback: bool,
    logs: bool,
    no_build: bool,
    port: int | None,
    prometheus: bool,
    port_prometheus: int | None,
    prometheus_image: str,
    base: str | None,
    engine: str | None,
    timeout: float,
    yes: bool,
    json: bool,
) -> int:
    """Deploys, or does the one other thing that was asked for."""
    if status + down + rollback + logs > 1 or (purge and not down):
        raise UsageError("one of --status, --down [--purge], --rollback, --logs", hint="deploy local --help")
    found = ground.look(os.environ)
    where = deploy_local.place(found.top, found.home, found.id, os.environ)
    chosen = deploy_engine.detect(os.environ, engine or "")
    if status:
        return _status(chosen, where, json=json)
    if logs:
        print("\n".join(map(plain, deploy_status.log(chosen, where))))
        return ExitCode.OK
    _tell(f"→ Detecting {chosen.name}... found ({chosen})")
    with deploy_local.locked(where):
        if down:
            return _down(chosen, where, purge=purge, yes=yes)
        if rollback:
            record = deploy_local.rollback(chosen, where, timeout, _tell)
        else:
            beside = port_prometheus if port_prometheus is not None else 0 if prometheus else None
            wanted = deploy_local.Wanted(not no_build, base, port, beside, prometheus_image, timeout)
            record = deploy_local.up(chosen, where, wanted, _tell, os.environ)
    _tell("")
    print("\n".join(deploy_status.urls(where, record)))
    return ExitCode.OK


def run(*, run: str | None, execute: bool, again: bool, yes: bool) -> int:
    """Deploys the end of a run, or says what would be done."""
    place = ground.look(os.environ)
    one = deploy_stage.due(place, run)
    if execute:
        records.require_own(place, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
        commands = gate_plan.of_the_deployment(place.settings)
        trust.require(place.id, commands, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
    return int(deploy_stage.carry_out(one, _tell, execute=execute, again=again))


def kubernetes(*, image: str, name: str, out: str | None) -> int:
    """Prints the manifests, or writes each into a folder."""
    files = deploy_kubernetes.manifests(name, image)
    if out is None:
        print("---\n".join(files.values()), end="")
        return ExitCode.OK
    written = deploy_kubernetes.write(Path(out), files)
    _tell(deploy_kubernetes.secret_hint(name))
    print("\n".join(map(str, written)))
    return ExitCode.OK


def _status(engine: deploy_engine.Engine, where: deploy_local.Place, *, json: bool) -> int:
    found = deploy_status.look(engine, where)
    print(dumps(found, indent=2) if json else "\n".join(map(plain, deploy_status.lines(found))))
    return ExitCode.OK if found["healthy"] else ExitCode.FAILED


def _down(engine: deploy_engine.Engine, where: deploy_local.Place, *, purge: bool, yes: bool) -> int:
    if purge and not yes:
        _tell(f"This removes the volumes, the token and the history of {where.name}.")
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Refused("nobody can be asked whether to remove them", hint="add --yes")
        sys.stderr.write("Remove them? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Refused("nothing was removed")
    removed = deploy_local.down(engine, where, purge=purge)
    print("removed: " + ", ".join(f"{count} {what}" for what, count in removed.items()))
    return ExitCode.OK


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
