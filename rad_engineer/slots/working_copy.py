"""One working copy and the trusted git directory beside it: what it stands on, and how it is moved.

Nothing here reads the `.git` inside the copy: whoever works there may have written it.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.git import command as git_command
from rad_engineer.git.command import GitFailed
from rad_engineer.git.objects import alternates
from rad_engineer.git.repository import Repository
from rad_engineer.git.trees import GITLINK, Difference
from rad_engineer.slots.object_store import RunStore, make_git_dir, mark_boot
from rad_engineer.slots.tree_names import Names

TIMEOUT = 300.0
_STATE = "rad-state.json"


@dataclass(frozen=True, slots=True)
class Slot:
    """A working copy, and the git directory outside it that only we use."""

    path: Path
    git_dir: Path


@dataclass(frozen=True, slots=True)
class State:
    """What a copy stands on (a commit or tree; None in between), and what lies in it besides."""

    at: str | None = None
    keep: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()


def read_state(slot: Slot) -> State:
    """What was written down when the copy was last moved."""
    try:
        data = json.loads((slot.git_dir / _STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return State()
    return State(data["at"], tuple(data["keep"]), tuple(data["copied"]))


def last_moved(slot: Slot) -> str:
    """Names what was written down then: no other move has the same name. Empty where there is nothing."""
    try:
        found = os.stat(slot.git_dir / _STATE)  # noqa: PTH116 - no Path made
    except FileNotFoundError:
        return ""
    return f"{found.st_ino}-{found.st_mtime_ns}"


def write_state(slot: Slot, state: State) -> None:
    """Writes it down; a crash in between leaves none, which is always true."""
    data = {"at": state.at, "keep": state.keep, "copied": state.copied}
    new = slot.git_dir / f"{_STATE}.new"
    new.write_text(json.dumps(data), "ascii")
    new.replace(slot.git_dir / _STATE)


def forget_state(slot: Slot) -> None:
    """Says that the copy may stand anywhere."""
    (slot.git_dir / _STATE).unlink(missing_ok=True)


def written_since_moved(slot: Slot, path: str) -> bool:
    """Whether a path of the copy is younger than its trusted index; nothing is opened for it."""
    try:
        return os.lstat(slot.path / path).st_mtime_ns > os.lstat(slot.git_dir / "index").st_mtime_ns
    except OSError:
        return False


def git(
    repository: Repository,
    slot: Slot,
    *arguments: str,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    index: str = "index",
) -> bytes:
    """Runs git on a copy with its trusted git directory."""
    code, out, err = call(repository, slot, *arguments, data=data, env=env, index=index)
    if code != 0:
        raise GitFailed(arguments, code, err)
    return out


def call(
    repository: Repository,
    slot: Slot,
    *arguments: str,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    index: str = "index",
) -> tuple[int, bytes, bytes]:
    """The same, for commands whose exit code is an answer."""
    settings = [word for pair in copy_settings(repository) for word in ("-c", pair)]
    whole = {
        "GIT_WORK_TREE": str(slot.path),
        "GIT_INDEX_FILE": str(slot.git_dir / index),
        **(env or {}),
    }
    return git_command.call(
        slot.git_dir, *settings, *arguments, data=data, env=whole, cwd=slot.path, timeout=TIMEOUT
    )


def copy_settings(repository: Repository) -> list[str]:
    """The user's settings that hold in a copy; the ignore file lies in its info/exclude."""
    return [pair for pair in repository.settings if not pair.startswith("core.excludesFile=")]


def make(repository: Repository, slot: Slot) -> None:
    """Makes the copy's folder and its trusted git directory where they are not there yet."""
    if not slot.git_dir.is_dir():
        new = slot.git_dir.with_name(f"{slot.git_dir.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        make_git_dir(new, repository.object_format, objects=alternates(repository.objects))
        (new / "info/exclude").write_bytes(os.fsencode(repository.excludes))
        mark_boot(new)
        new.rename(slot.git_dir)
    slot.path.mkdir(parents=True, exist_ok=True)


def load_names(repository: Repository, slot: Slot) -> Names:
    """What the trusted index holds."""
    names = Names()
    if not (slot.git_dir / "index").is_file():
        return names
    for entry in git(repository, slot, "ls-files", "--stage", "-z").split(b"\0")[:-1]:
        about, _, path = entry.partition(b"\t")
        names.add(os.fsdecode(path), gitlink=about.startswith(GITLINK.encode()))
    return names


def follow(names: Names, differences: Iterable[Difference]) -> None:
    """Brings the names of one tree to those of another."""
    for found in differences:
        if found.status != "A":
            names.drop(found.path)
        if found.status != "D":
            names.add(found.path, gitlink=found.new_mode == GITLINK)


def check_out(repository: Repository, slot: Slot, target: str, env: Mapping[str, str]) -> None:
    """Takes the trusted index, and the files with it, to a tree."""
    git(repository, slot, "read-tree", "--reset", "-u", "--end-of-options", target, env=env)


def refresh(repository: Repository, slot: Slot) -> None:
    """Writes down anew how files are described whose owner has changed; those alone are read again."""
    call(repository, slot, "update-index", "-q", "--refresh")


def skip(repository: Repository, slot: Slot, gitlinks: set[str], *, index: str = "index") -> None:
    """Marks submodules as not to be looked at: a repository in there would be an agent's."""
    paths = b"".join(os.fsencode(path) + b"\0" for path in sorted(gitlinks))
    git(repository, slot, "update-index", "--skip-worktree", "-z", "--stdin", data=paths, index=index)


def copy_index(source: Path, target: Path) -> None:
    """Copies an index with its time: git takes files that are not older than it for possibly changed."""
    stat = source.stat()
    shutil.copyfile(source, target)
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def plant(
    repository: Repository, slot: Slot, store: RunStore, head: str, hidden: tuple[str, ...], objects_at: str
) -> None:
    """Gives whoever works in a copy a `.git` of their own, on a branch at `head`, over the objects of the run."""
    store.teach(head)
    name, _, mail = repository.author.rpartition(" <")
    pairs = [pair.removeprefix("core.") for pair in copy_settings(repository) if pair.startswith("core.")]
    core = "".join(f"\t{pair.replace('=', ' = ', 1)}\n" for pair in pairs)
    person = f"[user]\n\tname = {_quoted(name)}\n\temail = {_quoted(mail.rstrip('>'))}\n"
    toy = slot.path / ".git"
    objects = alternates(Path(objects_at))
    more = f"[core]\n{core}[gc]\n\tauto = 0\n{person}"
    make_git_dir(toy, repository.object_format, head=head, objects=objects, more=more)
    hiding = "".join(f"/{path}\n" for path in hidden)
    (toy / "info/exclude").write_bytes(os.fsencode(repository.excludes + hiding))
    shallow = store.shallow()
    if shallow:
        (toy / "shallow").write_bytes(shallow)
    with suppress(FileNotFoundError):
        copy_index(slot.git_dir / "index", toy / "index")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
