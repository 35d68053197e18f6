"""A deployment on this machine: a new generation is started beside the old one, watched, and swapped in.

What is believed is the record; whatever else the engine has of this deployment is left over and is removed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rad_engineer import locks
from rad_engineer.delivery import deploy_health, deploy_image, deploy_parts, deploy_record
from rad_engineer.delivery.deploy_engine import Engine
from rad_engineer.delivery.deploy_parts import Parts
from rad_engineer.delivery.deploy_record import Generation, Place, Record, place
from rad_engineer.errors import NoInput, RadError
from rad_engineer.process import describe_self

__all__ = ["NotHealthy", "Place", "Wanted", "down", "locked", "place", "rollback", "up"]

PATHS = ("/health", "/ready")
_SEEN_WELL = 3  # answers in a row through the door before the old generation goes

Tell = Callable[[str], None]


class NotHealthy(RadError):
    """A candidate did not become healthy; what served before still does."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deployment is asked to be."""

    build: bool = True
    base: str | None = None
    port: int | None = None
    prometheus: int | None = None  # its port, 0 for any; None: none
    prometheus_image: str = ""
    seconds: float = 60.0


@contextmanager
def locked(where: Place) -> Iterator[None]:
    """One deployment of this user is changed at a time: they share images."""
    where.lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.acquire(where.lock, 1.0, describe_self("deploy")):
        yield


def up(engine: Engine, where: Place, asked: Wanted, tell: Tell, env: Mapping[str, str]) -> Record:
    """Brings what serves to the state asked for; raises NotHealthy, with the old generation untouched."""
    deploy_record.token(where)
    record = deploy_record.with_ports(deploy_record.read(where), asked.port, asked.prometheus)
    parts = Parts(engine, where)
    with deploy_parts.step(tell, "Building containers"):
        image = _image(engine, where, asked, env)
    parts.clear_leftovers(record)
    if _is_up_to_date(parts, record, image):
        tell("→ Starting services... running already, with this very image")
        _with_door(parts, record, tell)
    else:
        record = _upgrade(parts, record, image, asked, tell)
    if record.prometheus_port and asked.prometheus is not None:
        with deploy_parts.step(tell, "Starting Prometheus"):
            parts.start_prometheus(record, asked.prometheus_image)
        deploy_record.write(where, record)
    return record


def _image(engine: Engine, where: Place, asked: Wanted, env: Mapping[str, str]) -> str:
    image = deploy_image.planned(engine, asked.base or deploy_image.default_base(), pull=asked.build)
    if not engine.has_image(image.name):
        if not asked.build:
            raise NoInput(f"there is no image {image.name}", hint="build it: leave --no-build out")
        deploy_image.build(engine, image, where.context, env)
    return image.name


def _is_up_to_date(parts: Parts, record: Record, image: str) -> bool:
    if record.current is None or record.current.image != image:
        return False
    port = parts.own_port(record.current)
    return port is not None and deploy_health.ask(port, "/health").ok


def _upgrade(parts: Parts, record: Record, image: str, asked: Wanted, tell: Tell) -> Record:
    """A candidate with a copy of the volume, and the swap when it is well."""
    number = record.last + 1
    candidate = Generation(number, image, f"{parts.place.name}-state-{number}")
    record = replace(record, last=number)
    deploy_record.write(parts.place, record)  # a number is given once, whatever becomes of it
    begun, done = time.monotonic(), False
    try:
        with deploy_parts.step(tell, "Starting services"):
            parts.make_volume(candidate, record.current)
            parts.start(candidate)
        _see_healthy(parts, candidate, record.current, asked.seconds, tell)
        record = _swap(parts, record, candidate, asked.seconds, tell)
        done = True
    finally:
        if not done:
            parts.remove(candidate)
        outcome = "healthy" if done else "failed; the generation before it was left as it was"
        deploy_record.note(parts.place, "deploy", generation=number, image=image, outcome=outcome,
                           seconds=round(time.monotonic() - begun, 1))  # fmt: skip
    return record


