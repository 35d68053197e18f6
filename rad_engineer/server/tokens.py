"""The token that clients show: made here or given in a file, which nobody else may read."""

import hmac
import os
import secrets
import stat
from pathlib import Path

from rad_engineer.durable import write_all, writing
from rad_engineer.errors import ConfigInvalid, NoInput, Refused

_FEWEST = 16
_MOST = 4096


def create(path: Path) -> None:
    """Writes a new token into a file that only its owner can read; one that is there stays."""
    if path.exists():
        raise Refused(
            f"{path} is there already", hint=f"use it, or remove it first for a new token: rm {path}"
        )
    with writing(path, of_run=False):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(handle, secrets.token_urlsafe(32).encode() + b"\n")
        except OSError:
            path.unlink()  # half a token would be in the way of the next try
            raise
        finally:
            os.close(handle)


def read(path: Path) -> bytes:
    """The token in a file; raises Refused where others may read it too."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NoInput(
            f"cannot read the token in {path}: {error.strerror}", hint="make one: rad-engineer serve token"
        ) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ConfigInvalid(
            f"{path} is no file that could have a token",
            hint="name the file; without --token-file it is the one that `rad-engineer serve token` makes",
        )
    with os.fdopen(handle, "rb") as file:
        if status.st_mode & 0o077:
            raise Refused(f"others may read the token in {path}", hint=f"chmod 600 {path}")
        token = file.read(_MOST).strip()
    if len(token) < _FEWEST or not token.isascii() or b" " in token or not token.decode().isprintable():
        raise ConfigInvalid(
            f"{path} has no token: {_FEWEST} or more characters in one word",
            hint="make one: rad-engineer serve token",
        )
    return token


def opens(token: bytes, authorization: str) -> bool:
    """Whether an Authorization header shows the token; it takes as long for every wrong one of a length."""
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        shown.strip().encode("latin-1", "replace"), token
    )
