"""Room for the bodies of requests that are here: where there is none left, the next ones wait outside, unread.

What waits in a socket is bounded by the kernel, and its sender waits with it. One session gets a part only, and who has
least comes first, so nobody can take the room of the others by sending slowly, or often.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from rad_engineer.gateway.exchange import Refusal, Session


class Room:
    """So many bytes, of which one session has at most its share."""

    def __init__(self, most: int, share: int, patience: float) -> None:
        self._free = most
        self._share = share
        self._patience = patience
        self._taken: Counter[Session] = Counter()
        self._waiting: list[tuple[asyncio.Future[None], Session, int]] = []

    async def take(self, session: Session, size: int) -> "Place":
        """Takes room as soon as there is some; raises Refusal where that is too late.

        Who has least of it comes first, then who has asked first. The place is to be closed.
        """
        if self._waiting or not self._fits(session, size):
            await self._turn(session, size)
        else:
            self._take(session, size)
        return Place(size, lambda less: self._give_back(session, less))

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
        """Lets in who comes next, until that one has to wait: what is large is not passed by what is small."""
        while True:
            self._waiting = [each for each in self._waiting if not each[0].done()]  # who is done has left
            next_in_line = min(
                (each for each in self._waiting if self._within_share(each[1], each[2])),
                key=lambda each: self._taken[each[1]],
                default=None,
            )
            if next_in_line is None or next_in_line[2] > self._free:
                return
            turn, session, size = next_in_line
            self._take(session, size)
            turn.set_result(None)

    def _fits(self, session: Session, size: int) -> bool:
        return size <= self._free and self._within_share(session, size)

    def _within_share(self, session: Session, size: int) -> bool:
        return self._taken[session] + size <= self._share

    def _take(self, session: Session, size: int) -> None:
        self._free -= size
        self._taken[session] += size

    def _give_back(self, session: Session, size: int) -> None:
        self._free += size
        self._taken[session] -= size
        if not self._taken[session]:
            del self._taken[session]
        self._let_in()


class Place:
    """What a body has taken of the room."""

    def __init__(self, size: int, give_back: Callable[[int], None]) -> None:
        self._size = size
        self._give_back = give_back

    def shrink(self, size: int) -> None:
        """No more than this is needed: the rest is for others."""
        spare, self._size = self._size - size, size
        self._give_back(spare)

    def close(self) -> None:
        """All of it is for others; a second time does nothing."""
        self.shrink(0)


def _full(seconds: float) -> Refusal:
    return Refusal(
        429,
        "rate_limit_error",
        f"for {seconds:g} s there was no room here for a request of this size: too many large ones wait for their answers",
        reason="limit",
        retry_after=1.0,
    )
