"""The pool of working copies: slots for agents, gate copies for verdicts, moved instead of made anew.

A copy has a trusted git directory beside it. The `.git` inside is a toy for whoever works there: planted before
every attempt, never read. Objects come into the user's repository by way of a quarantine.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal

from rad_engineer import git, timings
from rad_engineer.durable import writing
from rad_engineer.git import GitFailed, Merge, objects
from rad_engineer.git.repository import Repository
from rad_engineer.git.trees import Difference, Trees
from rad_engineer.slots import object_store, staging, working_copy
from rad_engineer.slots.belongings import Owner, belongs_to, hand_over
from rad_engineer.slots.private_files import PrivateFiles
from rad_engineer.slots.removal import open_attic, remove_path
from rad_engineer.slots.staging import Staged
from rad_engineer.slots.tree_names import Kept, Names
from rad_engineer.slots.tree_walk import Bounds, Seen, clean
from rad_engineer.slots.working_copy import Slot, State

__all__ = ["Bounds", "Pool", "Slot", "Staged"]

Kind = Literal["slot", "gate"]
_FOLDERS: dict[Kind, str] = {"slot": "slots", "gate": "gates"}
_serial = count()


class Pool:
    """The copies of one repository, in a folder outside its work tree, as one run uses them."""

    def __init__(  # noqa: PLR0913 -- all but three are named
        self,
        repository: Repository,
        root: Path,
        run: str,
        *,
        history: int = 50,
        copy: Iterable[str] = (),
        keep: Iterable[str] = (),
        bounds: Bounds = Bounds(),  # noqa: B008 -- frozen
        owner: Callable[[Path], Owner | None] = lambda _copy: None,
        objects_at: str = "",
    ) -> None:
        """`owner`: to whom a copy belongs; `objects_at`: where those who work in them find the run's objects."""
        self.repository = repository
        self.root = Path(root)
        self.store = object_store.RunStore(repository, self.root / "runs" / run, history)
        self._run = run
        self._keep = tuple(keep)
        self._bounds = bounds
        self._owner = owner
        self._objects_at = objects_at or str(self.store.objects)
        self._private = PrivateFiles(repository, tuple(copy))
        self._names: dict[Path, tuple[str, Names]] = {}
        self._seen: defaultdict[Path, Seen] = defaultdict(Seen)
        self._trees = Trees(repository.common_dir, self.store.objects)
        self._open_attic: int | None = None

    def slot(self, kind: Kind, number: int) -> Slot:
        """Where a copy lies; it is made when it is first moved."""
        folder = self.root / _FOLDERS[kind]
        return Slot(folder / str(number), folder / f"{number}.git")

    def move(
        self, slot: Slot, target: str, head: str, *, keep: Iterable[str] = (), quarantine: Path | None = None
    ) -> None:
        """Takes a copy to a commit or tree, whatever state it is in; only what is kept survives.

        A copy that cannot be cleaned is thrown away and made anew. Inside, `head` is what is checked out.
        """
        kept, owner = Kept((*self._keep, *keep)), self._owner(slot.path)
        with writing(slot.path):
            self.store.teach(head)
            # The run's own store comes first: there the base is one pack, whatever state the user's objects are in.
            stores = (self.store.objects, self.repository.objects)
            env = object_store.objects_env(*stores if quarantine is None else (quarantine, *stores))
            try:
                self._move(slot, target, kept, env, quarantine)
            except (GitFailed, OSError, RecursionError):
                self.remove(slot)
                self._move(slot, target, kept, env, quarantine)
            if hand_over(str(slot.path), owner, leave=(".git", *kept.patterns)):
                working_copy.refresh(self.repository, slot)
            working_copy.plant(self.repository, slot, self.store, head, kept.patterns, self._objects_at)
            hand_over(str(slot.path / ".git"), owner)

    def _move(
        self, slot: Slot, target: str, kept: Kept, env: dict[str, str], quarantine: Path | None
    ) -> None:
        repository = self.repository
        if slot.path.exists() and not (
            object_store.of_this_boot(slot.git_dir) and belongs_to(str(slot.path), self._owner(slot.path))
        ):
            self.remove(slot)
        at = working_copy.read_state(slot).at
        working_copy.make(repository, slot)
        working_copy.forget_state(slot)
        (slot.git_dir / "index.lock").unlink(missing_ok=True)
        names = self._names_at(slot, at)
        self._names.pop(slot.git_dir, None)
        with timings.part("walk"):
            clean(str(slot.path), names, kept, self._attic, self._seen[slot.git_dir])
        working_copy.check_out(repository, slot, target, env)
        if at != target:
            names = self._followed(slot, names, at, target, quarantine)
        if names.gitlinks:
            working_copy.skip(repository, slot, names.gitlinks)
        self._names[slot.git_dir] = (target, names)
        working_copy.write_state(slot, State(target, kept.patterns))

    def _names_at(self, slot: Slot, at: str | None) -> Names:
        """The names in the trusted index: remembered, where this process was the last to move the copy."""
        known_at, names = self._names.get(slot.git_dir, (None, Names()))
        if at is None or known_at is None:
            return working_copy.load_names(self.repository, slot)
        return names if known_at == at else self._followed(slot, names, known_at, at)

    def _followed(
        self, slot: Slot, names: Names, old: str | None, new: str, quarantine: Path | None = None
    ) -> Names:
        """The names of a tree that the trusted index holds, from those of another; read anew where that one is gone."""
        try:
            if old is not None:
                working_copy.follow(names, self._trees.differences(old, new, quarantine))
                return names
        except GitFailed:
            pass
        return working_copy.load_names(self.repository, slot)

    @property
    def _attic(self) -> int:
        """A folder for what is about to be deleted; opened anew when somebody has removed it."""
        if self._open_attic is None or not os.fstat(self._open_attic).st_nlink:
            self._open_attic = open_attic(self.root / "attic")
        return self._open_attic

    def stage(self, slot: Slot, base: str, quarantine: Path, *, never: Iterable[str] = ()) -> Staged:
        """Stages what lies in a slot as a tree in quarantine; never what was kept or copied into it."""
        if not slot.path.is_dir():  # made anew it would be empty, and the story one that deletes everything
            return Staged(problem="slot-gone", detail="removed")
        with writing(quarantine):
            self.store.teach(base)
            self.forget(
                quarantine
            )  # what a cut-off attempt left may be torn, and git would not write it again
            quarantine.mkdir(parents=True)
            if not object_store.of_this_boot(slot.git_dir):
                remove_path(slot.git_dir, self._attic)
                working_copy.make(self.repository, slot)
        (slot.git_dir / "index.lock").unlink(missing_ok=True)  # of a git that was killed with its worker
        at = working_copy.read_state(slot).at
        names = self._names_at(slot, at)
        if at is not None:
            self._names[slot.git_dir] = (at, names)
        asked = staging.Staging(
            self.repository,
            slot,
            base,
            self.store.objects,
            quarantine,
            names,
            self._seen[slot.git_dir],
            self._bounds,
            self._trees,
        )
        return staging.stage(asked, never)

    def prepared(self, slot: Slot) -> str:
        """Names what was put into a slot when it was last moved; empty where it was removed since."""
        return working_copy.last_moved(slot) if slot.path.is_dir() else ""

    def touched(self, slot: Slot, paths: Iterable[str]) -> list[str]:
        """Which of these paths somebody wrote in a copy since it was moved."""
        return [path for path in paths if working_copy.written_since_moved(slot, path)]

    def commit(self, staged: Staged, parent: str, message: str, quarantine: Path) -> str:
        """Writes the commit of what was staged, in quarantine."""
        return self._commit(staged.tree, parent, message, quarantine)

    def _commit(self, tree: str, parent: str, message: str, quarantine: Path) -> str:
        body = objects.commit(tree, parent, message, self.repository.author)
        return objects.write(quarantine, self.repository.object_format, "commit", body)

    def objects_env(self, quarantine: Path) -> dict[str, str]:
        """The environment in which git reads a quarantine and the run's objects, and writes to the quarantine."""
        quarantine.mkdir(parents=True, exist_ok=True)
        return object_store.objects_env(quarantine, self.store.objects)

    def adopt(self, quarantine: Path) -> None:
        """Moves quarantined objects to the user's repository, durably, and shows them to later agents."""
        with writing(self.repository.objects):
            object_store.adopt(self.repository, quarantine, self.store.objects)

    def forget(self, quarantine: Path) -> None:
        """Throws quarantined objects away."""
        shutil.rmtree(quarantine, ignore_errors=True)

    def read(self, revision: str, path: str, quarantine: Path | None = None) -> bytes | None:
        """A file of a commit, which may still be in quarantine."""
        env = self.objects_env(quarantine) if quarantine is not None and quarantine.is_dir() else None
        return git.show(self.repository, revision, path, env)

    def tip(self, branch: str) -> str | None:
        """The commit a branch is at."""
        return git.tip(self.repository, branch)

    def keep_ref(self, ref: str, commit: str) -> None:
        """Keeps a commit alive under a ref of ours."""
        git.keep(self.repository, ref, commit)

    @contextmanager
    def quarantined(self) -> Iterator[Path]:
        """A quarantine for merges; what nobody has adopted by the end is forgotten."""
        place = self.root / "runs" / self._run / f"merge-{os.getpid()}-{next(_serial)}"
        with writing(place):
            place.mkdir(parents=True)
        try:
            yield place
        finally:
            self.forget(place)

    def merge(self, tip: str, commit: str, *, parent: str, quarantine: Path) -> Merge:
        """Merges a story's commit, which stands on `parent`, with the tip; what is new is then in quarantine."""
        if tip == parent:
            return Merge(self.tree_of(commit, quarantine))
        for needed in (tip, commit):
            if not (quarantine / needed[:2] / needed[2:]).exists():
                self.store.teach(needed)
        merged = git.merge(self.store.path, tip, commit, self.objects_env(quarantine))
        if merged.tree is not None:
            own = set(
                self._new_objects(parent, commit, quarantine)
            )  # adopted with the commit, whose ref keeps them
            made = [name for name in self._new_objects(tip, merged.tree, quarantine) if name not in own]
            object_store.complete(self.repository, self.store.objects, quarantine, made)
        return merged

    def _new_objects(self, old: str, new: str, quarantine: Path) -> list[str]:
        differences = self._trees.differences(old, new, quarantine, trees=True)
        return staging.new_objects(self.tree_of(new, quarantine), differences)

    def changed(self, old: str, new: str, quarantine: Path | None) -> list[str]:
        """The paths in which two trees or commits differ."""
        return [found.path for found in self._trees.differences(old, new, quarantine)]

    def differences(self, old: str, new: str, quarantine: Path | None) -> list[Difference]:
        """What differs between two trees or commits."""
        return self._trees.differences(old, new, quarantine)

    def candidate(self, tip: str, commit: str, tree: str, *, parent: str, quarantine: Path) -> str:
        """The commit to swap in: the story's own where it stands on the tip, else a new one, in quarantine."""
        if tip == parent:
            return commit
        message = self._trees.read(commit, quarantine)[1].partition(b"\n\n")[2]
        return self._commit(tree, tip, message.decode("utf-8", "replace"), quarantine)

    def keep_candidates(self, kept: Mapping[str, str], quarantine: Path) -> None:
        """Adopts candidates that are to land, each under its ref; a story's own commit is kept already."""
        if any((quarantine / commit[:2] / commit[2:]).exists() for commit in kept.values()):
            self.adopt(quarantine)
            for ref, commit in kept.items():
                self.keep_ref(ref, commit)

    def tree_of(self, name: str, quarantine: Path | None = None) -> str:
        """The tree of a commit; of a tree, itself."""
        return self._trees.tree_of(name, quarantine)

    def teach(self, commit: str) -> None:
        """Makes a commit visible to agents; moving a copy to it does the same."""
        self.store.teach(commit)

    def copy_files(self, slot: Slot) -> tuple[str, ...]:
        """Copies the ignored files that were asked for from the user's work tree; they are never staged."""
        copied = self._private.copy_to(slot.path)
        if copied:
            state = working_copy.read_state(slot)
            working_copy.write_state(slot, State(state.at, state.keep, copied))
            hand_over(str(slot.path), self._owner(slot.path), leave=state.keep)
        return copied

    def untracked(self, slot: Slot) -> tuple[str, ...]:
        """Top-level names in a copy that its tree does not have."""
        names = self._names_at(slot, working_copy.read_state(slot).at)
        with os.scandir(slot.path) as entries:
            found = [entry.name for entry in entries]
        return tuple(sorted(name for name in found if name != ".git" and not names.has(name)))

    def remove(self, slot: Slot) -> None:
        """Removes a copy and its git directory."""
        self._names.pop(slot.git_dir, None)
        self._seen.pop(slot.git_dir, None)
        for path in (slot.git_dir, slot.path):
            remove_path(path, self._attic)

    def take_away(self, path: Path) -> None:
        """Removes whatever is at a path of a copy."""
        remove_path(path, self._attic)

    def tidy(self) -> None:
        """Clears away what killed processes and earlier runs have left; only under the run lock."""
        for place in (self.root / "attic").glob("*"):
            if place.name != str(os.getpid()):
                remove_path(place, self._attic)
        for place in (self.root / "runs").glob("*"):
            if place.name != self._run:
                remove_path(place, self._attic)
        for place in (self.root / "runs" / self._run).glob("merge-*"):
            remove_path(place, self._attic)
        for folder in _FOLDERS.values():
            for lock in (self.root / folder).glob("*.git/*.lock"):
                lock.unlink(missing_ok=True)

    def size(self) -> int:
        """How many bytes all copies and stores take up."""
        total = 0
        for folder, _names, files in os.walk(self.root):
            for name in files:
                with suppress(OSError):
                    total += os.lstat(f"{folder}/{name}").st_blocks * 512
        return total
