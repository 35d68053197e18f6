"""One command in a sandbox, on a copy of the project as it stands: what an agent, a gate or setup would meet."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable, sandbox, settings, store
from rad_engineer.git import command as git_command
from rad_engineer.launch import gate_plan
from rad_engineer.launch.ground import Ground
from rad_engineer.rules import Level, Rules
from rad_engineer.sandbox import Grants, Mount, Place
from rad_engineer.worker import boxes, ways
from rad_engineer.worker.workplace import Workplace, child_environment

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
    top = ground.cache / "sandbox-run"
    with durable.writing(top):
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
        **gate_plan.place(ground), **gate_plan.walls(ground.settings, level),
    )  # fmt: skip
    user = child_environment(rules.run)
    place = Workplace(store.RunDir(folder), rules, user, user)
    owner = sandbox.owner() if level != "off" else None
    sandbox.hand_over(copy, owner)
    before = dict(_stamps(copy))
    asked = ways.Asked(lambda _: None, stage)
    grants = ways.with_network(place, Grants(read=_readable(ground.settings)), _REACHES[stage], asked.hear)
    env = (
        user
        if level == "off"
        else sandbox.environment(user, {name: user[name] for name in rules.variables if name in user})
    )
    with sandbox.open_box(level, Place(copy, boxes.inner(place), owner=owner), grants) as box:
        ended = box.run(argv, cwd=copy, env=env, on_data=on_data)
    after = dict(_stamps(copy))
    changed = tuple(
        sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    )
    if not changed:
        shutil.rmtree(folder, ignore_errors=True)
    code = 128 if ended.code is None else ended.code
    return Tried(code, ended.reason, changed, copy if changed else None, tuple(asked.denied))


def _fill(ground: Ground, copy: Path) -> None:
    """Files that git knows or would add; without git all but our own folder."""
    if ground.repository is None:
        shutil.copytree(ground.top, copy, symlinks=True, ignore=lambda _, names: _OWN.intersection(names))
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


def _stamps(top: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for folder, folders, files in os.walk(top):
        for name in (*files, *(each for each in folders if Path(folder, each).is_symlink())):
            path = Path(folder, name)
            about = path.lstat()
            yield str(path.relative_to(top)), (about.st_mode, about.st_size, about.st_ctime_ns)


def _readable(wanted: settings.Settings) -> tuple[Mount, ...]:
    paths = (Path(name).expanduser().absolute() for name in wanted.readable)
    return tuple(Mount(path, str(path)) for path in paths)
