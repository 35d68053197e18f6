"""The user's repository as a run sees it: read once, then handed to every process as plain JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_PATHS = frozenset({"top", "home", "git_dir", "common_dir"})
_TUPLES = frozenset({"settings", "warnings"})


@dataclass(frozen=True, slots=True)
class Repository:
    """Where it lies, and what of the user's configuration hardened calls are given.

    `top` is the work tree the run was started in; `home`, where .rad-engineer lives, is the main work tree.
    """

    top: Path
    home: Path
    git_dir: Path
    common_dir: Path
    object_format: str
    author: str  # "Name <mail>"
    settings: tuple[str, ...]  # "key=value", given to every call with -c
    excludes: str  # lines of the user's own ignore files
    id: str
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> Path:
        """The object store."""
        return self.common_dir / "objects"

    def to_json(self) -> dict[str, Any]:
        """The form that crosses to other processes."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Repository":
        """Reads it back."""
        values = dict(data)
        for name in _PATHS:
            values[name] = Path(values[name])
        for name in _TUPLES:
            values[name] = tuple(values[name])
        return cls(**values)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