def _see_healthy(
    parts: Parts, candidate: Generation, current: Generation | None, seconds: float, tell: Tell
) -> None:
    begun = time.monotonic()
    why = deploy_health.wait(
        lambda: parts.own_port(candidate), PATHS, seconds=seconds, progress=_every(5.0, tell)
    )
    if why:
        said = "".join(f"\n  {line}" for line in parts.log(candidate, 8))
        tell("→ Waiting for health... failed")
        before = (
            "nothing is left of it" if current is None else f"generation {current.number} was not touched"
        )
        raise NotHealthy(
            f"generation {candidate.number} did not become healthy: {why}; {before}{said}",
            hint="`rad-engineer deploy local --status` shows what serves",
        )
    tell(f"→ Waiting for health... healthy after {time.monotonic() - begun:.1f} s")


def _every(seconds: float, tell: Tell) -> Callable[[float, str], None]:
    """Progress, but not at each look."""
    told = 0.0

    def progress(passed: float, why: str) -> None:
        nonlocal told
        if passed - told >= seconds:
            told = passed
            tell(f"  waiting for {passed:.0f} s: {why}")

    return progress


def _swap(parts: Parts, record: Record, chosen: Generation, seconds: float, tell: Tell) -> Record:
    """Sends new connections to the chosen generation; the old one stops last, when that has been seen to work."""
    old = record.current
    others = [] if old is None or old == chosen else [old.number]
    swapped = replace(record, current=chosen, previous=old if others else record.previous)
    swapped = parts.with_door_image(swapped, chosen.image)
    deploy_record.aim(parts.place, chosen.number, *others)
    done = False
    try:
        _with_door(parts, swapped, tell, seconds)
        deploy_record.write(parts.place, swapped)
        done = True
    finally:
        if not done and old is not None:
            deploy_record.aim(parts.place, old.number)
    if others and old is not None:
        parts.stop(old)
        tell(f"→ Stopping generation {old.number}... done")
    deploy_record.aim(parts.place, chosen.number)
    if record.previous is not None and record.previous not in (old, chosen):
        parts.remove(record.previous)
        parts.remove_image(record.previous.image, swapped)
    return swapped


def _with_door(parts: Parts, record: Record, tell: Tell, seconds: float = 30.0) -> None:
    parts.start_door(record)
    why = deploy_health.wait(lambda: record.port, PATHS, seconds=seconds, in_a_row=_SEEN_WELL)
    if why:
        raise NotHealthy(f"the published port {record.port} does not answer well: {why}")
    tell(f"→ Publishing on port {record.port}... done")


def rollback(engine: Engine, where: Place, seconds: float, tell: Tell) -> Record:
    """Swaps the previous generation in again, with its own volume; raises NotHealthy with the current one untouched."""
    record = deploy_record.read(where)
    if record is None or record.previous is None:
        raise NoInput(
            "there is no earlier generation to go back to", hint="see: rad-engineer deploy local --status"
        )
    back, parts = record.previous, Parts(engine, where)
    if not engine.has_image(back.image):
        raise NoInput(f"the image of generation {back.number} is gone: {back.image}",
                      hint="install that version of rad-engineer, then: rad-engineer deploy local")  # fmt: skip
    parts.clear_leftovers(record)
    done = False
    try:
        with deploy_parts.step(tell, f"Starting generation {back.number}"):
            parts.start(back)
        _see_healthy(parts, back, record.current, seconds, tell)
        record = _swap(parts, record, back, seconds, tell)
        done = True
    finally:
        if not done:
            parts.stop(back)
        deploy_record.note(where, "rollback", generation=back.number, image=back.image,
                           outcome="healthy" if done else "failed; the current generation was left as it was")  # fmt: skip
    return record


def down(engine: Engine, where: Place, *, purge: bool) -> dict[str, int]:
    """Removes containers, networks and images, and with `purge` also volumes and the record; says how many of each."""
    removed = Parts(engine, where).remove_all(volumes=purge)
    if where.folder.exists():
        deploy_record.note(where, "down", outcome="volumes removed" if purge else "volumes kept")
        if purge:
            deploy_parts.forget(where)
    return removed
