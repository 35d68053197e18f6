"""The way out: a call is sent to the upstream, again where that may help, until its answer begins.

Once the first byte is on its way to the client nothing is sent twice. Every fault ends as a Refusal of a defined class;
what an upstream says of a call that it understood passes as it is.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx2

from rad_engineer.gateway import faults
from rad_engineer.gateway.authorization import Authorize
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.connections import IDLE_SECONDS, Network, Pool
from rad_engineer.gateway.exchange import OnEvent, Refusal, Whole
from rad_engineer.gateway.faults import Fault
from rad_engineer.gateway.key_refusals import KeyRefusals
from rad_engineer.gateway.messages import Meter, Splitter

_LONGEST_WAIT = 8.0
_FAREWELL_SECONDS = 1.0
_MOST_URLS = 64
_MOST = 64 * 1024 * 1024
FALLS_BACK = frozenset({"breaker", "overloaded"})
"""Why a model is left for the one that is named beside it."""

_HOP = frozenset({
    "connection", "content-length", "content-encoding", "date", "keep-alive", "proxy-authenticate", "server", "te",
    "set-cookie", "trailer", "access-control-allow-origin", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-expose-headers", "transfer-encoding", "upgrade",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun to stream: its head, and whole events as they come; `meter` has seen what was taken.

    `tries` is how often it was asked for.
    """

    headers: Mapping[str, str]
    events: AsyncGenerator[bytes, None]
    meter: Meter
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a method, a path with its query, and the headers of the client without its key.

    `tried` is how often it was sent before, in vain: those tries are used up. `spared` are those of its tries that are
    kept for another model, should this one be overloaded. `model` is empty where none is asked.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    stream: bool = False
    tried: int = 0
    spared: int = 0
    model: str = ""


