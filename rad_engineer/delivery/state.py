"""Is what earlier runs have left in order: locks, run directories, how much there is of it."""

import fcntl
import os
import time
from pathlib import Path

from rad_engineer import compaction, locks, past_run, store
from rad_engineer.core.printable import several
from rad_engineer.delivery.finding import Fix, Seen, failed, passed, quoted, skipped, warned
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError

_OLD, _KEEP = 7 * 86400.0, 3  # as `compact` has it
_MANY_RUNS = 50
_MUCH = 5 * 1024**3
_DAMAGED = "damaged"


def no_locks(scene: Scene) -> Seen:
    """No lock of a killed run lies in the way of landing, and the lock of runs can be taken here at all."""
    if scene.place is None:
        return skipped("there is no place for runs", because=scene.in_the_way)
    working = _working(scene)
    if working:
        return passed(working)
    why = _unlockable(scene.home)
    if why:
        return failed(f"{scene.home}: {why}", advice="keep the repository on a file system that has locks")
    stale = stale_locks(scene)
    if stale:
        return failed(f"left by a killed run: {', '.join(map(str, stale))}", Fix(f"rm -f -- {quoted(stale)}"),
                      "nothing lands on a branch that is locked")  # fmt: skip
    return passed("none is held")


def stale_locks(scene: Scene) -> list[Path]:
    """Locks of our refs, while nobody works here who could hold them."""
    if isinstance(scene.repository, RadError):
        return []
    refs = scene.repository.common_dir / "refs"
    return sorted(
        path for folder in (refs / "heads" / "rad", refs / "rad") for path in folder.rglob("*.lock")
    )


def _working(scene: Scene) -> str:
    """Who holds the lock of the repository now; empty when nobody does."""
    path = scene.place.lock if scene.place is not None else None
    if path is None or not path.exists():
        return ""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = locks.holder(path)
            return f"process {owner.get('pid', '?')} works here now"
        except OSError:
            return ""
    return ""


def _unlockable(home: Path) -> str:
    """Why files cannot be locked here; tried with a folder, which changes nothing."""
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return ""
    except OSError as error:
        return f"files cannot be locked: {error.strerror}"
    else:
        return ""
    finally:
        os.close(handle)


def runs(scene: Scene) -> Seen:
    """Every run here can be read."""
    unfinished, bad, total = 0, [], 0
    for rundir in store.runs(scene.home):
        total += 1
        try:
            rundir.read_run()
            unfinished += store.load(rundir).state != "finished"
        except RadError as error:
            bad.append((rundir, error))
    if not bad:
        more = f", {unfinished} unfinished: `rad-engineer resume`" if unfinished else ""
        return passed(f"{several(total, 'run')}{more}")
    aside = scene.home / ".rad-engineer" / _DAMAGED
    moves = quoted([rundir.path for rundir, _ in bad])
    return failed("; ".join(f"{rundir.run}: {error}" for rundir, error in bad),
                  Fix(f"mkdir -p {quoted([aside])} && mv -- {moves} {quoted([aside])}/"),
                  "what has landed is in git; the command puts the records aside and removes nothing")  # fmt: skip


def growth(scene: Scene) -> Seen:
    """How much old runs take, of which `compact` would remove a part."""
    if scene.place is None:
        return skipped("there is no place for runs", because=scene.in_the_way)
    folders = past_run.folders(scene.place)
    plan = compaction.plan(folders, scene.place, max_age=_OLD, keep=_KEEP, now=time.time())
    going = several(len(plan.going), "old run")
    evidence = f"{several(len(folders), 'run')}; `compact` would remove {going}, {plan.size / 1024**2:.0f} MB"
    if len(plan.going) > _MANY_RUNS or plan.size > _MUCH:
        return warned(evidence, Fix("rad-engineer compact"))
    return passed(evidence)
