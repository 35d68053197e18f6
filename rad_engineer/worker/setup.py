"""Setup commands: what a working copy needs before anything runs in it (node_modules, a venv).

They run again only when the command or a manifest of that copy has changed: the key covers every manifest,
because a lock file alone does not say what a `postinstall` does. What they made stays between moves; it is never
staged, and is thrown away with the key it was made for. A story that left the manifests as they are gets what the
branch's own scripts make, never its own: those would judge every story after it. And what setup made is looked at
before each use, because agents and tests can write to it.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable, process
from rad_engineer.sandbox import Box

_MANIFESTS = frozenset(
    [
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "pnpm-workspace.yaml",
        "bun.lock",
        "bun.lockb",
        ".npmrc",
        ".yarnrc",
        ".yarnrc.yml",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "poetry.lock",
        "uv.lock",
        "Pipfile",
        "Pipfile.lock",
        "Cargo.toml",
        "Cargo.lock",
        "go.mod",
        "go.sum",
        "Gemfile",
        "Gemfile.lock",
        "composer.json",
        "composer.lock",
        "Makefile",
        "justfile",
        "build.gradle",
        "settings.gradle",
        "pom.xml",
        "mix.exs",
        "mix.lock",
    ]
)
_RECORD = "rad-setup.json"
_DEPTH = 3
_SKIPPED = frozenset({".git", "node_modules", ".venv", "venv", "target", "dist", "build", "__pycache__"})

_Stamp = list[int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What setup left in a copy: top-level paths, and the key they were made for."""

    key: str = ""
    paths: tuple[str, ...] = ()


def kept(git_dir: Path) -> Kept:
    """What setup made in the copy that belongs to this trusted git directory."""
    try:
        data = json.loads((git_dir / _RECORD).read_bytes())
        return Kept(data["key"], tuple(data["paths"]))
    except (FileNotFoundError, ValueError, KeyError):
        return Kept()


def key(
    command: str, top: Path, env: Mapping[str, str], made: Collection[str] = (), sandbox: str = "off"
) -> str:
    """Names what the outputs of setup depend on: command, where it ran, search path, manifests but those it made."""
    seen = hashlib.sha256(f"{command}\0{sandbox}\0{env.get('PATH', '')}\0".encode())
    for path in sorted(_manifests(top)):
        if path.split("/", 1)[0] in made:
            continue
        seen.update(path.encode("utf-8", "surrogateescape") + b"\0")
        seen.update(hashlib.sha256((top / path).read_bytes()).digest())
    return seen.hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Copy:
    """A working copy to set up, and how to look at it."""

    path: Path
    git_dir: Path
    log: Path
    untracked: Callable[[], tuple[str, ...]]  # top-level paths that no commit holds
    changed: Callable[[], Sequence[str]]  # paths in which the target's tree differs from its head
    move: Callable[[str, tuple[str, ...]], None]  # to a commit or tree, with paths that stay
    remove: Callable[[Path], None]
    box: Callable[[], AbstractContextManager[Box]]  # where its command runs
    sandbox: str = "off"  # what it makes in one is not for another: it was made under another name


@dataclass(frozen=True, slots=True)
class Target:
    """What a copy is set up for: a tree, and the commit it stands on, whose scripts are trusted."""

    tree: str
    head: str


def run(
    command: str, copy: Copy, target: Target, env: Mapping[str, str], seconds: float, cancel: int
) -> process.Completed | None:
    """Makes sure of what setup makes; None where nothing was to do. The copy stands on the tree, before and after."""
    wanted, source = _wanted(command, copy, target, env)
    if kept(copy.git_dir).key == wanted and _whole(copy):
        return None
    _forget(copy.git_dir)
    copy.move(source, ())
    ended = _make(command, copy, env, seconds, cancel, wanted)
    if source != target.tree:
        copy.move(target.tree, kept(copy.git_dir).paths)
    return ended


