"""Setup commands: what a working copy needs before anything runs in it (node_modules, a venv).

They run again only when the command or a manifest of that copy has changed: the key covers every manifest,
because a lock file alone does not say what a `postinstall` does. What they made stays between moves; it is never
staged, and is thrown away with the key it was made for.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable, process

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
_DEPTH = 3
_SKIPPED = frozenset({".git", "node_modules", ".venv", "venv", "target", "dist", "build", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Kept:
    """What setup left in a copy: top-level paths, and the key they were made for."""

    key: str = ""
    paths: tuple[str, ...] = ()


def kept(git_dir: Path) -> Kept:
    """What setup made in the copy that belongs to this trusted git directory."""
    try:
        data = json.loads((git_dir / "rad-setup.json").read_bytes())
        return Kept(data["key"], tuple(data["paths"]))
    except (FileNotFoundError, ValueError, KeyError):
        return Kept()


def key(command: str, top: Path, env: Mapping[str, str]) -> str:
    """Names what the outputs of setup depend on: command, tool search path, every manifest."""
    seen = hashlib.sha256(f"{command}\0{env.get('PATH', '')}\0".encode())
    for path in sorted(_manifests(top)):
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
    clean: Callable[[], None]  # takes away what an earlier setup made


def run(
    command: str, copy: Copy, env: Mapping[str, str], seconds: float, cancel: int
) -> process.Completed | None:
    """Runs the command where it has not run for these manifests; None where nothing was to do."""
    wanted, have = key(command, copy.path, env), kept(copy.git_dir)
    if have.key == wanted:
        return None
    if have.key:
        _forget(copy.git_dir)
        copy.clean()
    before = set(copy.untracked())
    ended = process.run(
        process.shell(command),
        cwd=copy.path,
        env={**env, "CI": "true"},
        log=copy.log,
        limits=process.Limits(seconds=seconds),
        cancel=cancel,
    )
    if ended.reason == "exited" and ended.code == 0:
        made = sorted(set(copy.untracked()) - before)
        durable.replace(copy.git_dir / "rad-setup.json", durable.dump({"key": wanted, "paths": made}))
    return ended


def _forget(git_dir: Path) -> None:
    (git_dir / "rad-setup.json").unlink(missing_ok=True)


def _manifests(top: Path) -> Iterator[str]:
    for folder, names, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        names[:] = [name for name in names if name not in _SKIPPED and depth < _DEPTH]
        for name in files:
            full = Path(folder) / name
            if (
                (name in _MANIFESTS or name.startswith("requirements"))
                and full.is_file()
                and not full.is_symlink()
            ):
                yield os.path.normpath(f"{inside}/{name}")
