"""A sealed file with entries that several processes of a user change: read as it is, or changed under a lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class SharedFile:
    """One of them. `member` holds the entries; a damaged file counts as none where it is `forgiven`, else `hint` helps."""

    path: Path
    member: str
    forgiven: bool = False
    hint: str | None = None

    def read(self) -> dict[str, Any]:
        """The entries; none where there is no file. Raises StateDamaged and ConfigInvalid."""
        try:
            data = durable.read_sealed(self.path, hint=self.hint)
        except FileNotFoundError:
            return {}
        except durable.LaterVersion as error:
            raise ConfigInvalid(str(error), hint="update rad-engineer, or remove the file") from error
        except durable.StateDamaged:
            if self.forgiven:
                return {}
            raise
        except OSError as error:
            raise ConfigInvalid(f"{self.path}: {error.strerror}") from error
        entries: dict[str, Any] = data[self.member]
        return entries

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """The entries, to be changed under a lock; then the file is replaced whole."""
        with durable.writing(self.path, of_run=False):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                entries = self.read()
                yield entries
                durable.write_sealed(self.path, {self.member: entries}, 0o600, of_run=False)
