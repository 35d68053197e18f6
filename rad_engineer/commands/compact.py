"""compact: removes old runs; never an unfinished one, never a commit that no branch holds, never anything elsewhere."""

import contextlib
import os
import time
from dataclasses import asdict
from json import dumps

from rad_engineer import compaction, locks, logs, past_run
from rad_engineer.core.printable import several
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground
from rad_engineer.process import tree as process_tree


def compact(
    *,
    max_age: float = 604_800.0,
    keep: int = 3,
    dry_run: bool = False,
    json: bool = False,
    now: float | None = None,
) -> int:
    """Removes runs that ended more than `max_age` seconds ago, save the newest `keep`."""
    place = ground.look(os.environ)
    aside = (
        contextlib.nullcontext()
        if dry_run or not place.lock.parent.is_dir()
        else locks.acquire(place.lock, 0.0, process_tree.describe_self("compact"))
    )
    with aside:
        runs = past_run.folders(place)
        when = time.time() if now is None else now
        plan = compaction.plan(runs, place, max_age=max_age, keep=keep, now=when)
        if not dry_run and (plan.going or plan.leftovers):
            logs.start(place.home / ".rad-engineer" / "compact.log", run="")
            compaction.carry_out(plan, place)
            logs.stop()
    if json:
        document = {"schema_version": 1, "dry_run": dry_run, "bytes": plan.size, **_lists(plan)}
        print(dumps(document, indent=2))
        return ExitCode.OK
    would = "would be " if dry_run else ""
    for step in plan.going:
        what = (
            f"{would}slimmed to its journal: it is the only record of finished stories"
            if step.slim
            else f"{would}removed"
        )
        print(
            f"{step.run}: {what}, {_size(step.size)}"
            + (f", {several(len(step.refs), 'ref')}" if step.refs else "")
        )
    for path in plan.leftovers:
        print(f"{path}: {would}removed, left over from a run that is gone")
    for run, why in plan.kept:
        print(f"{run}: kept, {why}")
    print(f"{_size(plan.size)} {'would be ' if dry_run else ''}freed")
    return ExitCode.OK


def _lists(plan: compaction.Plan) -> dict[str, object]:
    return {
        "removed": [{**asdict(step), "refs": list(step.refs)} for step in plan.going],
        "leftovers": [str(path) for path in plan.leftovers],
        "kept": [{"run": run, "why": why} for run, why in plan.kept],
    }


def _size(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
