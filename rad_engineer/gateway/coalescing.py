"""Identical requests become one flight: one call upstream, whose answer everybody who asks meanwhile gets.

The first to ask leads; it alone passes money, queues and upstream. Who comes later waits for the answer to begin. A
leader that is refused by its own limits, or whose client leaves before the answer begins, hands over to the next. All
read at their own speed from one window of the last bytes: nobody waits for a slow reader, who gets an error when what
it has not read has left the window.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rad_engineer.gateway.exchange import Refusal, Whole

WINDOW = 8 * 1024 * 1024
_PIECE = 64 * 1024  # at most so much is handed out at once to a reader that lags


class Flights:
    """All calls that are on their way, by the key of their request."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._flying: dict[str, _Flight] = {}
        self._led = self._joined = self._handed_over = 0

    async def join(
        self, key: str, link: str, on_board: Callable[[], None] | None = None
    ) -> "Leader | Follower":
        """Leads where nobody flies with that key, else follows: returns when the answer begins, or the lead is handed over.

        `link` names the call that asks. `on_board` is called when it has to wait for another. Raises what the leader failed
        with.
        """
        flight = self._flying.get(key)
        if flight is None or flight.first:  # what has lost its beginning takes nobody on board
            flight = self._flying[key] = _Flight(self._window)
            self._led += 1
            return Leader(self, key, flight, link)
        self._joined += 1
        if flight.link is not None:
            return flight.followed()
        waiter: asyncio.Future[Leader | Follower] = asyncio.get_running_loop().create_future()
        flight.waiters.append((waiter, link))
        if on_board is not None:
            on_board()
        try:
            return await waiter
        except asyncio.CancelledError:
            _give_back(waiter)
            raise

    def stats(self) -> Mapping[str, int]:
        """How many flights there are and were, and who joined them."""
        return {
            "flying": len(self._flying),
            "led": self._led,
            "joined": self._joined,
            "handed_over": self._handed_over,
        }

    def _landed(self, key: str, flight: "_Flight") -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]

    def _next_leader(self, key: str, flight: "_Flight") -> None:
        while flight.waiters:
            waiter, link = flight.waiters.popleft()
            if not waiter.done():
                self._handed_over += 1
                waiter.set_result(Leader(self, key, flight, link))
                return
        self._landed(key, flight)


class Leader:
    """The one whose call goes upstream. As a context it never leaves the others without an answer.

    Exactly one of `whole`, `begin … end`, `fail` and `hand_over` ends its lead; what is said after that is ignored.
    """

    def __init__(self, flights: Flights, key: str, flight: "_Flight", link: str) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight
        self._link = link
        self._leads = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None,
                 _trace: TracebackType | None) -> None:  # fmt: skip
        if self._leads and self._flight.link is not None:
            self.fail(error if isinstance(error, Refusal) else _cut())
        elif self._leads:
            self.hand_over()

    @property
    def readers(self) -> int:
        """How many read the answer or wait for its beginning, its own reader among them."""
        return len(self._flight.readers) + sum(not waiter.done() for waiter, _ in self._flight.waiters)

    def whole(self, answer: Whole) -> None:
        """The answer is there at once."""
        if self._leads:
            self._flight.answer = answer
            self._start()
            self._over()

    def begin(self, headers: Mapping[str, str]) -> None:
        """The answer is a stream and begins now."""
        if self._leads:
            self._flight.headers = dict(headers)
            self._start()

    def publish(self, events: bytes) -> None:
        """More of the stream: whole events."""
        if self._leads:
            self._flight.add(events)

    def end(self) -> None:
        """The stream ended as it should."""
        if self._leads:
            self._flight.finish(None)
            self._over()

    def fail(self, refusal: Refusal) -> None:
        """Everybody gets this refusal, once; it is kept nowhere."""
        if not self._leads:
            return
        for waiter, _ in self._flight.waiters:
            if not waiter.done():
                waiter.set_exception(refusal)
        self._flight.waiters.clear()
        self._flight.finish(refusal)
        self._over()

    def hand_over(self) -> None:
        """The next who waits leads; what stopped this one is its own affair. Only before the answer begins."""
        if self._leads:
            self._leads = False
            self._flights._next_leader(self._key, self._flight)  # noqa: SLF001 - two halves of one thing

    def reader(self) -> "Reader":
        """The stream from its first event, for the client of the leader itself."""
        return self._flight.read()

    async def deserted(self) -> None:
        """Returns when nobody reads the stream any more."""
        await self._flight.deserted()

    def _start(self) -> None:
        flight = self._flight
        flight.link = self._link
        for waiter, _ in flight.waiters:
            if not waiter.done():
                waiter.set_result(flight.followed())
        flight.waiters.clear()

    def _over(self) -> None:
        self._leads = False
        self._flights._landed(self._key, self._flight)  # noqa: SLF001 - two halves of one thing