def told(ended: process.Completed) -> str:
    """How a command ended that did not end well. Who cancels a run hears nothing of it: else, it was a denial."""
    if ended.reason == "cancelled":
        return "ended, as it was denied a host"
    return f"exit code {ended.code}" if ended.reason == "exited" else ended.reason


def _wanted(command: str, copy: Copy, target: Target, env: Mapping[str, str]) -> tuple[str, str]:
    """The key of what is needed, and where it is made: from the head's scripts where the manifests are the head's."""
    found = _key(command, copy, env)
    if any(_is_manifest(path) for path in copy.changed()):
        return f"{found}-{target.tree}", target.tree
    return found, target.head


def _key(command: str, copy: Copy, env: Mapping[str, str]) -> str:
    """A lock file that setup itself wrote names nothing: it stands in no tree."""
    stay = kept(copy.git_dir).paths
    return key(
        command, copy.path, env, set(stay).intersection(copy.untracked()) if stay else (), copy.sandbox
    )


def _make(
    command: str, copy: Copy, env: Mapping[str, str], seconds: float, cancel: int, wanted: str
) -> process.Completed:
    before = set(copy.untracked())
    with copy.box() as box:
        ended = box.run(
            process.shell(command),
            cwd=copy.path,
            env={**env, "CI": "true"},
            log=copy.log,
            limits=process.Limits(seconds=seconds),
            cancel=cancel,
        )
    if ended.reason == "exited" and ended.code == 0:
        made = sorted(set(copy.untracked()) - before)
        entries = dict(_entries(copy.path, made))
        durable.replace(
            copy.git_dir / _RECORD, durable.dump({"key": wanted, "paths": made, "entries": entries})
        )
    return ended


def _entries(
    top: Path, paths: Sequence[str], known: Mapping[str, _Stamp] | None = None
) -> Iterator[tuple[str, _Stamp]]:
    """Everything below these paths; folders that are not known are not looked into."""
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        try:
            about = os.lstat(top / path)
        except FileNotFoundError:
            continue
        is_folder = stat.S_ISDIR(about.st_mode)
        yield path, _stamp(about, is_folder=is_folder)
        if is_folder and (known is None or path in known):
            with os.scandir(top / path) as inside:
                waiting += [f"{path}/{entry.name}" for entry in inside]


def _stamp(about: os.stat_result, *, is_folder: bool) -> _Stamp:
    """Changes with every write, and nobody can turn it back, save for files that have other names elsewhere."""
    if is_folder:
        return [about.st_mode]
    changed = about.st_ctime_ns if about.st_nlink == 1 else 0
    return [about.st_mode, about.st_ino, about.st_size, about.st_mtime_ns, changed]


def _whole(copy: Copy) -> bool:
    """Whether all that setup made is as it was; what somebody has put beside it is taken away."""
    try:
        data = json.loads((copy.git_dir / _RECORD).read_bytes())
        known: dict[str, _Stamp] = data["entries"]
        found = dict(_entries(copy.path, data["paths"], known))
        for path in found.keys() - known.keys():
            copy.remove(copy.path / path)
    except (OSError, ValueError, KeyError):
        return False
    return all(found.get(path) == stamp for path, stamp in known.items())


def _forget(git_dir: Path) -> None:
    (git_dir / _RECORD).unlink(missing_ok=True)


def _is_manifest(path: str) -> bool:
    *folders, name = path.split("/")
    named = name in _MANIFESTS or name.startswith("requirements")
    return named and len(folders) <= _DEPTH and _SKIPPED.isdisjoint(folders)


def _manifests(top: Path) -> Iterator[str]:
    for folder, names, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        names[:] = [name for name in names if name not in _SKIPPED and depth < _DEPTH]
        for name in files:
            path = os.path.normpath(f"{inside}/{name}")
            full = top / path
            if _is_manifest(path) and full.is_file() and not full.is_symlink():
                yield path
