"""One command in a sandbox, on a copy of the project as it stands: what an agent, a gate or setup would meet."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable, gates, process, sandbox, settings, store
from rad_engineer.gates import Baseline, Gate
from rad_engineer.git import command as git_command
from rad_engineer.launch import gate_plan
from rad_engineer.launch.ground import Ground
from rad_engineer.rules import Level, Rules
from rad_engineer.sandbox import Grants, Mount, Place
from rad_engineer.worker import boxes, ways
from rad_engineer.worker import setup as worker_setup
from rad_engineer.worker.workplace import Workplace, child_environment, gate_environment, judging_environment

_REACHES = {"agent": "network", "gate": "gate_network", "setup": "setup_network"}
_OWN = frozenset({".git", ".rad-engineer"})


@dataclass(frozen=True, slots=True)
class Tried:
    """How it ended, what differs now, and where that lies; nowhere, when nothing does."""

    code: int
    reason: str
    changed: tuple[str, ...]
    copy: Path | None
    denied: tuple[str, ...]


def run(
    ground: Ground, level: Level, stage: str, argv: Sequence[str], on_data: Callable[[bytes], None]
) -> Tried:
    """Copies what git would add, runs the command there, and keeps the copy when it was changed."""
    folder, copy, place = _copied(ground, level)
    user = place.user
    owner = sandbox.owner() if level != "off" else None
    before = dict(_stamps(copy))
    asked = ways.Asked(lambda _: None, stage)
    env = (
        user
        if level == "off"
        else sandbox.environment(user, {name: user[name] for name in place.rules.variables if name in user})
    )
    read = Grants(read=_readable(ground.settings))
    with ways.ended_by_a_denial() as (until, denied):
        grants = ways.with_network(place, read, _REACHES[stage], asked.hear, denied=denied)
        limits = process.Limits(until=until if stage == "setup" else None)
        with sandbox.open_box(level, Place(copy, boxes.inner(place), owner=owner), grants) as box:
            ended = box.run(argv, cwd=copy, env=env, limits=limits, on_data=on_data)
    after = dict(_stamps(copy))
    changed = tuple(
        sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    )
    if not changed:
        shutil.rmtree(folder, ignore_errors=True)
    code = 128 if ended.code is None else ended.code
    return Tried(code, ended.reason, changed, copy if changed else None, tuple(asked.denied))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a gate says of the project as it stands; `why` where it is not green."""

    gate: Gate
    green: bool
    seconds: float
    tests: int | None
    why: str = ""


def judge(
    ground: Ground, level: Level, wanted: Sequence[Gate], begins: Callable[[Gate], None]
) -> Iterator[Judged]:
    """Runs gates once on a copy of what git would add, prepared by the setup command where one is set.

    Each is told of when it begins. All of them in one copy, one after the other; none gets the network, and the copy is gone afterwards.
    """
    folder, copy, place = _copied(ground, level)
    setup = ground.settings.setup
    try:
        before = set(os.listdir(copy))  # noqa: PTH208 - names
        failed = _set_up(place, copy, setup) if setup else ""
        made = tuple(set(os.listdir(copy)) - before)  # noqa: PTH208
        for gate in wanted:
            if failed:
                yield Judged(gate, green=False, seconds=0.0, tests=None, why=failed)
                continue
            begins(gate)
            asked, begun = ways.Asked(lambda _: None, gate.name), time.monotonic()
            with boxes.for_gates(place, boxes.Judged(copy, made=made), asked) as (box, scratch):
                said = gates.baseline(
                    gate, box=box, cwd=copy, env=judging_environment(place, copy), scratch=scratch,
                    limits=process.Limits(seconds=ground.settings.gate_timeout), log=folder / "gate.log",
                )  # fmt: skip
            why = "" if said.green else _why(said, asked, folder / "gate.log")
            yield Judged(gate, said.green, round(time.monotonic() - begun, 1), said.count or None, why)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _why(said: Baseline, asked: ways.Asked, log: Path) -> str:
    if said.broken or said.reason != "exited":
        return said.detail or said.reason
    printed = log.read_bytes().decode("utf-8", "replace") if log.exists() else ""
    told = gates.telling_line(printed)
    failed = f"{said.failures[0]} and {len(said.failures) - 1} more" if len(said.failures) > 1 else ""
    parts = (
        f"exit code {said.exit_code}" if said.exit_code else "",
        failed or told or said.detail,
        *asked.denied[:1],
    )
    return "; ".join(part for part in parts if part)


