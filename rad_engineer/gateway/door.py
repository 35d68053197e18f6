"""The coordinator's side of the gateway: it owns the sockets, starts the process, starts it again, and hears of it.

Nothing here waits. `fileno` becomes readable when there is something to `poll`.
"""

import functools
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from rad_engineer import process, trail
from rad_engineer.durable import SCHEMA_VERSION, writing
from rad_engineer.errors import ConfigInvalid, UsageError
from rad_engineer.gateway import framing, tokens
from rad_engineer.gateway.configuration import REPLAY, GatewaySettings
from rad_engineer.gateway.credentials import SECRETS, Credentials, Secret
from rad_engineer.gateway.exchange import Session
from rad_engineer.gateway.listeners import Listeners, reachable
from rad_engineer.gateway.silence import Silence

_BACKLOG = 2048
_LAST_PORT = 65535
_CHUNK = 1 << 18
_PARKING = {
    "usage-limit": "limit",
    "auth": "login",
    "billing": "budget",
}  # as the end of an attempt is called
_DOWN = (
    "breaker",
    "cut",
    "garbage",
    "overloaded",
    "repeated",
    "reset",
    "timeout",
    "tls",
    "unreachable",
    "upstream",
)
_SERVER_ERROR = 500
_CALM_SECONDS = 5.0
_START_SECONDS = 60.0  # until one that has been started says its first word
_LONGEST_WAIT = 10.0
_FAREWELL_SECONDS = 5.0


@dataclass(slots=True)
class _Standing:
    """What is known of an attempt's calls; `before` is what processes that have ended had settled."""

    figures: dict[str, Any] = field(default_factory=lambda: {"micro_usd": 0, "tokens": 0, "calls": 0})
    reason: str | None = None
    retry_at: float | None = None
    why: str = ""


