"""One turn of an agent that speaks the protocol: begin or go on with a session, prompt, hear it out, let it end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from acp import PROTOCOL_VERSION, RequestError, connect_to_agent, text_block
from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation, InitializeResponse, Usage
from pydantic import ValidationError

from rad_engineer import __version__
from rad_engineer.agents.acp.client import Client
from rad_engineer.agents.acp.lines import LONGEST, Lines, next_line
from rad_engineer.agents.acp.told import Telling

_BEGINS_WITHIN = 120.0  # an agent may have to index a project first
_ENDS_WITHIN = 5.0
_HEARD_WITHIN = 1.0
_NOT_LOGGED_IN = -32000
_STATUS = {_NOT_LOGGED_IN: 401}


if TYPE_CHECKING:
    from acp import Client as ClientMethods  # all of them, also those that we do not offer


class Failed(Exception):
    """The turn came to no good end; `status` is what a server would say of the reason."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """What the agent is to do, in which session of its own and with which model; empty: a new one, the one it has."""

    prompt: str
    session: str = ""
    model: str = ""


async def turn(asked: Asked, slot: Path, agent: Sequence[str], telling: Telling) -> int:
    """Has the agent work in the slot; the exit code says whether it came to the end of its turn."""
    try:
        running = await asyncio.create_subprocess_exec(
            *agent, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=slot, limit=LONGEST,
        )  # fmt: skip
    except OSError as error:
        telling.ended(f"{agent[0]}: {error.strerror}")
        return 127
    heard = asyncio.create_task(_hear(running.stderr, telling))
    try:
        await _Turn(running, slot, telling).take(asked)
    except Failed as failed:
        telling.ended(str(failed), failed.status)
        return 1
    finally:
        await _let_end(running)
        with suppress(TimeoutError):  # a process of its own may have kept it open
            await asyncio.wait_for(heard, _HEARD_WITHIN)
    telling.ended()
    return 0


class _Turn:
    """The conversation with one process."""

    def __init__(self, running: asyncio.subprocess.Process, slot: Path, telling: Telling) -> None:
        if running.stdin is None or running.stdout is None:
            raise AssertionError("it was started with pipes")
        self._running, self._telling = running, telling
        self._slot = slot
        self._client = Client(slot, telling)
        wire = Lines(running.stdout, running.stdin, telling.noise)
        self._agent = connect_to_agent(cast("ClientMethods", self._client), wire)

    async def take(self, asked: Asked) -> None:
        """Raises Failed."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        try:
            can = await self._asked("initialize", self._initialize(), _BEGINS_WITHIN)
            if can.protocol_version != PROTOCOL_VERSION:
                raise Failed(
                    f"it speaks version {can.protocol_version} of the protocol, we speak {PROTOCOL_VERSION}"
                )
            self._telling.begun(await self._session(asked, can))
            self._client.listens = True
            words: list[Any] = [text_block(asked.prompt)]
            answer = await self._asked(
                "prompt", self._agent.prompt(session_id=self._telling.session, prompt=words), None
            )
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
            await self._agent.close()
        self._telling.used = _used(answer.usage)
        if answer.stop_reason != "end_turn":
            raise Failed(f"it stopped before it was done: {answer.stop_reason}")

    async def _initialize(self) -> InitializeResponse:
        files = FileSystemCapabilities(read_text_file=True, write_text_file=True)
        return await self._agent.initialize(
            protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(fs=files, terminal=False),
            client_info=Implementation(name="rad-engineer", version=__version__),
        )

    async def _session(self, asked: Asked, can: InitializeResponse) -> str:
        """The session to work in: the one that is wanted, where the agent still has it, else a new one."""
        known, made = asked.session, None
        for way in self._ways_back(can) if known else ():
            back = way(cwd=str(self._slot), session_id=known, mcp_servers=[])
            try:
                made = await self._asked("session", back, _BEGINS_WITHIN)
                break
            except Failed as failed:
                self._telling.noise(f"it cannot go on with session {known}: {failed}")
        if made is None:
            new = self._agent.new_session(cwd=str(self._slot), mcp_servers=[])
            made = await self._asked("session", new, _BEGINS_WITHIN)
            known = str(made.session_id)
        if asked.model:
            await self._choose(known, asked.model, made.config_options or [])
        return known

    def _ways_back(self, can: InitializeResponse) -> Iterator[Callable[..., Awaitable[Any]]]:
        """How a session can be gone on with: better without its past being told."""
        offered = can.agent_capabilities
        of_sessions = offered.session_capabilities if offered is not None else None
        if of_sessions is not None and of_sessions.resume is not None:
            yield self._agent.resume_session
        if offered is not None and offered.load_session:
            yield self._agent.load_session

    async def _choose(self, session: str, model: str, options: Sequence[Any]) -> None:
        """Sets the model, by its name or the end of it; raises Failed where the agent has another offer."""
        choice = next((one for one in options if one.category == "model" and one.type == "select"), None)
        if choice is None:
            raise Failed(f"it lets nobody choose a model, so not {model} either")
        offers = [offer.value for part in choice.options for offer in getattr(part, "options", [part])]
        value = next((value for value in offers if model in (value, value.rpartition("/")[2])), None)
        if value is None:
            raise Failed(f"it has no model {model}; it offers {', '.join(offers[:20])}")
        way = self._agent.set_config_option(config_id=choice.id, session_id=session, value=value)
        await self._asked("set_config_option", way, _BEGINS_WITHIN)

    async def _asked(self, what: str, answer: Any, seconds: float | None) -> Any:
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            raise Failed(
                f"it did not answer `{what}` within {seconds:g} s: does it speak the protocol?"
            ) from None
        except ConnectionError:
            code = await _code(self._running)
            raise Failed(f"it ended in the middle of `{what}` ({code})") from None
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise Failed(f"its answer to `{what}` is not the protocol's: {where}: {problem['msg']}") from None
        except RequestError as error:
            raise Failed(_words(error), _STATUS.get(error.code)) from None

    def _stop(self) -> None:
        """SIGTERM: the turn is cancelled, and its answer waited for; whoever sent the signal sets the time."""
        self._client.stopping = True
        if not self._telling.session:
            self._running.terminate()
            return
        task = asyncio.ensure_future(self._agent.cancel(session_id=self._telling.session))
        task.add_done_callback(lambda done: done.exception())