def _set_up(place: Workplace, copy: Path, command: str) -> str:
    """Runs the setup command; what went wrong, or nothing."""
    asked = ways.Asked(lambda _: None, "setup")
    with boxes.for_setup(place, copy, asked) as box:
        ended = box.run(
            process.shell(command),
            cwd=copy,
            env={**gate_environment(place.environment), "CI": "true"},
            limits=process.Limits(seconds=place.rules.gate_timeout),
        )
    if ended.reason == "exited" and ended.code == 0:
        return ""
    how = worker_setup.told(ended)
    return "; ".join(
        filter(None, (f"setup failed: {how}", gates.telling_line(ended.output), *asked.denied[:1]))
    )


def _copied(ground: Ground, level: Level) -> tuple[Path, Path, Workplace]:
    """A folder of ours, a copy of the project in it, and that as a place where commands can be run."""
    top = ground.cache / "sandbox-run"
    with durable.writing(top, of_run=False):
        top.mkdir(parents=True, exist_ok=True)
        if ground.cache.stat().st_mode & 0o067:
            ground.cache.chmod(0o700)
        if level == "landlock":
            sandbox.admit(ground.cache)
        folder = Path(tempfile.mkdtemp(dir=top))
        folder.chmod(0o711)
        copy = folder / ground.top.name
        _fill(ground, copy)
    rules = Rules(
        run=folder.name, kind="real", workspace="shared", branch=None, base=None, agent="", agent_command="",
        setup=ground.settings.setup, **gate_plan.place(ground),
        **gate_plan.walls(ground.settings, level),
    )  # fmt: skip
    user = child_environment(rules.run)
    confined = sandbox.environment(user, {name: user[name] for name in rules.variables if name in user})
    place = Workplace(store.RunDir(folder), rules, user if level == "off" else confined, user)
    sandbox.hand_over(copy, sandbox.owner() if level != "off" else None)
    return folder, copy, place


def _fill(ground: Ground, copy: Path) -> None:
    """Files that git knows or would add; without git all but our own folder."""
    if ground.repository is None:
        shutil.copytree(ground.top, copy, symlinks=True, ignore=_left_out)
        return
    listed = git_command.run(
        ground.repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    )
    copy.mkdir()
    for path in dict.fromkeys(os.fsdecode(name) for name in listed.split(b"\0") if name):
        source, target = ground.top / path, copy / path
        if Path(path).parts[0] not in _OWN and (source.is_symlink() or source.is_file()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Our own folders, and what is neither a file nor a folder nor a link: git would not add it either."""
    paths = ((name, Path(folder, name)) for name in names)
    odd = (name for name, path in paths if not (path.is_symlink() or path.is_file() or path.is_dir()))
    return {*_OWN.intersection(names), *odd}


def _stamps(top: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for folder, folders, files in os.walk(top):
        for name in (*files, *(each for each in folders if Path(folder, each).is_symlink())):
            path = Path(folder, name)
            about = path.lstat()
            yield str(path.relative_to(top)), (about.st_mode, about.st_size, about.st_ctime_ns)


def _readable(wanted: settings.Settings) -> tuple[Mount, ...]:
    paths = (Path(name).expanduser().absolute() for name in wanted.readable)
    return tuple(Mount(path, str(path)) for path in paths)
