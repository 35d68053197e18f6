"""Objects on their way: quarantined, adopted by the user's repository, and shown to agents from a store of the run."""

import fcntl
import itertools
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rad_engineer import process
from rad_engineer.durable import sync_folder
from rad_engineer.git.command import GitFailed, call, run
from rad_engineer.git.objects import alternates
from rad_engineer.git.repository import Repository

PACK_FROM = 1_000
BRANCH = "refs/heads/work"
_serial = itertools.count()


def objects_env(objects: Path, *others: Path) -> dict[str, str]:
    """The environment in which git writes to one object store and reads others as well."""
    return {
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(alternates(other) for other in others),
    }


def complete(repository: Repository, store: Path, quarantine: Path, names: Iterable[str]) -> None:
    """Puts into a quarantine those new objects that git did not write because the run's store has them already.

    They came there with work that has not landed, so nothing keeps them alive in the user's repository.
    """
    packed = []
    for name in names:
        inside = Path(name[:2], name[2:])
        if (quarantine / inside).exists():
            continue
        if (store / inside).exists():
            (quarantine / inside).parent.mkdir(exist_ok=True)
            _link(store / inside, quarantine / inside)
        else:
            packed.append(name)
    if packed:
        _complete_packed(repository, store, quarantine, packed)


def _complete_packed(repository: Repository, store: Path, quarantine: Path, names: list[str]) -> None:
    asked = "".join(f"{name}\n" for name in names).encode()
    answers = run(repository, "cat-file", "--batch-check", data=asked).splitlines()
    missing = b"".join(line.split(b" ")[0] + b"\n" for line in answers if line.endswith(b" missing"))
    if not missing:
        return
    held = run(
        repository, "cat-file", "--batch-check", data=missing, env=objects_env(quarantine)
    ).splitlines()
    lost = b"".join(line.split(b" ")[0] + b"\n" for line in held if line.endswith(b" missing"))
    if lost:
        _pack(repository, store, quarantine, lost)


def adopt(repository: Repository, quarantine: Path, store: Path) -> None:
    """Moves quarantined objects to the user's repository, durably, and to the run's own store.

    Nothing that is there is overwritten, and what refers to others comes after them.
    """
    if not quarantine.is_dir():
        return
    loose = _loose(quarantine)
    if len(loose) > PACK_FROM:
        names = "".join(f"{path.parent.name}{path.name}\n" for path in loose)
        _pack(repository, quarantine, quarantine, names.encode())
        loose = []
    packs = sorted((quarantine / "pack").glob("pack-*.*"), key=lambda path: path.suffix == ".idx")
    places: set[Path] = set()
    sources = (*packs, *_commits_last(loose))
    _sync_files(sources)
    for source in sources:
        inside = source.relative_to(quarantine)
        places.update(_settle(source, repository.objects / inside))
        _hand_over(source, store / inside)
    for place in places:
        sync_folder(place)
    shutil.rmtree(quarantine)


def _loose(objects: Path) -> list[Path]:
    found = []
    with os.scandir(objects) as folders:
        names = [entry.name for entry in folders if len(entry.name) == 2]
    for name in names:
        with os.scandir(objects / name) as files:
            found += [Path(entry.path) for entry in files if not entry.name.startswith("tmp_")]
    return found


def _commits_last(loose: list[Path]) -> list[Path]:
    """Objects in an order in which a reader who finds a commit finds all of it."""
    commits = [path for path in loose if _kind(path) == b"commit"]
    return [path for path in loose if path not in commits] + commits


def _kind(path: Path) -> bytes:
    with path.open("rb") as handle:
        return zlib.decompressobj().decompress(handle.read(64), 8).partition(b" ")[0]


def _pack(repository: Repository, objects: Path, quarantine: Path, names: bytes) -> None:
    """Puts objects into one pack; undeltified, because a story is not the time to save space."""
    (quarantine / "pack").mkdir(exist_ok=True)
    run(
        repository, "pack-objects", "-q", "--window=0", "--threads=1", str(quarantine / "pack" / "pack"),
        data=names, env=objects_env(objects),
    )  # fmt: skip


def _settle(source: Path, target: Path) -> list[Path]:
    """Puts a file, which is durable already, in its place unless one is there; returns the folders to sync."""
    touched = [target.parent]
    if target.exists():
        return touched
    if not target.parent.is_dir():
        _make_folder(target.parent)
        touched.append(target.parent.parent)
    _link(source, target)
    return touched


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileExistsError:
        pass
    except OSError:  # another device, or a file system without hard links
        _copy(source, target)


def _hand_over(source: Path, target: Path) -> None:
    """Gives the run's store a file for good; the store is made again when it is lost, so nothing is synced."""
    if target.exists() or not target.parent.parent.is_dir():
        return
    target.parent.mkdir(exist_ok=True)
    try:
        source.rename(target)
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    new = target.with_name(f"tmp_obj_{os.getpid()}_{next(_serial)}")
    with source.open("rb") as reader, new.open("xb") as writer:
        shutil.copyfileobj(reader, writer)
        os.fchmod(writer.fileno(), 0o444)
        writer.flush()
        os.fsync(writer.fileno())
    new.rename(target)


