"""The command line: one verb is found, imported and called, and every error becomes an exit code."""

import errno
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from rad_engineer.errors import ExitCode, RadError, Stopped, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rad_engineer.commands import Verb

EXIT_CODES = (
    (ExitCode.OK, "every selected story passed, or nothing to do"),
    (ExitCode.FAILED, "a story or gate failed"),
    (ExitCode.USAGE, "the command line is wrong"),
    (ExitCode.MORE, "more stories could start right now (--once, --max-stories)"),
    (ExitCode.WAITING, "what is left waits: a human, unverified work, deadline, usage limit"),
    (ExitCode.PRD_INVALID, "a PRD is invalid"),
    (ExitCode.NO_INPUT, "no such file, run or story"),
    (ExitCode.NO_AGENT, "no agent to do the work"),
    (ExitCode.BUG, "a bug in rad-engineer (the path of a log is printed)"),
    (ExitCode.CANNOT_WRITE, "state cannot be written"),
    (ExitCode.LOCKED, "another run holds the lock"),
    (ExitCode.REFUSED, "refused by policy or trust"),
    (ExitCode.BAD_CONFIG, "configuration or repository cannot be used"),
    (ExitCode.HUNG_UP, "stopped by SIGHUP (the terminal was closed), after a checkpoint"),
    (ExitCode.INTERRUPTED, "stopped by SIGINT, after a checkpoint"),
    (ExitCode.TERMINATED, "stopped by SIGTERM, after a checkpoint"),
)
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_STARTS_WORKERS = ("run", "resume")
_COMPLETION = ("--install-completion", "--show-completion")


def main(argv: list[str]) -> int:
    """Runs one command line and returns its exit code; nothing but SystemExit gets out."""
    try:
        code = _answer(argv)
    except RadError as error:
        _say(f"error: {error}", error.hint)
        code = error.exit_code
    except KeyboardInterrupt as asked:
        _say("interrupted")
        code = asked.exit_code if isinstance(asked, Stopped) else ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the one place where everything else ends
        code = _unexpected(error, argv)
    return _flushed(code)


def _answer(argv: list[str]) -> int:
    if sys.platform == "win32":
        _say("error: native Windows is not supported; rad-engineer works inside WSL")
        return ExitCode.BAD_CONFIG
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    if "_RAD_ENGINEER_COMPLETE" in os.environ or (argv and argv[0].split("=")[0] in _COMPLETION):
        from rad_engineer import arguments  # noqa: PLC0415

        arguments.completion(argv)
        return ExitCode.OK
    taken = _secrets(argv)
    zygote = _zygote(argv)
    try:
        return _call(argv, zygote, taken)
    finally:
        if zygote is not None:
            _retire(zygote)


def _secrets(argv: list[str]) -> dict[str, Any]:
    """The keys in our environment, taken out of it before anything is forked that could look at it."""
    if argv[:1] not in (["run"], ["resume"]) or not any(name.startswith("ANTHROPIC_") for name in os.environ):
        return {}
    from rad_engineer.gateway import credentials  # noqa: PLC0415

    return credentials.take()


def _call(argv: list[str], zygote: Any, taken: dict[str, Any]) -> int:
    from rad_engineer import command_line, commands  # noqa: PLC0415

    verb, rest = commands.find(argv)
    if verb is None:
        return _without_verb(argv)
    keywords = command_line.keywords(verb, rest)
    if keywords is None:
        return ExitCode.OK
    if verb.workers:
        gc.disable()  # until the loop begins: all that is read before it is kept
        keywords["early"] = commands.Early(taken, zygote)
    return int(_target(verb)(**keywords) or 0)


def _zygote(argv: list[str]) -> Any:
    """Where workers come from, started while this process is still small; None when there will be none."""
    if not argv or argv[0] not in _STARTS_WORKERS:
        return None
    options = argv[: argv.index("--")] if "--" in argv else argv
    if any(option in ("-h", "--help", "--dry-run") for option in options):
        return None
    from rad_engineer.engines.local import start_zygote  # noqa: PLC0415

    return start_zygote("rad_engineer.worker.jobs:serve", dict(os.environ))


def _retire(zygote: Any) -> None:
    """Sees that the zygote has ended when we do, also where a command never got to use it."""
    import time  # noqa: PLC0415
    from contextlib import suppress  # noqa: PLC0415

    give_up = time.monotonic() + 2.0
    zygote.control.close()
    with suppress(ChildProcessError):  # whoever used it has waited for it already
        while os.waitpid(zygote.pid, os.WNOHANG)[0] == 0 and time.monotonic() < give_up:
            time.sleep(0.002)


def _target(verb: "Verb") -> "Callable[..., int | None]":
    from importlib import import_module  # noqa: PLC0415

    module, _, name = verb.target.partition(":")
    target: Callable[..., int | None] = getattr(import_module(module), name)
    return target


