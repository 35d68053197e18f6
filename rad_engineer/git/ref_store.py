"""Refs: compare-and-swap in one transaction, who has what checked out, and the debris of a killed git."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from rad_engineer import process
from rad_engineer.durable import sync_folder, write_all, writing
from rad_engineer.errors import CannotWrite
from rad_engineer.git.command import ask, call, fields, run, text
from rad_engineer.git.repository import Repository

_MISMATCH = re.compile(
    r"is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference|reference is missing"
)
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(/|$)|/\.|\.$|/$|^[/.]|^-|^@$|^HEAD$")
_INTENT = "rad-engineer.refs"
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LINKS = 5  # symbolic refs that git follows


@dataclass(frozen=True, slots=True)
class Landing:
    """A commit of the run branch that carries our trailers."""

    commit: str
    run: str
    story_id: str
    identity: str


def refs(repository: Repository, prefix: str) -> dict[str, str]:
    """Every ref under a prefix, and what it points at."""
    out = run(
        repository, "for-each-ref", "--format=%(refname)%00%(objectname)%00", "--end-of-options", prefix
    )
    parts = os.fsdecode(out).replace("\0\n", "\0").split("\0")
    return dict(zip(parts[:-1:2], parts[1::2], strict=True))


def tip(repository: Repository, branch: str) -> str | None:
    """The commit a branch is at; None where there is no such branch."""
    found = _loose(repository.common_dir / "refs/heads" / branch)
    if _HASH.fullmatch(found):
        return found
    out = ask(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/heads/{branch}^{{commit}}"
    )
    return None if out is None else text(out)


def _loose(path: Path) -> str:
    """What a ref file says; "" where there is none: the ref may be packed, or kept in another way."""
    try:
        return path.read_text("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return ""


def keep(repository: Repository, ref: str, commit: str) -> None:
    """Points a ref of ours, which nobody else writes, at a commit, durably: as git would write it, where that works."""
    if not _written(repository, ref, commit):
        update_refs(repository, [(ref, commit, None)])


def _written(repository: Repository, ref: str, commit: str) -> bool:
    place = repository.common_dir / ref
    lock = Path(f"{place}.lock")
    if (repository.common_dir / "reftable").exists():
        return False
    folders = [place.parent]
    try:
        if not place.parent.is_dir():  # git takes folders away that have become empty
            place.parent.mkdir()
            folders.append(place.parent.parent)
            place.parent.chmod(place.parent.parent.stat().st_mode & 0o7777)
        handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError:  # somebody packs refs at this moment, or has removed the folder
        return False
    try:
        try:
            write_all(handle, f"{commit}\n".encode("ascii"))
            os.fsync(handle)
        finally:
            os.close(handle)
        lock.rename(place)
        for folder in folders:
            sync_folder(folder)
    except OSError:
        lock.unlink(missing_ok=True)
        return False
    return True


def valid_branch(name: str) -> bool:
    """Whether git takes this as the name of a branch."""
    return bool(name) and len(os.fsencode(name)) < 240 and not _BAD_NAME.search(name)


def update_refs(repository: Repository, changes: Sequence[tuple[str, str, str | None]]) -> bool:
    """Moves refs in one transaction: (ref, new, old). False, and nothing has moved, when an old value differs.

    A new value of "" deletes, and deleting what is not there is no mistake; an old one of "" means that the ref
    must not exist, and None that it does not matter.
    """
    zero = "0" * (64 if repository.object_format == "sha256" else 40)
    lines = ["start\0"]
    for ref, new, old in changes:
        lines.append("option no-deref\0")
        expected = "" if old is None else old or zero
        lines.append(f"update {ref}\0{new or zero}\0{expected}\0")
    lines += ["prepare\0", "commit\0"]
    with _Intent(repository, wanted=any(not new for _ref, new, _old in changes)):
        code, _out, err = call(
            repository, "update-ref", "-m", "rad-engineer", "--stdin", "-z",
            data=os.fsencode("".join(lines)), durable=True,
        )  # fmt: skip
    if code == 0:
        _sync_folders(repository, [ref for ref, new, _old in changes if new])
        return True
    reason = err.decode("utf-8", "replace")
    if _MISMATCH.search(reason):
        return False
    raise CannotWrite(f"git could not move {changes[0][0]}: {reason.strip()}", hint=_lock_hint(reason))


def _sync_folders(repository: Repository, moved: Iterable[str]) -> None:
    """Makes the names of refs durable: git syncs what is in them, and then renames."""
    folders = {folder for ref in moved for folder in PurePath(ref).parents}
    with writing(repository.common_dir):
        for folder in sorted(folders - {PurePath()}, reverse=True):
            with suppress(FileNotFoundError):  # packed meanwhile by somebody else, who syncs as well
                sync_folder(repository.common_dir / folder)


def _lock_hint(reason: str) -> str | None:
    found = re.search(r"Unable to create '([^']+\.lock)': File exists", reason)
    return f"if no other git is at work, remove {found[1]}" if found else None


class _Intent:
    """A note in the common directory while a transaction deletes refs: it proves whose packed-refs.lock is left."""

    def __init__(self, repository: Repository, *, wanted: bool) -> None:
        self._path = repository.common_dir / f"{_INTENT}.{os.getpid()}"
        self._wanted = wanted

    def __enter__(self) -> None:
        if self._wanted and not self._path.exists():
            about = {"pid": os.getpid(), "start": process.start_time(os.getpid())}
            self._path.write_text(json.dumps(about), "utf-8")

    def __exit__(self, *_exception: object) -> None:
        """Git may have been killed, or could not remove its lock: then the note stays until that is cleared."""
        if self._wanted and not _left_by(self._path):
            self._path.unlink(missing_ok=True)


def _left_by(note: Path) -> list[Path]:
    """What stands in the way of packed refs and is no older than the note."""
    found = []
    for name in ("packed-refs.lock", "packed-refs.new"):
        with suppress(FileNotFoundError):
            if note.with_name(name).stat().st_mtime_ns >= note.stat().st_mtime_ns:
                found.append(note.with_name(name))
    return found


def _at_work(note: Path) -> bool:
    """Whether another process is in the middle of the transaction that the note tells of."""
    with suppress(OSError, ValueError, KeyError):
        about = json.loads(note.read_bytes())
        return about["pid"] != os.getpid() and process.alive(about["pid"], about["start"])
    return False


def clean_stale_locks(repository: Repository, names: Iterable[str]) -> list[Path]:
    """Removes locks that a killed git left on our own refs; `names` are refs or prefixes. Only under the run lock."""
    found: list[Path] = []
    for name in names:
        place = repository.common_dir / name
        found.append(Path(f"{place}.lock"))
        if place.is_dir():
            found += place.rglob("*.lock")
    for note in repository.common_dir.glob(f"{_INTENT}.*"):
        if _at_work(note):
            continue
        found += _left_by(note)
        note.unlink(missing_ok=True)
    removed = []
    for lock in found:
        with suppress(FileNotFoundError):
            lock.unlink()
            removed.append(lock)
    return removed


def checked_out(repository: Repository) -> dict[str, Path]:
    """Every branch that a work tree has checked out, or is rebasing or bisecting; and where."""
    git_dirs = (repository.common_dir, *(repository.common_dir / "worktrees").glob("*"))
    found = _heads(repository, git_dirs)
    for git_dir in git_dirs:
        for ref in _busy(git_dir):
            found.setdefault(ref, _work_tree(repository, git_dir))
    return found


def _heads(repository: Repository, git_dirs: Iterable[Path]) -> dict[str, Path]:
    """What is checked out: read from the files, by git where one of them is not plain."""
    heads = {git_dir: _head(repository, git_dir) for git_dir in git_dirs}
    if None not in heads.values():
        return {ref: _work_tree(repository, git_dir) for git_dir, ref in heads.items() if ref}
    out = run(repository, "for-each-ref", "--format=%(refname)%00%(worktreepath)%00", "refs/heads/")
    parts = os.fsdecode(out).replace("\0\n", "\0").split("\0")
    return {ref: Path(path) for ref, path in zip(parts[:-1:2], parts[1::2], strict=True) if path}


def _head(repository: Repository, git_dir: Path) -> str | None:
    """The branch that the HEAD of a work tree names, "" where it names none; None where only git can tell."""
    if (git_dir / "HEAD").is_symlink():
        return None
    found = _loose(git_dir / "HEAD")
    for _link in range(_LINKS):
        ref = found.removeprefix("ref: ") if found.startswith("ref: ") else ""
        if not ref.startswith("refs/heads/"):
            return "" if _HASH.fullmatch(found) else None
        found = _loose(repository.common_dir / ref)
        if not found.startswith("ref: "):
            return None if ref == "refs/heads/.invalid" else ref
    return None


def _busy(git_dir: Path) -> list[str]:
    found = []
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        with suppress(OSError):
            ref = (git_dir / name).read_text("utf-8", "surrogateescape").strip()
            found.append(ref if ref.startswith("refs/") else f"refs/heads/{ref}")
    return found


def _work_tree(repository: Repository, git_dir: Path) -> Path:
    with suppress(OSError):
        return Path((git_dir / "gitdir").read_text("utf-8", "surrogateescape").strip()).parent
    return repository.home


def landings(repository: Repository, base: str, branch: str) -> list[Landing]:
    """What our trailers say has landed on first-parent base..branch, oldest first."""
    keys = ("Rad-Run", "Rad-Story", "Rad-Identity")
    shape = "%x1f".join(f"%(trailers:key={key},valueonly,unfold,separator=%x1e)" for key in keys)
    out = run(
        repository, "log", "--first-parent", "--reverse", "-z", "--no-color", "--no-notes", "--no-mailmap",
        f"--format=tformat:%H%x1f{shape}", "--end-of-options", f"{base}..{branch}", "--",
    )  # fmt: skip
    found = []
    for record in fields(out):
        commit, *values = record.split("\x1f")
        run_id, story_id, identity = (value.split("\x1e")[-1].strip() for value in values)
        if run_id and identity:
            found.append(Landing(commit, run_id, story_id, identity))
    return found


def rescue_ref(run_id: str, story: str, attempt: int) -> str:
    """Where the work of an attempt that did not end well is kept; `story` is already fit for a path."""
    return f"refs/rad/rescue/{run_id}/{story}/{attempt}"
