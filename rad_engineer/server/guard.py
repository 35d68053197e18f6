"""Who is let in: hosts, origins, rates, tokens and sizes are looked at before any route is."""

import math
import secrets
import time
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rad_engineer import logs
from rad_engineer.server import tokens
from rad_engineer.server.answers import SECURITY, Problem
from rad_engineer.server.configuration import Serving, plain_host
from rad_engineer.server.connections import MOST_OF_A_BODY, MOST_OF_A_HEAD
from rad_engineer.server.rates import Rates

OPEN = frozenset({"/health", "/ready"})
"""What probes ask: no token, and any host, because probes name addresses; it says nothing about a project."""
UNLIMITED = OPEN | {"/status", "/metrics"}
_MOST_HEADERS = 100
_MOST_OF_A_TARGET = 8_192


class Guard:
    """In front of the application."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving
        self._rates = Rates(serving.requests_per_minute)
        self._headers = [(name.encode(), value.encode()) for name, value in SECURITY.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it; its name is in the answer, and in all that is logged meanwhile."""
        began, request, status = time.monotonic(), secrets.token_hex(4), 0
        logs.bind(request=request)

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request.encode())]
            await send(message)

        await self._answer(scope, receive, named)
        logs.debug("answered", method=scope["method"], path=scope["path"], status=status,
                   seconds=round(time.monotonic() - began, 4))  # fmt: skip

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"], *(each for each in self._headers if each[0] not in named)
                ]  # fmt: skip
            await send(message)

        try:
            self._look(scope)
        except Problem as problem:
            body, headers = problem.answer()
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
            raw.append((b"content-length", str(len(body)).encode()))
            if problem.code == "too-large":
                raw.append((b"connection", b"close"))
            await send({"type": "http.response.start", "status": problem.status, "headers": raw})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
            return
        await self._app(scope, receive, with_headers)

    def _look(self, scope: Scope) -> None:
        path, headers = scope["path"], _headers(scope)
        if path not in OPEN and plain_host(headers.get("host", "")) not in self._serving.hosts:
            raise Problem(421, "host", "this host is not served here: name it with --allowed-host")
        if path not in UNLIMITED:
            client = scope.get("client")
            wait = self._rates.wait(client[0] if client else "")
            if wait:
                message = f"{self._serving.requests_per_minute} requests in a minute are the limit"
                raise Problem(429, "rate", message, {"retry-after": str(math.ceil(wait))})
        _check_sizes(scope, headers)
        if not self._is_own(headers):
            raise Problem(403, "origin", "pages of other origins are not answered")
        if self._serving.token and path not in OPEN and not tokens.opens(
            self._serving.token, headers.get("authorization", "")
        ):  # fmt: skip
            raise Problem(
                401, "token", "show the token: Authorization: Bearer …", {"www-authenticate": "Bearer"}
            )

    def _is_own(self, headers: dict[str, str]) -> bool:
        """Whether a browser asks for a page of ours, or nobody says that a browser asks."""
        origin = headers.get("origin")
        if origin is not None:
            try:
                return origin == f"{self._serving.scheme}://{headers.get('host', '')}" and bool(
                    urlsplit(origin).netloc
                )
            except ValueError:  # brackets that do not close
                return False
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name; a name that decides who is let in and comes twice is as good as none."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        found[name] = (
            f"{found[name]}, {value.decode('latin-1')}" if name in found else value.decode("latin-1")
        )
    return found


def _check_sizes(scope: Scope, headers: dict[str, str]) -> None:
    size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if len(scope["headers"]) > _MOST_HEADERS or size > MOST_OF_A_HEAD:
        raise Problem(
            431,
            "too-large",
            f"a request has at most {_MOST_HEADERS} headers and {MOST_OF_A_HEAD} bytes of them",
        )
    if len(scope["raw_path"]) + len(scope["query_string"]) > _MOST_OF_A_TARGET:
        raise Problem(414, "too-large", f"an address has at most {_MOST_OF_A_TARGET} bytes")
    said = headers.get("content-length", "0")
    if not said.isdigit() or int(said[:20]) > MOST_OF_A_BODY:
        raise Problem(413, "too-large", f"a request has at most {MOST_OF_A_BODY} bytes")
