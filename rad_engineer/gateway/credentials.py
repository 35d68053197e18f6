"""The key: found once, held outside of our own memory, handed to the gateway as a descriptor, and told to nobody.

It is looked for as the vendor's SDK does: an argument, two environment variables, the profiles of the SDK; then in the
keyring, where one is installed, and in a file of our own. A profile is resolved in the gateway, by the SDK itself.
"""

import ctypes
import os
import stat
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from rad_engineer import durable
from rad_engineer.errors import Refused

KEY, TOKEN, IDENTITY = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_IDENTITY_TOKEN"
SECRETS = (KEY, TOKEN, IDENTITY, "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_WEBHOOK_SIGNING_KEY")
"""Variables that nothing we start may see."""

_FEDERATION = ("ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID")
_KEYRING_NAME = ("rad-engineer", "anthropic")
LONGEST = 16384
"""No key has more bytes."""
_PR_SET_DUMPABLE = 4
_ENV_START = 47  # of /proc/self/stat, counted from 0 after the name of the program; its end comes next


class Secret:
    """Bytes that the kernel keeps in a file without a name. They are not in this process's memory, and not in its children's."""

    def __init__(self, value: bytes | bytearray | memoryview) -> None:
        if len(value) > LONGEST:
            raise Refused("a key of this length is none", hint="give the key alone")
        self._size = len(value)
        self._file = _nameless()
        _open.add(self._file)
        weakref.finalize(self, _close, self._file)
        os.pwrite(self._file, value, 0)

    def __repr__(self) -> str:
        return "Secret(**********)"

    def __bool__(self) -> bool:
        return self._size > 0

    def fileno(self) -> int:
        """The file, for `handed` in the process that it is sent to."""
        return self._file


def handed(file: int) -> bytes:
    """The value of a secret whose file was sent here; closes it."""
    try:
        return os.pread(file, LONGEST, 0)
    finally:
        os.close(file)


_open: set[int] = set()


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rad", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _close(file: int) -> None:
    if file in _open:  # a fork has closed it, and may have another one of that number
        _open.remove(file)
        os.close(file)


def _leave_behind() -> None:
    """A fork gets no secret."""
    for file in tuple(_open):
        _close(file)


os.register_at_fork(after_in_child=_leave_behind)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens the upstream; `source` may be shown to people. A profile has no secret: the gateway finds it."""

    kind: Literal["key", "token", "profile", "none"]
    source: str
    secret: Secret


def take(environ: Any = None) -> dict[str, Secret]:
    """Takes the secrets out of this process's environment, and wipes them where the process began with them.

    To be called before the first fork: `/proc/PID/environ` shows that block to whoever may look, as long as we live.
    """
    variables = os.environb if environ is None else environ
    taken = {}
    for name in SECRETS:
        value = variables.pop(name.encode(), None)
        if value is not None:
            taken[name] = Secret(_trimmed(value, len(value)))
            _erase(value)
    if environ is None and taken:
        _wipe_block()
    return taken


def harden() -> bool:
    """Lets nobody but root look into this process's memory; to be called after the fork of whoever is looked into."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(hasattr(libc, "prctl") and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def find(
    taken: Mapping[str, Secret], env: Mapping[str, str], argument: str | None = None
) -> Credentials | None:
    """The credentials that apply; None where there are none. Raises Refused for a file that others may read."""
    if argument:
        return Credentials("key", "the argument", Secret(argument.encode()))
    if taken.get(KEY):
        return Credentials("key", KEY, taken[KEY])
    if taken.get(TOKEN):
        return Credentials("token", TOKEN, taken[TOKEN])
    profile = _profile(env)
    if profile is None and all(env.get(name) for name in _FEDERATION):
        profile = "workload identity"
    if profile is not None:
        return Credentials("profile", profile, taken.get(IDENTITY, Secret(b"")))
    return _stored(env)


