"""Command-line agents: a row of `adapters` started in the slot, its events read, its end understood."""

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import process, sandbox
from rad_engineer.agents import AgentOutcome, AgentResult, AgentWork, acp, logins
from rad_engineer.agents.adapters import ADAPTERS, PRIVATE, Adapter, own_folder
from rad_engineer.agents.cli_events import Reader, Told
from rad_engineer.core.fence import Marks
from rad_engineer.core.secret_rules import redacted
from rad_engineer.durable import write_all
from rad_engineer.errors import CannotWrite

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROBE_SECONDS = 20.0
_TOO_LONG = 124  # as timeout(1) has it
_OUTPUT = 32_000
_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*\b")
_ENDINGS = ("_API_KEY", "_AUTH_TOKEN", "_SECRET", "_PASSWORD", "_SECRET_KEY", "_ACCESS_KEY")


@dataclass(frozen=True, slots=True)
class Installed:
    """What is known of an agent on this machine; no path means that it is not there."""

    adapter: Adapter
    path: str = ""
    version: str = ""
    left_out: tuple[str, ...] = ()  # flags that this version does not know
    warnings: tuple[str, ...] = ()
    answered: bool = True  # else it took too long, which may be otherwise the next time


_probed: dict[tuple[str, int, int], Installed] = {}


def probe(adapter: Adapter, env: Mapping[str, str]) -> Installed:
    """Looks for the program and asks for its version and its help, once for each file; never for long."""
    path = shutil.which(adapter.program, path=process.absolute_path(env.get("PATH", os.defpath)))
    if path is None:
        return Installed(adapter)
    status = Path(path).stat()
    key = (path, status.st_mtime_ns, status.st_size)
    found = _probed.get(key) or _asked(adapter, path, _without_secrets(adapter, env))
    if found.answered:
        _probed[key] = found
    return found


def _asked(adapter: Adapter, path: str, env: Mapping[str, str]) -> Installed:
    code, out, err = process.capture([path, "--version"], env=env, timeout=_PROBE_SECONDS)
    if code != 0:
        why = f"`{adapter.program} --version` ended with {code}: its version is not known"
        return Installed(adapter, path, "", (), (f"{adapter.name}: {why}",), code != _TOO_LONG)
    said = _VERSION.search((out or err).decode("utf-8", "replace"))
    version = said[0] if said is not None else ""
    if not adapter.optional:
        return Installed(adapter, path, version)
    code, out, err = process.capture([path, *adapter.help], env=env, timeout=_PROBE_SECONDS)
    known = (out + err).decode("utf-8", "replace")
    if code == _TOO_LONG or not known.strip():  # half a help names half of the options
        return Installed(adapter, path, version, answered=code != _TOO_LONG)
    lost = [option for option in adapter.optional if option.flag not in known]
    warnings = tuple(
        f"{adapter.name} {version}".rstrip() + f" has no {option.flag}: {option.loses}" for option in lost
    )
    return Installed(adapter, path, version, tuple(option.flag for option in lost), warnings)


def command_line(found: Installed, work: AgentWork, state: Path, session: str = "") -> list[str]:
    """The arguments, with the marks of the row filled in; the prompt's text and secrets are not among them."""
    adapter = found.adapter
    forced = work.base_url or (adapter.forced and work.box.level != "off")
    model = work.model or (adapter.default_model if forced else "")
    whole = "/" in model and not work.base_url  # with a provider of its own
    inside = work.box.inside
    values = {
        "{prompt}": inside(work.prompt),
        "{state}": inside(state),
        "{model}": model,
        "{session}": session,
    }
    marks: dict[str, Sequence[str]] = {
        "{model}": [part.removeprefix("anthropic/") if whole else part for part in adapter.model if model],
        "{resume}": adapter.resume if session else (),
        "{way}": adapter.metered_way if work.base_url else adapter.own_way,
        "{optional}": [
            argument
            for option in adapter.optional
            if option.flag not in found.left_out
            for argument in option.arguments
        ],
    }
    arguments = [part for argument in adapter.argv for part in marks.get(argument, (argument,))]
    program = found.path
    if work.box.level != "off":
        program = sandbox.program(program, work.env)[0]
    line = [program or adapter.program, *(_filled(argument, values) for argument in arguments)]
    if adapter.acp:  # through the gateway its environment says which model
        return acp.command(work.box, work.prompt, session, "" if work.base_url else model, line)
    return line


