"""The key of the chain: of the user, not of a project, and in no folder that a box can see."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rad_engineer import durable
from rad_engineer.errors import Refused
from rad_engineer.settings import state_home

_SIZE = 32


def folder(env: Mapping[str, str]) -> Path:
    """Where the key and the ends of the chains lie."""
    return state_home(env) / "audit"


def path(env: Mapping[str, str]) -> Path:
    """The file with the key."""
    return folder(env) / "key"


def find(env: Mapping[str, str]) -> bytes | None:
    """The key; None where there is none yet. Raises Refused where others may read it, or it is no key."""
    file = path(env)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            f"{file}: {error.strerror}", hint="mend it: audit logs are sealed with this key"
        ) from error
    with os.fdopen(handle, "rb") as opened:
        if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
            raise Refused(
                f"others may read {file}", hint=f"chmod 600 {file}; who has read it can forge audit logs"
            )
        text = opened.read(4 * _SIZE)
    try:
        found = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        found = b""
    if len(found) != _SIZE:
        raise Refused(
            f"{file} is no key any more",
            hint="bring it back; without it, earlier audit logs cannot be verified",
        )
    return found


def find_or_make(env: Mapping[str, str]) -> bytes:
    """The key, made where there is none: of two that make one at once, both get the same."""
    found = find(env)
    if found is not None:
        return found
    file = path(env)
    new = file.with_name(f"key.{os.getpid()}")
    with durable.writing(file):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            new.unlink()
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            durable.write_all(handle, os.urandom(_SIZE).hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        with suppress(FileExistsError):
            os.link(new, file)
        new.unlink()
        durable.sync_folder(file.parent)
    return find(env) or b""
