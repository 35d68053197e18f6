"""Room for the bodies of requests that are here: where there is none left, the next ones wait outside, unread.

What waits in a socket is bounded by the kernel, and its sender waits with it. One session gets a part only, so nobody can
take the room of the others by sending slowly.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rad_engineer.gateway.exchange import Refusal, Session

MOST = 128 * 1024 * 1024
"""Read, a body takes about two and a half times its length."""
SHARE = MOST // 2
PATIENCE_SECONDS = 60.0


class Room:
    """So many bytes, of which one session has at most its share."""

    def __init__(self, most: int = MOST, share: int = SHARE, patience: float = PATIENCE_SECONDS) -> None:
        self._free = most
        self._share = share
        self._patience = patience
        self._taken: Counter[Session] = Counter()
        self._waiting: deque[tuple[asyncio.Future[None], Session, int]] = deque()

    @asynccontextmanager
    async def taken(self, session: Session, size: int) -> AsyncIterator[Callable[[int], None]]:
        """Takes room as soon as there is some, in the order in which it was asked for; raises Refusal where that is too late.

        What it yields is told how much of it is needed, once that is known: the rest is for others.
        """
        if self._waiting or not self._fits(session, size):
            await self._turn(session, size)
        else:
            self._take(session, size)
        held = size

        def needed(less: int) -> None:
            nonlocal held
            spare, held = held - less, less
            self._give_back(session, spare)

        try:
            yield needed
        finally:
            self._give_back(session, held)

    async def _turn(self, session: Session, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, session, size))
        self._let_in()  # those before it may wait for another room than it does
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.cancelled():
                self._let_in()  # those behind it
            else:
                self._give_back(session, size)
            if isinstance(error, TimeoutError):
                raise _full(self._patience) from error
            raise

    def _let_in(self) -> None:
        left: deque[tuple[asyncio.Future[None], Session, int]] = deque()
        while self._waiting:
            turn, session, size = self._waiting.popleft()
            if turn.done():  # its client has left
                continue
            if size > self._free:  # what is large is not passed by what is small
                left.append((turn, session, size))
                break
            if self._fits(session, size):
                self._take(session, size)
                turn.set_result(None)
            else:
                left.append((turn, session, size))
        self._waiting.extendleft(reversed(left))

    def _fits(self, session: Session, size: int) -> bool:
        return size <= self._free and self._taken[session] + size <= self._share

    def _take(self, session: Session, size: int) -> None:
        self._free -= size
        self._taken[session] += size

    def _give_back(self, session: Session, size: int) -> None:
        self._free += size
        self._taken[session] -= size
        if not self._taken[session]:
            del self._taken[session]
        self._let_in()


def _full(seconds: float) -> Refusal:
    return Refusal(
        429,
        "rate_limit_error",
        f"for {seconds:g} s there was no room here for a request of this size: too many large ones wait for their answers",
        reason="limit",
        retry_after=1.0,
    )
