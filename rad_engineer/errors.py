"""What goes wrong on purpose, and its exit code.

RadError
├── UsageError      2   the command line contradicts itself
├── PrdInvalid     65   a PRD cannot be understood, or its graph cannot be run
├── NoInput        66   a named file, run or story does not exist
├── NoAgent        69   no agent or provider to do the work
├── CannotWrite    73   state cannot be written: disk full, read-only, I/O error
├── Locked         75   another run holds the lock
├── Refused        77   policy or trust says no
└── ConfigInvalid  78   configuration or repository cannot be used as it is
"""

import errno
from enum import IntEnum

OUT_OF_MEANS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""The machine has no process, memory or file descriptor left for us."""


class ExitCode(IntEnum):
    """The exit codes of every command; stable, so that shell loops can rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    MORE = 3
    WAITING = 4
    PRD_INVALID = 65
    NO_INPUT = 66
    NO_AGENT = 69
    BUG = 70
    CANNOT_WRITE = 73
    LOCKED = 75
    REFUSED = 77
    BAD_CONFIG = 78
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class Stopped(KeyboardInterrupt):
    """Somebody has asked with a signal that we end; it unwinds as ^C does."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__()
        self.exit_code = exit_code


class RadError(Exception):
    """Ends the command with `exit_code`; says what is wrong and, in `hint`, what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(RadError):
    """The command line contradicts itself."""

    exit_code = ExitCode.USAGE


class PrdInvalid(RadError):
    """A PRD cannot be understood, or its graph cannot be run."""

    exit_code = ExitCode.PRD_INVALID

    def __init__(self, message: str, *, code: str = "INVALID", line: int | None = None,
                 column: int | None = None, hint: str | None = None) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.code = code
        self.line = line
        self.column = column


class NoInput(RadError):
    """A named file, run or story does not exist."""

    exit_code = ExitCode.NO_INPUT


class NoAgent(RadError):
    """No agent or provider to do the work."""

    exit_code = ExitCode.NO_AGENT


class CannotWrite(RadError):
    """State cannot be written; whatever was acknowledged before is safe."""

    exit_code = ExitCode.CANNOT_WRITE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(
            message, hint=hint or "make room or mend what is named, then run the same command again"
        )


class Locked(RadError):
    """Another run holds the lock."""

    exit_code = ExitCode.LOCKED


class Refused(RadError):
    """Policy or trust says no."""

    exit_code = ExitCode.REFUSED


class ConfigInvalid(RadError):
    """Configuration or repository cannot be used as it is."""

    exit_code = ExitCode.BAD_CONFIG