def _used(usage: Usage | None) -> dict[str, int]:
    """Input and output; what else there is of them, such as what a cache has kept, went in."""
    if usage is None:
        return {}
    output = usage.output_tokens
    return {"input_tokens": max(usage.total_tokens - output, usage.input_tokens), "output_tokens": output}


def _words(error: RequestError) -> str:
    """The message of an error, and its details, where agents put what is behind "Internal error"."""
    details = error.data.get("details") if isinstance(error.data, dict) else None
    said = str(error) or f"error {error.code}"
    return f"{said}: {details}" if isinstance(details, str) and details else said


async def _hear(stream: asyncio.StreamReader | None, telling: Telling) -> None:
    while stream is not None and (line := await next_line(stream)) is not None:
        telling.noise(line)


async def _code(running: asyncio.subprocess.Process) -> str:
    try:
        code = await asyncio.wait_for(running.wait(), _HEARD_WITHIN)
    except TimeoutError:
        return "it closed its output and goes on"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


async def _let_end(running: asyncio.subprocess.Process) -> None:
    """Its input is closed: what it keeps for another time can be written down before it is told to end."""
    for ask in (running.terminate, running.kill):
        try:
            await asyncio.wait_for(running.wait(), _ENDS_WITHIN)
        except TimeoutError:
            with suppress(ProcessLookupError):
                ask()
        else:
            return
    await running.wait()
