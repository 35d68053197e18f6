"""Sessions: how many calls each has made, and the answer it may not have written down yet."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rad_engineer.gateway.exchange import Call, Session, Whole
from rad_engineer.gateway.tries import Tries

_MOST_KEPT = 4 * 1024 * 1024
_MOST_KEPT_OF_ALL = 64 * 1024 * 1024
_LANES_KEPT = 4


@dataclass(slots=True)
class Kept:
    """A finished answer: whole, or all events of a stream; `key` is that of its request."""

    key: str
    answer: Whole | bytes
    headers: Mapping[str, str]

    @property
    def size(self) -> int:
        """The bytes of the answer."""
        return len(self.answer.body if isinstance(self.answer, Whole) else self.answer)


@dataclass(slots=True)
class _State:
    calls: int = 0
    used: float = 0.0
    kept: "OrderedDict[tuple[str, bytes, bytes], Kept]" = field(default_factory=OrderedDict)
    tries: Tries = field(default_factory=Tries)


class Sessions:
    """What is known of each session, for as long as it is used; what nobody used for a while is forgotten.

    A token outlives that: it is good as long as its attempt goes on, and its next call begins anew. When the attempt
    is over, the session is closed, and its token opens nothing any more.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle = idle_seconds
        self._states: OrderedDict[Session, _State] = OrderedDict()
        self.kept_bytes = 0
        self._closed: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._states)

    def arrived(self, session: Session, now: float) -> int:
        """Counts a call; its number, from 1."""
        state = self._states.get(session)
        if state is None:
            state = self._states[session] = _State()
        self._states.move_to_end(session)
        state.calls += 1
        state.used = now
        return state.calls

    def expire(self, now: float) -> int:
        """Forgets who has not called for long; how many."""
        gone = 0
        while self._states:
            session, state = next(iter(self._states.items()))
            if now - state.used < self._idle:
                break
            self._forget(session)
            gone += 1
        return gone

    def close(self, story: str, attempt: int) -> None:
        """The attempt is over."""
        self._closed.add((story, attempt))
        for session in [each for each in self._states if (each.story, each.attempt) == (story, attempt)]:
            self._forget(session)

    def reopen(self, story: str, attempt: int) -> None:
        """The attempt goes on."""
        self._closed.discard((story, attempt))

    def closed(self, session: Session) -> bool:
        """Whether the attempt is over."""
        return (session.story, session.attempt) in self._closed

    def tries(self, session: Session) -> Tries:
        """What its requests have tried in vain."""
        state = self._states.get(session)
        return Tries() if state is None else state.tries

    def keep(self, call: Call, kept: Kept) -> None:
        """Keeps the last answer of a session's lane until its next turn is seen; small ones, of stories."""
        state = self._states.get(call.session)
        if state is None or not call.session.story or kept.size > _MOST_KEPT:
            return
        which = _lane(call)
        self._drop(state, which)
        state.kept[which] = kept
        self.kept_bytes += kept.size
        while len(state.kept) > _LANES_KEPT:
            self._drop(state, next(iter(state.kept)))
        if self.kept_bytes > _MOST_KEPT_OF_ALL:
            self._make_room()

    def kept(self, call: Call, key: str) -> Kept | None:
        """The answer to this very request, if it was the last of its lane; another request is the next turn."""
        state = self._states.get(call.session)
        if state is None or not state.kept:
            return None
        which = _lane(call)
        found = state.kept.get(which)
        if found is None or found.key == key:
            return found
        self._drop(state, which)
        return None

    def _make_room(self) -> None:
        """Drops what is kept for those who have not called for longest."""
        for state in self._states.values():
            while state.kept and self.kept_bytes > _MOST_KEPT_OF_ALL:
                self._drop(state, next(iter(state.kept)))
            if self.kept_bytes <= _MOST_KEPT_OF_ALL:
                return

    def _forget(self, session: Session) -> None:
        state = self._states.pop(session)
        for which in [*state.kept]:
            self._drop(state, which)

    def _drop(self, state: _State, which: tuple[str, bytes, bytes]) -> None:
        found = state.kept.pop(which, None)
        if found is not None:
            self.kept_bytes -= found.size


def _lane(call: Call) -> tuple[str, bytes, bytes]:
    """What names a conversation of a session: all requests of one have model, system prompt and tools in common."""
    return call.model, call.said.name("system"), call.said.name("tools")