def store(key: str, env: Mapping[str, str]) -> str:
    """Keeps a key for later runs, in the keyring or else in a file; says where."""
    ring = _keyring()
    if ring is not None:
        with suppress(ring.errors.KeyringError):
            ring.set_password(*_KEYRING_NAME, key)
            return "the keyring"
    path = stored_path(env)
    with durable.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileNotFoundError):
        path.with_name(path.name + ".new").unlink()  # its mode would stay as it is
    durable.replace(path, key.encode() + b"\n", 0o600)
    return str(path)


def forget(env: Mapping[str, str]) -> list[str]:
    """Removes what `store` has kept; says from where."""
    gone = []
    ring = _keyring()
    if ring is not None:
        with suppress(ring.errors.KeyringError):
            ring.delete_password(*_KEYRING_NAME)
            gone.append("the keyring")
    with suppress(FileNotFoundError):
        stored_path(env).unlink()
        gone.append(str(stored_path(env)))
    return gone


def stored_path(env: Mapping[str, str]) -> Path:
    """The file a key is kept in where there is no keyring."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or Path.home()) / ".config")
    return Path(home) / "rad-engineer" / "credentials"


def _stored(env: Mapping[str, str]) -> Credentials | None:
    ring = _keyring()
    if ring is not None:
        with suppress(ring.errors.KeyringError):
            found = ring.get_password(*_KEYRING_NAME)
            if found:
                return Credentials("key", "the keyring", Secret(found.encode()))
    path = stored_path(env)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            f"cannot read the key in {path}: {error.strerror}", hint="rad-engineer login"
        ) from error
    try:
        if os.fstat(handle).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Refused(
                f"others may read the key in {path}",
                hint=f"make a new key; chmod 600 {path}; rad-engineer login",
            )
        buffer = bytearray(LONGEST)
        size = os.readv(handle, [buffer])
    finally:
        os.close(handle)
    secret = Secret(_trimmed(buffer, size))
    ctypes.memset((ctypes.c_char * LONGEST).from_buffer(buffer), 0, LONGEST)
    return Credentials("key", str(path), secret) if secret else None


def _profile(env: Mapping[str, str]) -> str | None:
    """The profile that the SDK would take; None where none is set up. What is wrong with it, the SDK says."""
    if env.get("ANTHROPIC_PROFILE"):
        return f"profile {env['ANTHROPIC_PROFILE']}"
    folder = Path(
        env.get("ANTHROPIC_CONFIG_DIR") or Path(env.get("HOME") or Path.home()) / ".config" / "anthropic"
    )
    try:
        name = (folder / "active_config").read_text(encoding="utf-8").strip()
    except OSError:
        name = ""
    if name or (folder / "configs" / "default.json").is_file():
        return f"profile {name or 'default'}"
    return None


def _keyring() -> Any:
    if find_spec("keyring") is None:
        return None
    return import_module("keyring")  # an extra, and slow to load


def _trimmed(value: bytes | bytearray, end: int) -> memoryview:
    """The value up to there without white space around it, and without a copy that would stay in memory."""
    start = 0
    while start < end and value[start] in b" \t\r\n":
        start += 1
    while end > start and value[end - 1] in b" \t\r\n":
        end -= 1
    return memoryview(value)[start:end]


def _erase(value: bytes) -> None:
    """Overwrites a bytes object that nobody will read again: freed memory keeps what was in it."""
    if len(value) > 1:  # one of a single byte belongs to the interpreter
        ctypes.memset(id(value) + bytes.__basicsize__ - 1, 0, len(value))


def _wipe_block() -> None:
    """Overwrites the values of our variables where the kernel has put them."""
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # no such file on this system, so nobody reads it there either
        return
    start, end = int(fields[_ENV_START]), int(fields[_ENV_START + 1])
    if not start < end:
        return
    block = bytearray((ctypes.c_char * (end - start)).from_address(start))
    for name in SECRETS:
        at = block.find(b"\0%b=" % name.encode()) + 1
        if at or block.startswith(name.encode() + b"="):
            ctypes.memset(start + at, 0, block.index(b"\0", at) - at)
    block[:] = bytes(len(block))