def _without_verb(argv: list[str]) -> int:
    from rad_engineer.commands import VERBS  # noqa: PLC0415

    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(overview())
        return ExitCode.OK
    family = [verb for verb in VERBS if verb.name.startswith(f"{argv[0]} ")]
    if family:
        lines = [f"  {verb.name:18}{verb.doc}" for verb in family]
        if argv[1:] in ([], ["-h"], ["--help"]):
            sys.stdout.write("\n".join([f"Usage: rad-engineer {argv[0]} COMMAND", "", *lines, ""]))
            return ExitCode.OK
    word = argv[0] if not family else " ".join(argv[:2])
    if word.startswith("-"):
        raise UsageError(
            f"no such option: {word}", hint="options follow the command; see `rad-engineer --help`"
        )
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, [verb.name for verb in VERBS], n=1)
    hint = f"did you mean `rad-engineer {near[0]}`?" if near else "see `rad-engineer --help`"
    raise UsageError(f"no such command: {word}", hint=hint)


def overview() -> str:
    """The top-level help: every verb with one line, the exit codes, an example."""
    from rad_engineer.commands import VERBS  # noqa: PLC0415

    lines = ["Usage: rad-engineer COMMAND [OPTIONS] [ARGUMENTS]", ""]
    lines += ["Runs PRD files with coding agents: verified, landed commits come out.", ""]
    group = ""
    for verb in VERBS:
        if verb.group != group:
            group = verb.group
            lines += ["", f"{group}:"] if lines[-1] else [f"{group}:"]
        lines.append(f"  {verb.name:18}{verb.doc}")
    lines += ["", "Options:", "  -h, --help        show this text; every command has its own, with examples"]
    lines += ["  --version         show the version"]
    lines += [
        "  --install-completion, --show-completion",
        "                    completion for the current shell",
        "",
    ]
    lines += ["Exit codes:", *(f"  {int(code):<5}{meaning}" for code, meaning in EXIT_CODES), ""]
    lines += [
        "Example:",
        "  rad-engineer plan prd/phase1.json",
        "  rad-engineer run prd/phase1.json -j 4",
        "",
    ]
    return "\n".join(lines)


def _say(message: str, hint: str | None = None) -> None:
    from rad_engineer.core.printable import plain  # noqa: PLC0415 - names and keys of strangers are in it

    text = f"rad-engineer: {message}\n" + (f"hint: {hint}\n" if hint else "")
    try:
        sys.stderr.write("\n".join(map(plain, text.split("\n"))))
        sys.stderr.flush()
    except OSError:  # nobody is left to be told
        pass


def _flushed(code: int) -> int:
    """The exit code once standard output is out; a reader that left is no error of ours."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return unwritten(error, code)
    return int(code)


def unwritten(error: OSError, code: int) -> int:
    """The exit code when standard output could not be written."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())  # else the interpreter complains at its end
    if error.errno == errno.EPIPE:
        return int(code)
    _say(
        f"error: cannot write the output: {error.strerror}\nhint: make room where it goes, or send it elsewhere"
    )
    return int(ExitCode.CANNOT_WRITE)


def _unexpected(error: Exception, argv: list[str]) -> int:
    """What the system or a bug did: a reader that left, a full disk, or a crash that is written down."""
    if isinstance(error, BrokenPipeError) and _reader_left():
        return ExitCode.TERMINATED if argv[0] in _STARTS_WORKERS else ExitCode.OK
    if _starved(error):
        _say("error: out of memory", "free memory, or use fewer --jobs, then run the same command again")
        return ExitCode.CANNOT_WRITE
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        place = f": {error.filename}" if error.filename else ""
        if not place and error.errno in _UNWRITTEN:  # what else is written says where
            return unwritten(error, ExitCode.CANNOT_WRITE)
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            _say(f"error: {error.strerror}{place}", "check the path: there can be no such file")
            return ExitCode.NO_INPUT
        _say(
            f"error: {error.strerror or error}{place}",
            "make room or allow what is named, then run the same command again",
        )
        return ExitCode.CANNOT_WRITE
    try:
        log = _crash_log(error, argv)
    except MemoryError as without:  # then this was it: an import that is cut off ends in anything
        return _unexpected(without, argv)
    _say(f"error: internal error ({type(error).__name__})", f"please report it; the details are in {log}")
    return ExitCode.BUG


def _starved(error: BaseException | None) -> bool:
    """Whether memory was missing, also where something else came of it."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reader_left() -> bool:
    import select  # noqa: PLC0415

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


def _crash_log(error: Exception, argv: list[str]) -> str:
    """Writes down what happened, for a report; only the user can read it."""
    import platform  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    import time  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    from rad_engineer import __version__  # noqa: PLC0415
    from rad_engineer.settings import state_home  # noqa: PLC0415

    name = time.strftime(f"crash-%Y%m%dT%H%M%SZ-{os.getpid()}.log", time.gmtime())
    lines = [f"rad-engineer {__version__}", f"python {sys.version}", f"system {platform.platform()}"]
    lines += [f"command {argv!r}", "", "".join(traceback.format_exception(error))]
    text = "\n".join(lines).encode("utf-8", "backslashreplace")
    for folder in (str(state_home(os.environ)), tempfile.gettempdir()):
        path = os.path.join(folder, name)  # noqa: PTH118
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as log:  # noqa: PTH123
                log.write(text)
        except OSError:
            continue
        return path
    return f"no file, because none could be written: {error}"