class Follower:
    """One who gets the answer of another's call, named by `link`: it pays nothing. `answer` is whole, or to be read."""

    __slots__ = ("answer", "link")

    def __init__(self, link: str, answer: "Whole | Reader") -> None:
        self.link = link
        self.answer = answer


class Reader:
    """A stream read by one client at its own speed: an async iterator of whole events. Close it when the client is gone.

    Raises the refusal that ended the stream, after its last event; a reader that fell out of the window gets one too.
    """

    def __init__(self, flight: "_Flight") -> None:
        self._flight = flight
        self._at = 0
        self._news = asyncio.Event()
        flight.readers.add(self)

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer began with."""
        return self._flight.headers

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        flight = self._flight
        while self._at == flight.last and not flight.over:
            self._news.clear()
            await self._news.wait()
        if self._at < flight.first:
            await self.aclose()
            raise Refusal(
                502, "api_error", "this client read too slowly to share the answer of an identical request",
                reason="upstream",
            )  # fmt: skip
        if self._at < flight.last:
            self._at, piece = flight.after(self._at)
            return piece
        await self.aclose()
        if flight.refusal is not None:
            raise flight.refusal
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Reads no more."""
        self._flight.left(self)

    def wake(self) -> None:
        """There is more, or it is over."""
        self._news.set()


class _Flight:
    """What leader and readers share. Events are counted from 0; those before `first` have left the window."""

    def __init__(self, window: int) -> None:
        self.link: str | None = None  # whose call it is, from the beginning of the answer on
        self.waiters: deque[tuple[asyncio.Future[Leader | Follower], str]] = deque()
        self.readers: set[Reader] = set()
        self.answer: Whole | None = None
        self.headers: Mapping[str, str] = {}
        self.refusal: Refusal | None = None
        self.over = False
        self.first = self.last = 0
        self._window = window
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._nobody = asyncio.Event()

    def followed(self) -> Follower:
        return Follower(self.link or "", self.answer or self.read())

    def read(self) -> Reader:
        self._nobody.clear()
        return Reader(self)

    def left(self, reader: Reader) -> None:
        self.readers.discard(reader)
        if not self.readers:
            self._nobody.set()

    async def deserted(self) -> None:
        if self.readers:
            await self._nobody.wait()

    def add(self, events: bytes) -> None:
        self._pieces.append(events)
        self._size += len(events)
        self.last += 1
        while self._size > self._window and len(self._pieces) > 1:
            self._size -= len(self._pieces.popleft())
            self.first += 1
        self._wake()

    def finish(self, refusal: Refusal | None) -> None:
        self.over = True
        self.refusal = refusal
        self._wake()

    def after(self, position: int) -> tuple[int, bytes]:
        """What a reader gets next: one piece, or as many as fit together when it lags."""
        found: list[bytes] = []
        size = 0
        while position < self.last:
            piece = self._pieces[position - self.first]
            if found and size + len(piece) > _PIECE:
                break
            found.append(piece)
            size += len(piece)
            position += 1
        return position, b"".join(found)

    def _wake(self) -> None:
        for reader in self.readers:
            reader.wake()


def _give_back(waiter: "asyncio.Future[Leader | Follower]") -> None:
    """A client left in the moment in which it got the lead or an answer."""
    if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
        match waiter.result():
            case Leader() as lead:
                lead.hand_over()
            case Follower(answer=Reader() as reader):
                reader._flight.left(reader)  # noqa: SLF001 - closing without a loop to wait in
    else:
        waiter.cancel()


def _cut() -> Refusal:
    return Refusal(502, "api_error", "the answer of an identical request broke off", reason="upstream")
