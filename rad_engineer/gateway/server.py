"""The HTTP side: the routes of the Messages API, who may use them, and how answers and errors are written."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rad_engineer.gateway import tokens
from rad_engineer.gateway.bodies import Bodies
from rad_engineer.gateway.exchange import Call, OnEvent, Refusal, Session, Whole, new_id
from rad_engineer.gateway.messages import LARGE, estimate_tokens, invalid, understand
from rad_engineer.gateway.mock import Mock
from rad_engineer.gateway.passage import Passage
from rad_engineer.gateway.said import Parts, Said
from rad_engineer.gateway.sessions import Sessions
from rad_engineer.gateway.trip import Passed, named
from rad_engineer.gateway.upstream import Guard, Request, Upstream

_OURS = frozenset({
    "accept-encoding", "authorization", "connection", "content-length", "cookie", "expect", "host", "keep-alive",
    "proxy-authorization", "proxy-connection", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "x-api-key",
    "x-forwarded-for",
})  # fmt: skip
_MODEL = re.compile(r"/v1/models(?:/[A-Za-z0-9][\w.:@+-]*)*", re.ASCII)
"""What may be asked of models: a name with a `..` in it would open everything else that the key opens."""
ATTEMPT = "rad.attempt"
"""In the scope of a request that came through the listener of a box: the story and the attempt it was made for."""
_KNOWN_TOKENS = 4096
_KNOWN_MODELS = 1024
_JSON = "application/json"
_T = TypeVar("_T")


class Server:
    """What answers a client: one object for all its routes."""

    def __init__(
        self,
        secret: bytes,
        passage: Passage,
        upstream: Upstream | Mock,
        sessions: Sessions,
        bodies: Bodies,
        on_event: OnEvent,
    ) -> None:
        self._secrets = (secret, tokens.inner(secret))
        self._passage = passage
        self._upstream = upstream
        self._sessions = sessions
        self._on_event = on_event
        self._parts = Parts()
        self._bodies = bodies
        self._verified: dict[tuple[bool, str], Session] = {}
        self._uncounted: set[str] = set()
        self._lists_models = True

    def app(self) -> Starlette:
        """The application: its routes, and everything else 404 in the vendor's shape."""
        asked, counted, listed = _Endpoint(self._ask), _Endpoint(self._count), _Endpoint(self._list)
        routes = [Route("/", _Endpoint(_alive), methods=["GET", "HEAD"])]
        for prefix in ("/v1", ""):
            routes += [
                Route(f"{prefix}/messages", asked, methods=["POST"]),
                Route(f"{prefix}/messages/count_tokens", counted, methods=["POST"]),
                Route(f"{prefix}/models", listed, methods=["GET"]),
                Route(f"{prefix}/models/{{model:path}}", listed, methods=["GET"]),
            ]
        app = Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere, Exception: _crashed})
        app.router.redirect_slashes = False
        return app

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as room:
            call = await self._call(scope, receive, room)
            try:
                await self._answer(call, receive, send)
            finally:
                if len(call.body) > LARGE:  # what is small has taken no room
                    self._passage.when_over(call, room.pop_all().close)

    async def _answer(self, call: Call, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        status = 499  # the client left first
        try:
            passed = await _unless_gone(self._passage.answer(call), receive)
            if passed is not None:
                status = passed.answer.status if isinstance(passed.answer, Whole) else 200
                await self._write(passed, receive, send)
        except Refusal as refusal:
            status = refusal.status
            self._refused(refusal, **named(call))
            raise
        finally:
            where = {"trace": call.trace} if call.trace else {}
            self._on_event(
                "request", **named(call), status=status, seconds=round(time.monotonic() - began, 6), **where
            )

    def _refused(self, refusal: Refusal, **about: Any) -> None:
        self._on_event("refused", **about, status=refusal.status, reason=refusal.reason, scope=refusal.scope,
                       retry_at=refusal.retry_at, why=refusal.message[:2_000])  # fmt: skip

    async def _write(self, passed: Passed, receive: Receive, send: Send) -> None:
        if isinstance(passed.answer, Whole):
            await _whole(
                send, passed.answer.status, {**passed.answer.headers, **passed.headers}, passed.answer.body
            )
            return
        try:
            over = await _unless_gone(_stream(passed.answer, passed.headers, send), receive)
        finally:
            close = getattr(passed.answer, "aclose", None)
            if close is not None:
                await close()
        if over is None:
            self._passage.left(passed.flight)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as room:
            call = await self._call(scope, receive, room, counted=False)
            answer = await self._counted(call)
        if answer is None:
            body = json.dumps({"input_tokens": estimate_tokens(call.data)}).encode()
            answer = Whole(200, {"content-type": _JSON, "x-rad-estimate": "true"}, body)
        await _whole(send, answer.status, answer.headers, answer.body)

    async def _counted(self, call: Call) -> Whole | None:
        """What a recording or the upstream counts; None where neither does."""
        try:
            answer = await self._passage.counted(call)
            if answer is None and call.model not in self._uncounted:
                request = _plain("POST", call.path, call.query, call.headers, call.body)
                sent = await self._upstream.send(request, Guard())
                answer = self._passage.heard(call, sent) if isinstance(sent, Whole) else None
        except Refusal as refusal:
            if refusal.status not in (404, 405, 501):
                raise
            if refusal.reason != "unrecorded" and len(self._uncounted) < _KNOWN_MODELS:
                self._uncounted.add(call.model)  # it may be the model that is not there
            return None
        return answer if isinstance(answer, Whole) else None

    async def _list(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        self._session(scope, headers)
        path = _path(scope)
        if not _MODEL.fullmatch(path):
            raise _no_such(scope["method"], scope["path"])
        if self._lists_models:
            try:
                request = _plain(
                    "GET", path, scope["query_string"].decode("latin-1"), _forwarded(headers), b""
                )
                answer = await self._upstream.send(request, Guard())
            except Refusal as refusal:
                if refusal.status not in (405, 501) and not (refusal.status == 404 and path == "/v1/models"):
                    raise
                self._lists_models = False
            else:
                if isinstance(answer, Whole):
                    await _whole(send, answer.status, answer.headers, answer.body)
                    return
        body = json.dumps({"data": [], "first_id": None, "has_more": False, "last_id": None}).encode()
        await _whole(send, 200, {"content-type": _JSON}, body)

    async def _call(self, scope: Scope, receive: Receive, room: ExitStack, *, counted: bool = True) -> Call:
        """The call that comes; `room` holds what its body takes."""
        headers = _headers(scope)
        session = self._session(scope, headers)
        try:
            body = await self._bodies.read(session, headers, receive, room)
            data, said = await asyncio.to_thread(self._read, body) if len(body) > LARGE else self._read(body)
            if counted and "max_tokens" not in data:  # what has no end has no price
                raise invalid("max_tokens: Field required")
        except Refusal as refusal:
            if counted and refusal.reason != "gone":  # it has no number yet
                self._refused(refusal, story=session.story, attempt=session.attempt, call=None, model="")
            raise
        return Call(
            session=session,
            number=self._sessions.arrived(session, time.monotonic()) if counted else 0,
            path=_path(scope),
            query=scope["query_string"].decode("latin-1"),
            headers=_forwarded(headers),
            body=body,
            data=data,
            model=data["model"],
            stream=data.get("stream") is True,
            max_tokens=data.get("max_tokens", 0),
            trace=headers.get("traceparent", ""),
            said=said,
        )

    def _read(self, body: bytes) -> tuple[dict[str, Any], Said]:
        data = understand(body)
        try:
            return data, self._parts.of(data)
        except (RecursionError, ValueError) as error:  # a name needs a little more room than what is named
            raise invalid(f"the body is nested too deeply: {error}") from error

    def _session(self, scope: Scope, headers: Mapping[str, str]) -> Session:
        """Who asks. What listens in a box is its credential: there, a token of anybody else is none."""
        of: tuple[str, int] | None = scope.get(ATTEMPT)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        token = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        inside = of is not None
        session = self._verified.get((inside, token))
        if session is None or of not in (None, (session.story, session.attempt)):
            session = tokens.verify(self._secrets[inside], token)
            if session is None or of not in (None, (session.story, session.attempt)):
                self._passage.stranger(_address(scope))
                raise Refusal(401, "authentication_error", "this token opens nothing here: use the one that was given "
                              "with the base URL", reason="auth")  # fmt: skip
            if len(self._verified) >= _KNOWN_TOKENS:
                self._verified.clear()
            self._verified[inside, token] = session
        if self._sessions.closed(session):
            raise Refusal(
                401, "authentication_error", "the attempt that this token was made for is over", reason="auth"
            )
        return session


class _Endpoint:
    """A route without the library's request and response objects; refusals become answers here."""

    def __init__(self, respond: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._respond(scope, receive, send)
        except Refusal as refusal:
            await _refuse(send, refusal)
            refusal.forget()


async def _alive(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _whole(send, 200, {"content-type": _JSON}, b"{}")


async def _nowhere(request: HttpRequest, _error: Exception) -> Response:
    return _response(_no_such(request.method, request.url.path))


async def _crashed(_request: HttpRequest, _error: Exception) -> Response:
    refusal = Refusal(500, "api_error", "the gateway failed on this request; its log says why", reason="bug")
    return _response(refusal)


def _response(refusal: Refusal) -> Response:
    request_id = new_id()
    headers = {"request-id": request_id, "x-should-retry": "false"}
    return Response(refusal.body(request_id), refusal.status, headers, _JSON)


async def _refuse(send: Send, refusal: Refusal) -> None:
    request_id = refusal.headers.get("request-id") or new_id()
    headers = {**refusal.headers, "content-type": _JSON, "request-id": request_id, "x-should-retry": "false"}
    if refusal.retry_after is not None and not refusal.final:  # some clients take it for leave to ask again
        headers["retry-after"] = str(max(0, round(refusal.retry_after + 0.499)))
    await _whole(send, refusal.status, headers, refusal.body(request_id))


async def _whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    head = {**headers, "content-length": str(len(body))}
    head.setdefault("request-id", new_id())
    await send({"type": "http.response.start", "status": status, "headers": _raw(head)})
    await send({"type": "http.response.body", "body": body})


async def _stream(events: AsyncIterator[bytes], headers: Mapping[str, str], send: Send) -> bool:
    """Writes a stream; one that fails ends in an error event, never as if it had come to its end."""
    head = {"cache-control": "no-cache", **headers, "content-type": "text/event-stream; charset=utf-8"}
    request_id = head.setdefault("request-id", new_id())
    await send({"type": "http.response.start", "status": 200, "headers": _raw(head)})
    try:
        async for block in events:
            await send({"type": "http.response.body", "body": block, "more_body": True})
    except Refusal as refusal:
        await send({"type": "http.response.body", "body": refusal.event(request_id), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return True


async def _unless_gone(answer: Coroutine[Any, Any, _T], receive: Receive) -> _T | None:
    """The answer; None when the client left first, and then the answer is cancelled."""
    task = asyncio.create_task(answer)
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait((task,))
        return None
    finally:
        gone.cancel()
        task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _no_such(method: str, path: str) -> Refusal:
    return Refusal(404, "not_found_error", f"there is no {method} {path} here", reason="path")


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; one that comes more than once is a list, as its one spelling with commas is."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OURS}


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path if path.startswith("/v1/") else f"/v1{path}"


def _plain(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Request:
    return Request(method, f"{path}?{query}" if query else path, headers, body)


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _address(scope: Scope) -> str:
    """Whose strangers are counted together: those of one attempt's box, or of one address."""
    of = scope.get(ATTEMPT)
    if of is not None:
        return f"{of[0]} {of[1]}"
    return str(scope["client"][0]) if scope.get("client") else "local"