def mounts(adapter: Adapter, env: Mapping[str, str]) -> tuple[sandbox.Mount, ...]:
    """What a box has to show for this agent to run in it."""
    found = probe(adapter, env)
    own = sandbox.program(found.path, env)[1] if found.path else ()
    return (*own, *acp.mounts()) if adapter.acp else own


def lacking(adapter: Adapter) -> str:
    """What is to be installed here for an agent that is installed itself; empty where nothing is."""
    why = acp.lacking() if adapter.acp else ""
    return why and f"{adapter.name}: {why}"


def environment(adapter: Adapter, work: AgentWork, state: Path) -> dict[str, str]:
    """The user's, without credentials but those of the agent's own row; through the gateway without those as well."""
    metered = bool(work.base_url)
    env = _without_secrets(adapter, work.env, keep=() if metered else adapter.variables)
    values = {
        "{base_url}": work.base_url.rstrip("/"),
        "{token}": work.token,
        "{model}": work.model or adapter.default_model,
        "{state}": work.box.inside(state),
    }
    env |= {
        name: _filled(text, values) for name, text in (*adapter.environment.items(), *adapter.home.items())
    }
    if metered:
        env |= {name: filled for name, text in adapter.metered.items() if (filled := _filled(text, values))}
    for name in ("NO_PROXY", "no_proxy"):
        before = [part for part in env.get(name, "").split(",") if part.strip()]
        env[name] = ",".join(dict.fromkeys((*before, *LOOPBACK)))
    return env