class Upstream:
    """One upstream, its connections and the key for it."""

    def __init__(self, settings: GatewaySettings, authorize: Authorize, secret: str, on_event: OnEvent) -> None:  # fmt: skip
        self._settings = settings
        self._authorize = authorize
        self._secret = secret
        self._urls: dict[str, httpx2.URL] = {}
        self._on_event = on_event
        self._key = KeyRefusals(settings.key_seconds)
        self._base = httpx2.URL(settings.upstream.rstrip("/").removesuffix("/v1"))
        self._transport = _transport(_proxy(settings.upstream))
        self._timeouts = {"connect": settings.connect_seconds, "pool": settings.connect_seconds}

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def send(self, request: Request, guard: "Guard", lost: Callable[[float], None] = lambda _seconds: None,
                   **named: Any) -> Whole | Opened:  # fmt: skip
        """Sends until an answer begins or the budget of tries and time is used up; raises the last Refusal.

        `guard` is asked before each try and told how it ended. `lost` is told how long a try took that the upstream may
        ask money for, although its answer did not come. `named` is added to the event of a retry.
        """
        self._key.check(request.model)
        until = time.monotonic() + self._settings.retry_seconds
        tried = request.tried
        while True:
            try:
                await guard.before(until)
            except Refusal as refusal:
                refusal.tries = tried
                raise
            tried += 1
            ok: bool | None = None
            began = time.monotonic()
            try:
                answer = await self._try(request)
                ok = True
            except asyncio.CancelledError:
                lost(time.monotonic() - began)
                raise
            except Fault as fault:
                self._hear_of(request, fault, time.monotonic() - began, lost)
                ok = not fault.sick
                limit = guard.heard(fault.headers, fault.refusal.message)
                if limit is not None:
                    raise limit from fault
                wait = _wait(tried, self._settings.first_wait) if fault.wait is None else fault.wait
                last = (
                    tried >= self._settings.attempts - _spared(request, fault)
                    or time.monotonic() + wait > until
                )
                if last or not fault.again:
                    fault.refusal.tries, fault.refusal.final = tried, True
                    raise fault.refusal from fault
                self._on_event("retried", status=fault.refusal.status, reason=fault.refusal.reason,
                               tried=tried, wait=round(wait, 3), **named)  # fmt: skip
            else:
                guard.heard(answer.headers)
                return replace(answer, tries=tried) if isinstance(answer, Opened) else answer
            finally:
                guard.after(ok=ok)
            await asyncio.sleep(wait)

    def _hear_of(self, request: Request, fault: Fault, seconds: float, lost: Callable[[float], None]) -> None:
        if fault.lost == "begun" or (fault.lost and seconds >= self._settings.unheard_seconds):
            lost(seconds)
        fault.refusal.hide(self._secret)
        self._key.heard(request.model, fault.refusal)

    async def _try(self, request: Request) -> Whole | Opened:
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                response = await self._transport.handle_async_request(await self._built(request))
                async with AsyncExitStack() as stack:
                    stack.push_async_callback(response.aclose)
                    answer = await self._begin(request, response)
                    stack.pop_all()
                    return answer
        except TimeoutError as error:
            raise faults.late(self._settings.answer_seconds) from error
        except httpx2.HTTPError as error:
            raise faults.lost(error) from error
        except Refusal as refusal:
            raise Fault(refusal, again=False) from refusal

    async def _built(self, request: Request) -> httpx2.Request:
        length = {"content-length": str(len(request.body))} if request.method != "GET" else {}
        theirs = {**request.headers, "accept-encoding": "identity", **length}
        ours = await self._authorize(request.headers)
        url = self._url(request.path)
        headers = {
            "host": url.netloc,
            **{name: value.encode("latin-1") for name, value in theirs.items()},  # as they came
            **{name: value.encode() for name, value in ours.items()},
        }
        return httpx2.Request(
            request.method,
            url,
            headers=[(name.encode("latin-1"), value) for name, value in headers.items()],
            stream=httpx2.ByteStream(
                request.body
            ),  # complete as it is: given as content, it is looked through for more
            extensions={"timeout": self._timeouts},
        )

    def _url(self, path: str) -> httpx2.URL:
        url = self._urls.get(path)
        if url is None:
            raw = self._base.raw_path.rstrip(b"/") + path.encode("latin-1")
            try:
                url = self._base.copy_with(raw_path=raw)
            except httpx2.InvalidURL as error:
                refusal = Refusal(
                    400,
                    "invalid_request_error",
                    f"nobody can be asked with this query: {error}",
                    reason="invalid",
                )
                raise Fault(refusal, again=False, sick=False) from error
            if len(self._urls) < _MOST_URLS:
                self._urls[path] = url
        return url

    async def _begin(self, request: Request, response: httpx2.Response) -> Whole | Opened:
        response.headers.encoding = "latin-1"  # as they are passed on: every byte is what it was
        headers = {name: value for name, value in response.headers.items() if name not in _HOP}
        if "," in response.headers.get("content-encoding", ""):  # a few bytes could become any number
            raise Fault(faults.garbage("an answer that is encoded more than once"), again=False)
        streams = response.headers.get("content-type", "").startswith("text/event-stream")
        if response.status_code == 200 and request.stream and streams:
            return await self._open(response, headers)
        body = await _whole_body(response)
        if response.status_code == 200 and not request.stream and _is_object(body):
            await response.aclose()
            return Whole(200, headers, body)
        raise faults.answered(response.status_code, headers, body)

    async def _open(self, response: httpx2.Response, headers: Mapping[str, str]) -> Opened:
        meter, splitter = Meter(), Splitter()
        chunks = aiter(response.aiter_bytes())
        first = b""
        while not first:
            try:
                first = splitter.feed(await anext(chunks))
                _check_size(splitter.left)
            except StopAsyncIteration:
                raise Fault(faults.cut("before its first event"), again=True, lost="begun") from None
        _see(meter, first)
        if meter.error is not None:
            raise faults.said(headers, meter.error)
        if not meter.began and not first.startswith((b":", b"event: ping")):
            raise Fault(faults.garbage("a stream that does not begin with message_start"), again=False)
        return Opened(headers, self._events(response, chunks, splitter, meter, first), meter)

    async def _events(self, response: httpx2.Response, chunks: AsyncIterator[bytes], splitter: Splitter,
                      meter: Meter, first: bytes) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """The events of a stream, the first ones again; raises Refusal where it does not end as it should."""
        size = len(first)
        try:
            yield first
            while True:
                try:
                    async with asyncio.timeout(self._settings.gap_seconds):
                        events = b""
                        while not events:
                            events = splitter.feed(await anext(chunks))
                            _check_size(size + splitter.left)
                except StopAsyncIteration:
                    break
                except TimeoutError as error:
                    raise faults.late(self._settings.gap_seconds).refusal from error
                except httpx2.HTTPError as error:
                    raise faults.cut(faults.why(error)) from error
                size += len(events)
                _check_size(size)
                _see_in_flight(meter, events)
                yield events
                if meter.complete:
                    await _finish(chunks)
                    return
            if meter.error is None:
                raise faults.cut("before message_stop")
        finally:
            await response.aclose()


