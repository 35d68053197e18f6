"""Ignored files of the user that a project needs to run: copied into slots when they are asked for by name."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rad_engineer.git import command as git_command
from rad_engineer.git.command import GitFailed, fields
from rad_engineer.git.repository import Repository


@dataclass(slots=True)
class PrivateFiles:
    """Which files match the patterns of `[workspace] copy`, looked up once."""

    repository: Repository
    patterns: tuple[str, ...]
    _found: tuple[str, ...] | None = field(default=None, init=False)

    def paths(self) -> tuple[str, ...]:
        """Files that git ignores and a pattern names; `.env` and its kind only by a pattern that says so."""
        if self._found is None:
            self._found = self._look() if self.patterns else ()
        return self._found

    def copy_to(self, top: Path) -> tuple[str, ...]:
        """Copies them into a working copy; returns what is there now."""
        copied = []
        for path in self.paths():
            source, target = self.repository.top / path, top / path
            if source.is_symlink() or not source.is_file() or _through_link(top, path):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
            copied.append(path)
        return tuple(copied)

    def _look(self) -> tuple[str, ...]:
        wanted = [word for pattern in self.patterns for word in ("-x", pattern)]
        out = git_command.run(self.repository, "ls-files", "-z", "--others", "--ignored", *wanted)
        found = [path for path in fields(out) if self._allowed(path)]
        # With "./" in front no name is taken for pathspec magic.
        data = b"".join(b"./" + os.fsencode(path) + b"\0" for path in found)
        arguments = ("check-ignore", "-z", "--stdin")
        code, ignored, err = git_command.call(self.repository, *arguments, data=data)
        if code not in (0, 1):
            raise GitFailed(arguments, code, err)
        return tuple(sorted(path.removeprefix("./") for path in fields(ignored)))

    def _allowed(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        if not name.startswith(".env"):
            return True
        return any(pattern.rpartition("/")[2].startswith(".env") for pattern in self.patterns)


def _through_link(top: Path, path: str) -> bool:
    """Whether a parent in the working copy is a link: a copy must not leave it."""
    return any((top / parent).is_symlink() for parent in Path(path).parents)
