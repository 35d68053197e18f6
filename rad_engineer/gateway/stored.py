"""An answer as it is kept, to be given again as it was: whole, or as the events of a stream."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

from rad_engineer.gateway.exchange import Answer, Whole

_OVERHEAD = 1024  # what an entry costs beside its bytes: the key, the headers, the row
_PIECE = 64 * 1024
_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer with status 200. `link` names the call that paid for it, `made` is the time of that."""

    body: bytes
    headers: Mapping[str, str]
    stream: bool
    link: str
    made: float

    @property
    def size(self) -> int:
        """The bytes that it takes to keep."""
        return len(self.body) + _OVERHEAD

    def answer(self) -> Answer:
        """The answer for one more client."""
        return _flow(self.body) if self.stream else Whole(200, self.headers, self.body)


async def _flow(body: bytes) -> AsyncIterator[bytes]:
    for piece in _pieces(body):
        yield piece


def _pieces(body: bytes) -> Iterator[bytes]:
    """Whole events, as many as fit together."""
    start = 0
    while start < len(body):
        end = body.rfind(_END, start, start + _PIECE)
        if end < 0:
            end = body.find(_END, start)
        stop = len(body) if end < 0 else end + len(_END)
        yield body[start:stop]
        start = stop
