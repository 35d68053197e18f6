"""Asks the model: one streamed call of the Messages API, whole or not at all, that can be stopped at any moment."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar, cast

import anthropic
import httpx2
from anthropic.lib.streaming import AsyncMessageStream

from rad_engineer import spans
from rad_engineer.agents.anthropic.seam import Stopped

_MOST_TRIES = 4
_PAUSE = 0.05  # s before the second try; four times as long before each one more
_LONGEST_WAIT = 120.0
_LATER = {"budget": "budget", "billing": "budget", "usage-limit": "limit", "offline": "offline", "ledger": "ledger",
          "auth": "login", "repeated": "offline"}  # fmt: skip
"""What the gateway says when it has given up, and what the story waits for then: none of it is the story's fault."""
_DOWN = frozenset({"overloaded", "upstream", "unreachable", "reset", "timeout", "cut", "garbage", "tls"})
_BUSY = {"limit": "limit", "breaker": "offline"}
_DRIFT = "drift"
_INVALID = "INVALID_JSON"  # as the vendor wants input shown to a model that is none
TOO_LONG = "too-long"
"""The reason of a failure: the conversation does not fit into the model's window."""
_TOO_LONG = re.compile(
    r"prompt is too long|context (?:window|length|limit)|too many (?:input )?tokens", re.IGNORECASE
)
_COUNT_SECONDS = 30.0
_COUNTED = ("model", "messages", "system", "tools", "thinking", "output_config")
_T = TypeVar("_T")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# On garbage the SDK raises whatever its parsers and its own assertions happen to raise.
_CUT = (
    anthropic.APIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    ValueError,
    AssertionError,
    RuntimeError,
    LookupError,
    AttributeError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    content: list[dict[str, Any]]
    stop: str
    usage: dict[str, int]
    model: str

    @property
    def window(self) -> int:
        """How many tokens of the model's window the conversation takes up with it."""
        return sum(self.usage.values())


class CallFailed(Exception):
    """The model did not answer, and asking again would not help."""

    def __init__(self, name: str, message: str, reason: str = "") -> None:
        self.name = name  # the error's class
        self.reason = reason  # the gateway's word, where another attempt would not help either
        super().__init__(f"{name}: {message}")


class AskLater(Exception):
    """A limit or budget is used up; nothing is wrong with the story."""

    def __init__(self, message: str, reason: str, retry_at: float | None) -> None:
        self.reason = reason  # limit, budget, offline or ledger
        self.retry_at = retry_at
        super().__init__(message)


class _Cut(Exception):
    """The answer did not come to its end."""


class _Busy(Exception):
    """There is no room at the moment."""

    def __init__(self, message: str, reason: str, seconds: float, retry_at: float | None) -> None:
        self.reason = reason
        self.seconds = seconds
        self.retry_at = retry_at
        super().__init__(message)


class Line:
    """A line to the model, kept open between turns. Not for threads."""

    def __init__(
        self, base_url: str, token: str, *, cancel: int | None, until: float | None, idle: float | None
    ) -> None:
        self._runner = asyncio.Runner()
        self._cancel = cancel
        self._until = until
        self._idle = idle
        self._client = client(base_url, token)

    def ask(self, body: Mapping[str, Any]) -> Answer:
        """One whole answer; a stream that was cut is asked for again, a few times, and then the story waits.

        Raises CallFailed, AskLater, and Stopped when the work is to end.
        """
        return self._runner.run(self._stoppable(self._persistently(body)))

    def count(self, body: Mapping[str, Any]) -> int | None:
        """How many tokens a request has, as the model counts; None where nobody could say, which is no reason to stop.

        Raises Stopped when the work is to end.
        """
        return self._runner.run(self._stoppable(counted(self._client, body)))

    def close(self) -> None:
        """Hangs up."""
        self._runner.run(self._client.close())
        self._runner.close()

    async def _stoppable(self, asking: Coroutine[Any, Any, _T]) -> _T:
        loop = asyncio.get_running_loop()
        asked = loop.create_task(asking)
        cancelled = False

        def cancel() -> None:
            nonlocal cancelled
            cancelled = True
            asked.cancel()

        if self._cancel is not None:
            loop.add_reader(self._cancel, cancel)
        try:
            async with asyncio.timeout(None if self._until is None else self._until - time.monotonic()):
                return await asked
        except TimeoutError:
            raise Stopped("timeout") from None
        except asyncio.CancelledError:
            if not cancelled:
                raise
            raise Stopped("cancelled") from None
        finally:
            if self._cancel is not None:
                loop.remove_reader(self._cancel)

    async def _persistently(self, body: Mapping[str, Any]) -> Answer:
        pause = _PAUSE
        for tries in range(1, _MOST_TRIES + 1):
            try:
                return await once(self._client, body, self._idle)
            except _Busy as busy:
                if tries == _MOST_TRIES or busy.seconds > _LONGEST_WAIT:
                    raise AskLater(str(busy), busy.reason, busy.retry_at) from busy
                await asyncio.sleep(busy.seconds)
            except (*_CUT, _Cut) as error:
                if tries == _MOST_TRIES:
                    what = f"{type(error).__name__.lstrip('_')}: {error}"
                    raise AskLater(
                        f"{tries} answers in a row broke off, the last one by {what}", "offline", None
                    ) from error
                await asyncio.sleep(pause)
                pause *= 4
        raise AssertionError("the last try has returned or raised")


def client(base_url: str, token: str) -> anthropic.AsyncAnthropic:
    """The SDK's client as we use it: no retries of its own, and no proxy on the way to this machine."""
    url = httpx2.URL(base_url)
    near = url.host in _LOOPBACK
    # The SDK's default client heeds HTTP_PROXY even where it is told not to.
    inner = (
        httpx2.AsyncClient(trust_env=False, verify=url.scheme == "https")
        if near
        else anthropic.DefaultAsyncHttpxClient()
    )
    return anthropic.AsyncAnthropic(
        base_url=base_url,
        auth_token=token,
        max_retries=0,
        timeout=httpx2.Timeout(3600.0, connect=10.0),
        http_client=inner,
    )


def _trace() -> dict[str, str]:
    """Where the call belongs, for the gateway."""
    found = spans.traceparent()
    return {"traceparent": found} if found else {}


async def once(asked: anthropic.AsyncAnthropic, body: Mapping[str, Any], idle: float | None) -> Answer:
    """One call, without a second try."""
    try:
        inputs = _Inputs(await asked.messages.create(**body, stream=True, extra_headers=_trace()))
        async with AsyncMessageStream(cast("Any", inputs), anthropic.not_given) as stream:
            return await _whole(stream, inputs, idle)
    except anthropic.APIStatusError as error:
        raise _meaning(error) from error


async def counted(asked: anthropic.AsyncAnthropic, body: Mapping[str, Any]) -> int | None:
    """The count of the tokens of a request; None where there is none, or only what somebody else has estimated."""
    given = {name: body[name] for name in _COUNTED if name in body}
    try:
        async with asyncio.timeout(_COUNT_SECONDS):
            answer = await asked.messages.with_raw_response.count_tokens(**given)
            if answer.headers.get("x-rad-estimate"):
                return None
            found: int = (await answer.parse()).input_tokens
            return found
    except (*_CUT, TimeoutError):
        return None


class _Inputs:
    """The events of a stream without the inputs of tools, which are kept here: the SDK fails on those that are no JSON."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.response = stream.response
        self.found: dict[int, str] = {}

    async def close(self) -> None:
        await self._stream.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for event in self._stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                self.found[event.index] = self.found.get(event.index, "") + event.delta.partial_json
                nothing = event.delta.model_copy(update={"partial_json": ""})
                yield event.model_copy(update={"delta": nothing})
            else:
                yield event


async def _whole(stream: Any, inputs: _Inputs, idle: float | None) -> Answer:
    """Reads a stream to its end. The SDK takes a stream that just stops for a whole one."""
    ended = False
    events = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(idle):
                event = await anext(events)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise Stopped("idle") from None
        ended = ended or event.type == "message_stop"
    if not ended:
        raise _Cut("the stream ended before its message did")
    message = stream.current_message_snapshot
    if message.stop_reason is None:
        raise _Cut("the message has no stop reason")
    for index, text in inputs.found.items():
        message.content[index].input = _input(text, cut=message.stop_reason == "max_tokens")
    content = [_sent_back(block) for block in message.content if _may_be_sent(block)]
    return Answer(content, message.stop_reason, _used(message.usage), message.model)


def _input(text: str, *, cut: bool) -> Any:
    """The input of a tool. What is no JSON is carried out by nobody, and shown to the model as it said it."""
    try:
        found = json.loads(text or "{}")
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return {} if cut else {_INVALID: text}
    return found


def _may_be_sent(block: Any) -> bool:
    """The API refuses what an answer may hold all the same: text of nothing, thinking that was cut off unsigned."""
    if block.type == "text":
        return bool(block.text.strip())
    return block.type != "thinking" or bool(block.signature)


def _sent_back(block: Any) -> dict[str, Any]:
    """A block as it goes into the next request: exactly what came, without what only answers have."""
    if block.type == "text" and not block.citations:
        return {"type": "text", "text": block.text}
    if block.type == "tool_use":
        given = block.input if isinstance(block.input, dict) else {}
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": given}
    found: dict[str, Any] = block.model_dump(mode="json", exclude_none=True, exclude={"parsed_output"})
    return found


def _used(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens or 0,
        "cache_read_input_tokens": usage.cache_read_input_tokens or 0,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens or 0,
        "output_tokens": usage.output_tokens or 0,
    }


def _meaning(error: anthropic.APIStatusError) -> Exception:
    """What an error of the API means for the story. What came within a stream has the stream's status, 200."""
    body = error.body if isinstance(error.body, dict) else {}
    ours = body.get("rad")
    ours = ours if isinstance(ours, dict) else {}
    headers = error.response.headers
    reason = str(ours.get("reason"))
    told = str(error.api_message or error.message)
    retry_at = _retry_at(headers, ours.get("retry_at"))
    if reason in _BUSY:
        seconds = 1.0 if retry_at is None else max(0.0, retry_at - time.time())
        if ours.get("final"):  # it is the upstream's own limit, and has had all its tries
            seconds = inf
        return _Busy(told, _BUSY[reason], seconds, retry_at)
    if error.type == "billing_error" or error.status_code == 402:
        return AskLater(told, "budget", retry_at)
    if reason in _LATER:
        return AskLater(told, _LATER[reason], retry_at)
    if reason in _DOWN and error.status_code >= 500:
        return AskLater(told, "offline", retry_at)
    if error.status_code < 400:
        return _Cut(f"{error.type or 'error'}: {told}")
    if error.status_code in (400, 413) and _TOO_LONG.search(told):
        return CallFailed(type(error).__name__, f"{error.status_code} {told}", TOO_LONG)
    if reason == _DRIFT:
        return CallFailed(_DRIFT, told.removeprefix(f"{_DRIFT}: "), _DRIFT)
    return CallFailed(type(error).__name__, f"{error.status_code} {told}")


def _retry_at(headers: Mapping[str, str], told: object) -> float | None:
    if isinstance(told, int | float):
        return float(told)
    try:
        return time.time() + float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