class Door:
    """A running gateway, as its owner sees it."""

    def __init__(
        self, settings: GatewaySettings, folder: Path, secret: bytes, key: Credentials | None
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._secret = secret
        self._kind = key.kind if key is not None else "none"
        self._key = key.secret if key is not None else Secret(b"")
        self._events: list[dict[str, Any]] = []
        self._sockets = (_listen_tcp(settings.port), _listen_unix(folder))
        self._selector = selectors.DefaultSelector()
        self._listeners = Listeners(folder, self._selector, functools.partial(tokens.verify, secret))
        self._closed: list[tuple[str, int]] = []
        self._standings: dict[tuple[str, int], _Standing] = {}
        self._told: dict[str, list[int]] = {}  # by story: micro-dollars, tokens
        self._reconciled = False
        self.state: Mapping[str, Any] = {}  # what the stations last said of themselves
        self._deaths = 0
        self._channel: socket.socket
        self._rest = b""
        self._over = False
        self._begin(0.0)

    @property
    def base_url(self) -> str:
        """Where clients find the gateway."""
        host, port = self._sockets[0].getsockname()
        return f"http://{host}:{port}"

    @property
    def pid(self) -> int:
        """The process of now."""
        return self._child.pid

    def fileno(self) -> int:
        """Readable when there is something to poll; it stays the same when the gateway starts again."""
        return self._selector.fileno()

    def session(self, story: str, attempt: int) -> tuple[str, str]:
        """The base URL and the token for an attempt at a story; one that goes on is open again."""
        if (story, attempt) in self._closed:
            self._closed.remove((story, attempt))
            self._send({"open": [story, attempt]})
        return self.base_url, tokens.issue(self._secret, Session(story, attempt, self._settings.tenant))

    def inner_token(self, story: str, attempt: int) -> str:
        """The token for what an attempt runs in a box: it is good at the listener of that box only."""
        session = Session(story, attempt, self._settings.tenant)
        return tokens.issue(tokens.inner(self._secret), session)

    def end_session(self, story: str, attempt: int) -> None:
        """The attempt is over, or waits: until it goes on, its token opens nothing."""
        if (story, attempt) not in self._closed:
            self._closed.append((story, attempt))
            self._send({"close": [story, attempt]})

    def standing(self, story: str, attempt: int) -> dict[str, Any]:
        """What an attempt has used so far, and why its last call was refused, if it was."""
        if not self._over:
            self._receive()
        found = self._standings.get((story, attempt)) or _Standing()
        return {**found.figures, "reason": found.reason, "retry_at": found.retry_at, "why": found.why}

    def poll(self) -> list[dict[str, Any]]:
        """What has happened since; a gateway that has died, or hangs, is started again on the same sockets.

        It hangs when it says nothing for long: so whoever waits for something to poll looks in from time to time.
        """
        if not self._over:
            self._listeners.poll()
            self._receive()
            self._end_if_it_hangs()
        heard, self._events = self._events, []
        return heard

    def _receive(self) -> None:
        while True:
            try:
                data = self._channel.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._again()
                return
            self._take(data)

    def _end_if_it_hangs(self) -> None:
        """What it leaves is what a dead one leaves."""
        most = self._settings.silence_seconds
        if self._silence.unbroken:
            most = max(most, _START_SECONDS + self._wait)
        if self._silence.look(time.monotonic()) > most:
            why = f"it said nothing for {self._silence.seconds:.0f} s, and is started again"
            self._events.append({"event": "hung", "why": why})
            self._silence.seconds = 0.0
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, 9)

    def _take(self, data: bytes) -> None:
        self._silence.broken()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            match event["event"]:
                case "beat":
                    pass
                case "state":
                    self.state = event
                    self._show(event)
                    self._events.append(event)
                case "ledger":
                    self._reconcile(event["stories"])
                case _:
                    if "story" in event and "attempt" in event:
                        self._note(event)
                    self._events.append(event)

    def _show(self, state: Mapping[str, Any]) -> None:
        """Leaves what the stations say for whoever looks on; nothing hangs on it."""
        shown = {name: value for name, value in state.items() if name != "event"}
        text = json.dumps({"schema_version": SCHEMA_VERSION, "at": round(time.time(), 3), **shown}, indent=1)
        new = self._folder / "state.json.new"
        with suppress(OSError):
            new.write_text(text + "\n", encoding="utf-8")
            new.replace(self._folder / "state.json")

    def _reconcile(self, booked: Mapping[str, Sequence[int]]) -> None:
        """What a gateway that was killed had written down and not told. At the first start its owner knows it all."""
        if not self._reconciled:
            self._reconciled = True
            self._told = {story: [*pair] for story, pair in booked.items()}
            return
        for story, (micro_usd, used) in booked.items():
            known = self._told.get(story, [0, 0])
            if [micro_usd, used] != known:
                attempt = max((attempt for name, attempt in self._standings if name == story), default=0)
                event = {"event": "spend", "story": story, "attempt": attempt, "micro_usd": micro_usd - known[0],
                         "tokens": used - known[1], "uncertain": True}  # fmt: skip
                self._note(event)
                self._events.append(event)

    def close(self) -> None:
        """Ends the gateway, which settles what is on its way, and gives up the sockets."""
        self._channel.setblocking(True)
        self._channel.settimeout(self._settings.linger_seconds + _FAREWELL_SECONDS)
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError, ConnectionResetError):
            while data := self._channel.recv(_CHUNK):
                self._take(data)
        self._over = True
        self._leave()
        self._listeners.close()
        self._selector.close()
        for each in self._sockets:
            each.close()
        with suppress(FileNotFoundError):
            (self._folder / "gateway.sock").unlink()

    def _begin(self, wait: float) -> None:
        ours, theirs = socket.socketpair()
        told = {
            "settings": self._settings.to_json(),
            "folder": str(self._folder),
            "credentials": self._kind,
            "closed": self._closed,
            "wait": wait,
        }
        log = os.open(
            self._folder / "gateway.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        way = self._listeners.way()
        try:
            argv = [sys.executable, "-P", "-m", "rad_engineer.gateway.program"]
            self._child = process.start_quickly(argv, environment(), (theirs.fileno(), nothing, log))
            trail.tell("spawn", what="gateway", pid=self._child.pid)
        finally:
            theirs.close()
            os.close(log)
            os.close(nothing)
        self._rest = b""
        self._wait = wait
        self._born = time.monotonic()
        self._silence = Silence(self._born)
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died already: polling will find out
            framing.send(ours, told, self._secret, (*self._sockets, way, self._key))
        way.close()
        ours.setblocking(False)
        self._channel = ours
        self._selector.register(ours, selectors.EVENT_READ)

    def _again(self) -> None:
        """A gateway that dies as soon as it lives is started later and later."""
        self._leave()
        calm = time.monotonic() - self._born > _CALM_SECONDS
        self._deaths = 0 if calm else self._deaths + 1
        wait = 0.0 if self._deaths < 2 else min(_LONGEST_WAIT, 0.25 * 2**self._deaths)
        self._begin(wait)
        self._events.append({"event": "restarted", "wait": wait})

    def _leave(self) -> None:
        self._selector.unregister(self._channel)
        self._channel.close()
        with suppress(ProcessLookupError):
            os.kill(self._child.pid, 9)
        self._child.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(
            BlockingIOError, BrokenPipeError, ConnectionResetError
        ):  # it is told when it starts again
            self._channel.send(json.dumps(message).encode() + b"\n")

    def _note(self, event: Mapping[str, Any]) -> None:
        standing = self._standings.setdefault((event["story"], event["attempt"]), _Standing())
        match event["event"]:
            case "spend":
                told = self._told.setdefault(event["story"], [0, 0])
                for place, name in enumerate(("micro_usd", "tokens")):
                    standing.figures[name] += event[name]
                    told[place] += event[name]
                standing.figures["calls"] += 1
                standing.reason = standing.retry_at = None
            case "refused":
                if event["reason"] != "repeated" or standing.reason is None:  # it says nothing new
                    standing.reason = _waits_for(event["reason"], event["status"])
                    standing.retry_at = event["retry_at"]
                    standing.why = event["why"]


def _waits_for(reason: str, status: int) -> str:
    """Why a story is to wait that was refused so; the reason itself where it is the story's own."""
    down = reason in _DOWN and (status >= _SERVER_ERROR or reason == "repeated")
    return "offline" if down else _PARKING.get(reason, reason)


def open(settings: GatewaySettings, folder: Path, secret: bytes, key: Credentials | None) -> Door:  # noqa: A001
    """Starts a gateway with its sockets in `folder`, which nobody else may enter; it answers a moment later."""
    _check_recordings(settings)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        return Door(settings, folder, secret, key)


def _check_recordings(settings: GatewaySettings) -> None:
    """Raises ConfigInvalid here, where a user sees it, for a folder that the process could not use."""
    replays = settings.upstream.startswith(REPLAY)
    if replays or settings.record:
        tape = import_module("rad_engineer.gateway.tape")  # patterns that few need
        if replays:
            tape.check(Path(settings.upstream.removeprefix(REPLAY)))
        if settings.record:
            tape.create(Path(settings.record))


def _listen_tcp(port: int) -> socket.socket:
    if port > _LAST_PORT:
        raise UsageError(f"there is no port {port}", hint=f"ports end at {_LAST_PORT}")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigInvalid(
            f"cannot listen on port {port}: {error.strerror}", hint="give another --port"
        ) from error
    listener.listen(_BACKLOG)
    return listener


def _listen_unix(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        (folder / "gateway.sock").unlink()
    with reachable(folder / "gateway.sock") as path:
        listener.bind(path)
    (folder / "gateway.sock").chmod(0o600)
    listener.listen(_BACKLOG)
    return listener


def environment() -> dict[str, str]:
    """Ours without secrets; a process finds the same packages as we do."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *(part for part in sys.path if part)])
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return {**kept, "PYTHONPATH": path}
