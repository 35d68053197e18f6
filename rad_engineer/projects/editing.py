"""The configuration in the user's editor: on a copy, which takes the file's place only when it is valid."""

import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rad_engineer import durable
from rad_engineer.errors import ConfigInvalid, RadError, UsageError
from rad_engineer.process.child import spawn
from rad_engineer.projects import configuration

_LARGEST = 10_000_000
_NEW = "# Every setting there is: rad-engineer config reference\n"


def edit(root: Path, env: Mapping[str, str]) -> bool:
    """Opens the editor and takes over what it leaves, if anything was changed; returns whether.

    Raises ConfigInvalid for what cannot be used: it is kept, the message says where, and the file is as it was.
    """
    aim = configuration.target(root)
    before = aim.text if aim.exists else _NEW
    argv = _editor(env)
    folder = Path(tempfile.mkdtemp(prefix="rad-engineer-"))
    copy = folder / aim.path.name
    copy.write_bytes(before.encode())
    try:
        code = _open([*argv, str(copy)], env)
    except UsageError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    kept = f"what you wrote is kept in {copy}; {aim.path} is as it was"
    try:
        data = durable.read_regular(copy, _LARGEST)
    except FileNotFoundError:
        data = before.encode()
    except OSError as error:
        raise ConfigInvalid(f"what `{shlex.join(argv)}` has left is {error.strerror}", hint=kept) from None
    if data == before.encode():
        shutil.rmtree(folder, ignore_errors=True)
        if code:
            raise RadError(f"`{shlex.join(argv)}` ended with {code}; nothing was changed")
        return False
    if code:
        raise RadError(f"`{shlex.join(argv)}` ended with {code}", hint=kept)
    try:
        text = data.decode("utf-8")
        configuration.check(root, aim, text)
        configuration.write(aim, text)
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{aim.path}: not UTF-8 at byte {error.start}", hint=kept) from None
    except RadError as error:
        error.hint = "\n".join(filter(None, (error.hint, kept)))
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _editor(env: Mapping[str, str]) -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        try:
            argv = shlex.split(env.get(name, ""))
        except ValueError:
            raise UsageError(f"${name} is no command line: {env[name]}") from None
        if argv:
            return argv
    found = next((name for name in ("editor", "vi", "nano") if shutil.which(name, path=env.get("PATH"))), "")
    if not found:
        raise UsageError("there is no editor", hint="set EDITOR, e.g. EDITOR=nano rad-engineer config edit")
    return [found]


def _open(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Ctrl-C belongs to the editor while it is open."""
    with _interrupts_ignored():
        try:
            return spawn(argv, None, env, (0, 1, 2), new_session=False).wait()
        except OSError as error:
            raise UsageError(
                f"cannot start `{shlex.join(argv[:-1])}`: {error.strerror}",
                hint="set EDITOR, e.g. EDITOR=nano rad-engineer config edit",
            ) from None


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