def _make_folder(folder: Path) -> None:
    """Makes a folder with the rights of the one above it: a shared repository stays shared."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):
        folder.chmod(folder.parent.stat().st_mode & 0o7777)


def _sync_files(paths: Sequence[Path]) -> None:
    """Makes files durable; all are on their way to the disk before the first one is waited for."""
    start_writing = getattr(os, "posix_fadvise", None)
    for step in ("start", "wait"):
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if step == "wait":
                    os.fsync(descriptor)
                elif start_writing is not None:
                    start_writing(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


class RunStore:
    """The objects that agents of a run may see: the base with a little history, and what has landed since.

    Work is staged and merged against this store, not against the user's objects: so a quarantine holds all that the
    store lacks, also what the user happens to have already, and a commit that is here is here with all of its tree.
    """

    def __init__(self, repository: Repository, place: Path, history: int) -> None:
        self.path = place / "store.git"
        self._place = place
        self._repository = repository
        self._history = max(1, history)
        self._known: set[str] = set()

    def teach(self, commit: str) -> None:
        """Makes sure that a commit, and all of its tree, is in the store."""
        if commit in self._known and self.path.is_dir():
            return
        if not self._has_loose(commit):
            with self._locked():
                self._fetch(commit)
        self._known.add(commit)

    @property
    def objects(self) -> Path:
        """Its objects."""
        return self.path / "objects"

    def shallow(self) -> bytes:
        """Which commits have lost their parents on the way."""
        with suppress(FileNotFoundError):
            return (self.path / "shallow").read_bytes()
        return b""

    def _has_loose(self, commit: str) -> bool:
        return self._made() and (self.objects / commit[:2] / commit[2:]).exists()

    def _made(self) -> bool:
        """Whether the store is whole."""
        return of_this_boot(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._place.mkdir(parents=True, exist_ok=True)
        with (self._place / "store.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _fetch(self, commit: str) -> None:
        if not self._made():
            self._make(commit)
        elif call(self.path, "cat-file", "-e", f"{commit}^{{commit}}")[0] != 0:
            self._pull(self.path, commit)

    def _make(self, commit: str) -> None:
        new = self._place / "store.git.new"
        for old in (new, self.path):
            if old.exists():
                shutil.rmtree(old)
        make_git_dir(new, self._repository.object_format, more="[core]\n\tbare = true\n")
        self._pull(new, commit, f"--depth={self._history}")
        mark_boot(new)
        new.rename(self.path)

    def _pull(self, store: Path, commit: str, *options: str) -> None:
        # The far end is started by git without our -c settings, so what it must know lies in a file of its own.
        trusted = self._place / "fetch.config"
        trusted.write_text(
            "[safe]\n\tdirectory = *\n[uploadpack]\n\tallowAnySHA1InWant = true\n[core]\n\thooksPath = /dev/null\n",
            "ascii",
        )
        arguments = (
            "fetch", "-q", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head", "--force", *options,
            f"file://{_url(self._repository.common_dir)}", f"{commit}:{BRANCH}",
        )  # fmt: skip
        code, _out, err = call(store, *arguments, env={"GIT_CONFIG_GLOBAL": str(trusted)}, cwd=store)
        if code != 0:
            raise GitFailed(arguments, code, err)


def _url(path: Path) -> str:
    return os.fsdecode(os.fsencode(path).replace(b"%", b"%25").replace(b"?", b"%3f").replace(b"#", b"%23"))


def of_this_boot(path: Path) -> bool:
    """Whether a git directory of ours is whole: none is synced, so one from before a power cut does not count."""
    try:
        return (path / "boot").read_text("ascii") == process.boot_id()
    except FileNotFoundError:
        return False


def mark_boot(path: Path) -> None:
    """Says since when a git directory of ours is there."""
    _write(path / "boot", process.boot_id())


def make_git_dir(
    path: Path, object_format: str, *, head: str = "", objects: str = "", more: str = ""
) -> None:
    """Writes a git directory by hand: no template, no hooks, nothing that was configured anywhere."""
    for folder in (path, path / "objects", path / "objects/info", path / "refs", path / "info"):
        folder.mkdir(parents=True, exist_ok=True)
    version, extension = "0", ""
    if object_format != "sha1":
        version, extension = "1", f"[extensions]\n\tobjectFormat = {object_format}\n"
    config = f"[core]\n\trepositoryFormatVersion = {version}\n{extension}{more}"
    _write(path / "config", config)
    _write(path / "HEAD", f"ref: {BRANCH}\n")
    if head:
        _write(path / "packed-refs", f"{head} {BRANCH}\n")
    if objects:
        _write(path / "objects/info/alternates", f"{objects}\n")


def _write(path: Path, text: str) -> None:
    path.write_bytes(os.fsencode(text))