def _without_secrets(adapter: Adapter, env: Mapping[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    own = {*keep, *(() if not keep else adapter.home)}
    return {
        name: value
        for name, value in env.items()
        if name in own or not (name in PRIVATE or name.upper().endswith(_ENDINGS))
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


class _Log:
    """What an agent said, readable and without secrets; bounded, as it goes on."""

    def __init__(self, path: Path, limit: int, secrets: Sequence[str], marks: Marks) -> None:
        self._path, self._left, self._marks = path, limit, marks
        self._secrets = [secret for secret in secrets if len(secret) >= 8]
        self.tail = ""
        self.shown = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotWrite(f"{path}: {error.strerror}") from error

    def add(self, lines: Iterator[str]) -> None:
        """Takes lines to show."""
        for line in lines:
            self._add(line)

    def _add(self, line: str) -> None:
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        text = redacted(process.plain(self._marks.redacted(line))).rstrip() + "\n"
        self.tail = (self.tail + text)[-_OUTPUT:]
        self.shown = next((part.strip() for part in reversed(text.splitlines()) if part.strip()), self.shown)[
            :500
        ]
        data = text.encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        try:
            write_all(self._handle, data)
        except OSError as error:
            raise CannotWrite(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Ends it."""
        os.close(self._handle)


def run(adapter: Adapter, work: AgentWork, session: str = "") -> AgentResult:
    """Runs the agent once, to its end or to a limit; `session` is one of its own to go on with."""
    found = probe(adapter, work.env)
    missing = "" if found.path else f"{adapter.program}: command not found"
    missing = missing or lacking(adapter)
    if missing:
        return AgentResult("missing", 127, output=f"{missing}\n", unmetered=not work.base_url)
    state = _state(adapter, work)
    env = environment(adapter, work, state)
    reader = Reader(adapter.dialect)
    log = _Log(
        work.log,
        work.limits.log_bytes,
        [work.token, *(env[name] for name in adapter.variables if name in env)],
        work.marks,
    )
    log.add(iter(found.warnings))
    try:
        lent = [] if work.base_url else _lent(adapter, work, state)
    except logins.NotLent as error:
        log.add(iter([str(error)]))
        log.close()
        return AgentResult("failed", output=f"{error}\n", unmetered=True)
    try:
        ended = work.box.run(
            command_line(found, work, state, session),
            cwd=work.slot,
            env=env,
            stdin=work.prompt if adapter.prompt == "stdin" else None,
            limits=work.limits,
            cancel=work.cancel,
            on_line=lambda _line: work.on_line(log.shown) if work.on_line is not None else None,
            on_start=work.on_started if adapter.honest else None,
            on_exit=(lambda code: _tell_finished(adapter, work, code, reader.told))
            if adapter.honest
            else None,
            on_data=lambda data: log.add(reader.feed(data)),
        )
        log.add(reader.end())
        if ended.reason == "not-started":
            log.add(iter([ended.output]))
    finally:
        log.add(iter(logins.take_back(lent)))
        log.close()
    if not adapter.honest and ended.reason == "exited" and ended.code is not None:
        _tell_finished(adapter, work, ended.code, reader.told)  # now that all it said has been read
    return _result(adapter, work, ended, reader.told, log.tail)


def _tell_finished(adapter: Adapter, work: AgentWork, code: int, told: Told) -> None:
    if work.on_finished is not None and _outcome(adapter, "exited", code, told) == "finished":
        work.on_finished(
            AgentResult(
                "finished",
                code,
                model=told.model or work.model,
                session=told.session,
                unmetered=not work.base_url,
            )
        )


def _result(
    adapter: Adapter, work: AgentWork, ended: process.Completed, told: Told, output: str
) -> AgentResult:
    outcome = _outcome(adapter, ended.reason, ended.code, told)
    message = told.message or (told.murmur[1] if told.murmur is not None else "")
    if outcome == "later" and _trouble(told) == "login":
        output += f"\n{adapter.name} is not logged in: {adapter.login}, then: rad-engineer resume\n"
    retry_at = told.retry_at
    if outcome == "later" and retry_at is None:
        now = time.time()
        retry_at = now + told.retry_after if told.retry_after is not None else _said_time(message, now)
    return AgentResult(
        outcome, ended.code, ended.seconds, output,
        cost_usd=told.cost_usd, tokens=told.tokens, retry_at=retry_at if outcome == "later" else None,
        summary=told.text, turns=told.turns, model=told.model or work.model, unmetered=not work.base_url,
        session=told.session, reason=_trouble(told) if outcome == "later" else "",
    )  # fmt: skip


def _said_time(message: str, now: float) -> float | None:
    from datetime import datetime  # noqa: PLC0415 - only where somebody waits

    from rad_engineer.agents.reset_times import find  # noqa: PLC0415 - the same

    return find(message, datetime.fromtimestamp(now).astimezone())


def _trouble(told: Told) -> str:
    if told.trouble not in (None, "error"):
        return str(told.trouble)
    return told.murmur[0] if told.murmur is not None and not told.ended else str(told.trouble or "")


def _outcome(adapter: Adapter, reason: process.Reason, code: int | None, told: Told) -> AgentOutcome:
    """Exit code 0 and no event of a failure is a good end; a limit, a login or a budget can wait."""
    if reason == "not-started" or (reason == "exited" and code in (126, 127) and not told.session):
        return "missing"
    if reason != "exited":
        return reason
    suspect = adapter.dialect == "aider" and told.murmur is not None
    if code == 0 and told.trouble is None and not suspect:
        return "finished"
    return "later" if _trouble(told) in ("limit", "login", "budget") else "failed"


def _lent(adapter: Adapter, work: AgentWork, state: Path) -> list[logins.Lent]:
    home = Path(work.env.get("HOME") or os.environ.get("HOME") or "/")
    return logins.lend(adapter, home, state, boxed=work.box.level != "off")


def _state(adapter: Adapter, work: AgentWork) -> Path:
    """A folder of the agent's own, the same for all attempts at a story: its sessions lie there."""
    attempt = work.folder or work.log.parent
    state = attempt.parent / own_folder(adapter.name)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{state}: {error.strerror}") from error
    return state


@dataclass(frozen=True, slots=True)
class CliAgent:
    """A row of `adapters` as an agent like any other."""

    adapter: Adapter

    def run(self, work: AgentWork) -> AgentResult:
        """Works until done, failed or stopped; leaves no process behind."""
        return run(self.adapter, work, work.session)


def agent(name: str) -> CliAgent:
    """The agent of that name; raises KeyError."""
    return CliAgent(ADAPTERS[name])
