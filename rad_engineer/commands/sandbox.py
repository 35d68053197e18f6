"""sandbox: what is enforced on this machine, found out by trying; a command run as those of agents are."""

import os
import sys
from collections.abc import Mapping, Sequence
from json import dumps

from rad_engineer import settings, trust
from rad_engineer.core.printable import one_line
from rad_engineer.errors import ExitCode, RadError
from rad_engineer.launch import gate_plan, ground, sandboxed
from rad_engineer.launch.trials import HARMS, Report
from rad_engineer.launch.trials import report as tried
from rad_engineer.sandbox import LEVELS, Wanted, choose

_WORDS = {"held": "yes", "open": "no", "unknown": "?"}


def report(*, json: bool) -> int:
    """Prints for each defence and level whether it held; 78 when no level works here."""
    told = tried()
    try:
        auto, why = str(choose("auto").level), ""
    except RadError as error:
        auto, why = "", str(error)
    if json:
        print(dumps(_document(told, auto), indent=2))
    else:
        _print(told)
        print(f"\n--sandbox auto takes {auto}" if auto else f"\n{why}")
    return ExitCode.OK if auto else ExitCode.BAD_CONFIG


def run(*, command: Sequence[str], stage: str, level: Wanted, flags: Mapping[str, object]) -> int:
    """Runs a command on a copy of the project; its exit code is ours. Where what it wrote lies is told on stderr."""
    place = ground.look(os.environ)
    found = settings.with_flags(place.settings, flags)
    trust.require(
        place.id, list(gate_plan.of_the_sandbox(found)), yes=found.yes, stdin=sys.stdin, stderr=sys.stderr
    )
    chosen = choose(level)
    print(f"{chosen.told}; as {stage}, on a copy of {one_line(str(place.top))}", file=sys.stderr)
    sys.stdout.flush()
    ended = sandboxed.run(place, chosen.level, stage, command, _through)
    if ended.reason != "exited":
        how = "it was denied a host" if ended.reason == "cancelled" else ended.reason
        print(f"rad-engineer: it was ended: {how}", file=sys.stderr)
    for why in ended.denied:
        print(f"rad-engineer: {one_line(why)}", file=sys.stderr)
    if ended.copy is None:
        print("rad-engineer: it has written nothing in the copy, which is gone", file=sys.stderr)
    else:
        names = ", ".join(map(one_line, ended.changed[:10]))
        more = f" and {len(ended.changed) - 10} more" if len(ended.changed) > 10 else ""
        print(
            f"rad-engineer: written: {names}{more}\nin {one_line(str(ended.copy))}; your files are as they were",
            file=sys.stderr,
        )
    return ended.code


def _through(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print(told: Report) -> None:
    levels = [level for level in LEVELS if level not in told.unusable]
    width = max(len(harm.defence) for harm in HARMS)
    print("  ".join([f"{'enforced':{width}}", *(f"{level:10}" for level in levels), "tried by"]))
    for harm in HARMS:
        found = told.found[harm.defence]
        cells = [f"{_WORDS[found[level]]:10}" for level in levels]
        print("  ".join([f"{harm.defence:{width}}", *cells, harm.how]))
    for level, reason in told.unusable.items():
        print(f"{level} does not work here: {reason}")
    print("?: not shown: it does not succeed without a sandbox either, or was not tried without one")


def _document(told: Report, auto: str) -> dict[str, object]:
    rows = [
        {
            "defence": harm.defence,
            "tried": harm.how,
            "level": level,
            "enforced": {"held": True, "open": False}.get(found),
        }
        for harm in HARMS
        for level, found in told.found[harm.defence].items()
    ]
    return {"schema_version": 1, "auto": auto or None, "unusable": told.unusable, "checks": rows}