def _spared(request: Request, fault: Fault) -> int:
    return request.spared if fault.refusal.reason in FALLS_BACK else 0


def _transport(proxy: str | None) -> httpx2.AsyncHTTPTransport:
    """The library's way to an upstream, on connections of ours: that is only faster."""
    found = httpx2.AsyncHTTPTransport(
        trust_env=True,  # certificates only: SSL_CERT_FILE, SSL_CERT_DIR
        limits=httpx2.Limits(
            max_connections=None, max_keepalive_connections=256, keepalive_expiry=IDLE_SECONDS
        ),
        proxy=proxy,
    )
    if proxy is None:
        found._pool = Pool(found._pool._ssl_context)  # type: ignore[assignment]  # noqa: SLF001
    else:
        found._pool._network_backend = Network()  # type: ignore[assignment]  # noqa: SLF001
    return found


class Guard:
    """Is asked before each try of one request, and told how it ended: here, nobody objects."""

    async def before(self, until: float) -> None:
        """Returns when a try may begin; raises Refusal where none may before `until`."""

    def after(self, *, ok: bool | None) -> None:
        """A try has ended; None says nothing about the upstream."""

    def heard(self, _headers: Mapping[str, str], _message: str = "") -> Refusal | None:
        """What the upstream says in its headers and errors; the refusal where a limit for long is reached."""
        return None


def _see(meter: Meter, events: bytes) -> None:
    try:
        meter.see(events)
    except (ValueError, RecursionError) as error:
        raise Fault(faults.garbage(f"a stream that is none: {error}"), again=False) from error


def _see_in_flight(meter: Meter, events: bytes) -> None:
    try:
        meter.see(events)
    except (ValueError, RecursionError) as error:
        raise faults.garbage(f"server error: garbage in the middle of a stream: {error}") from error


async def _finish(chunks: AsyncIterator[bytes]) -> None:
    """Reads what comes behind the last event, so that the connection can be used again."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            async for _ in chunks:
                pass


async def _whole_body(response: httpx2.Response) -> bytes:
    parts, size = [], 0
    try:
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            _check_size(size)
    except httpx2.HTTPError as error:
        if response.status_code == 200:
            raise Fault(faults.cut(faults.why(error)), again=not parts, lost="begun") from error
    return b"".join(parts)


def _check_size(size: int) -> None:
    if size > _MOST:
        raise faults.garbage(f"more than {_MOST >> 20} MB in one answer")


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _wait(tried: int, first: float) -> float:
    longest: float = min(_LONGEST_WAIT, first * 2 ** (tried - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- so that not all come back at once


def _proxy(url: str) -> str | None:
    """The proxy for an upstream; what is on this machine is reached without one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if here or proxy_bypass(host):
        return None
    proxies = getproxies_environment()
    return proxies.get(parts.scheme) or proxies.get("all") or os.environ.get("ALL_PROXY")
