"""Keeps every exchange with a model, so that a run can be played again without one."""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from rad_engineer.durable import replace_all
from rad_engineer.errors import RadError
from rad_engineer.gateway import tape
from rad_engineer.gateway.answers import decoded
from rad_engineer.gateway.exchange import Answer, Call, OnEvent, Session, Whole
from rad_engineer.gateway.normal_form import Forms, placed
from rad_engineer.gateway.redaction import Redaction
from rad_engineer.gateway.tape import Exchange

_MAY_SUCCEED_LATER = frozenset({401, 402, 403, 408, 409, 425, 429})
_GOES_ON_FROM = 4  # so many exchanges of a lane are looked at for the one that the next goes on from
_MOST_SESSIONS = 256
_MOST_REMEMBERED = 64 * 1024 * 1024
_UNRECORDABLE = (
    RadError,
    RecursionError,
    LookupError,
    TypeError,
    ValueError,
)  # a disk, or a request, that refuses
_TOGETHER_SECONDS = 0.05
_MOST_TOGETHER = 32
_MOST_WAITING = 64 * 1024 * 1024


class Recorder:
    """Writes exchanges into a folder. Every method may be called from any thread, and takes a disk's time."""

    def __init__(self, folder: Path, secrets: Iterable[str] = ()) -> None:
        tape.create(folder)
        self._folder = folder
        self._redaction = Redaction(secrets)
        self._forms = Forms(self._redaction)
        self._sessions: OrderedDict[Session, _Session] = OrderedDict()
        self._lock = Lock()

    def keep(self, call: Call, answer: Whole | bytes) -> bool:
        """Adds an exchange: the answer is whole, or all events of a stream. Says whether it is one that counts.

        What another try may change is none: it comes again, and a request that comes again is the same exchange. Its
        later answer counts, unless the conversation has gone on from the earlier one.
        """
        return bool(self.keep_all([(call, answer)]))

    def keep_all(self, exchanges: Sequence[tuple[Call, Whole | bytes]]) -> int:
        """Adds exchanges and syncs them together; how many of them count. Where it raises, none was added."""
        found = [(call, said) for call, answer in exchanges if (said := _said(answer)) is not None]
        with self._lock:
            files: dict[Path, bytes] = {}
            try:
                for call, said in found:
                    files |= self._pages(call, said)
                replace_all(files)
                self._forget()
            except _UNRECORDABLE:
                for call, _ in found:
                    self._sessions.pop(call.session, None)  # nothing goes on from what was not written
                raise
        return len(found)

    def _pages(self, call: Call, said: Mapping[str, Any]) -> Mapping[Path, bytes]:
        session = self._session(call.session)
        normal = self._forms.of(call)
        session.size = max(session.size, len(call.body))
        known = session.lanes.setdefault(normal.lane, _Lane())
        again = normal.fingerprint in known.numbers
        number = known.number_of(normal.fingerprint, call.number)
        if again and any(one.number > number for one in known.recent):
            return {}
        answer = placed(said, normal.here, self._redaction)
        exchange = Exchange(number, normal.lane, normal.request, answer)
        pages = tape.pages(self._folder, call.session.story, call.session.attempt, exchange, known.recent)
        others = [one for one in known.recent if one.number != number]
        known.recent = [*others, exchange][-_GOES_ON_FROM:]
        return pages

    def _session(self, name: Session) -> "_Session":
        found = self._sessions.get(name)
        if found is None:
            found = _Session()
            for one in tape.read(self._folder, name.story, name.attempt):
                lane = found.lanes.setdefault(one.lane, _Lane())
                lane.numbers[one.fingerprint] = lane.first = one.number
                lane.recent = [*lane.recent, one][-_GOES_ON_FROM:]
            self._sessions[name] = found
        self._sessions.move_to_end(name)
        return found

    def _forget(self) -> None:
        """Those that were not heard of for longest, where there is more than memory is to hold; they are read again."""
        size = sum(session.size for session in self._sessions.values())
        while len(self._sessions) > 1 and (len(self._sessions) > _MOST_SESSIONS or size > _MOST_REMEMBERED):
            size -= self._sessions.popitem(last=False)[1].size


class Listener:
    """Hears the answers as they go to clients, and has them recorded by a thread, a moment later and several together.

    So an answer that was shared, cached or kept is recorded for everyone who got it, and one that nobody got is not.
    """

    def __init__(self, recorder: Recorder, on_event: OnEvent) -> None:
        self._recorder = recorder
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Call, Whole | bytes]] = deque()
        self._heard = self._done = 0  # bytes; each is counted by one thread only
        self._wanted = Event()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    async def caught_up(self) -> None:
        """Returns when not too much waits for the disk: nothing is left out, and memory has its bounds."""
        while self._heard - self._done > _MOST_WAITING:  # noqa: ASYNC110 -- a thread is waited for
            await asyncio.sleep(_TOGETHER_SECONDS)

    def heard(self, call: Call, answer: Answer) -> Answer:
        """The same answer; when it has come to its end, it is recorded."""
        if isinstance(answer, Whole):
            self._record(call, answer)
            return answer
        return self._pass_on(call, answer)

    def close(self) -> None:
        """Returns when everything is on disk."""
        self._ended.set()
        self._wanted.set()
        self._thread.join()

    async def _pass_on(self, call: Call, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        parts = []
        try:
            async for part in events:
                parts.append(part)
                yield part
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()
            self._record(call, b"".join(parts))  # clients may leave at the last event

    def _record(self, call: Call, answer: Whole | bytes) -> None:
        self._heard += _size(call, answer)
        self._waiting.append((call, answer))
        self._wanted.set()

    def _run(self) -> None:
        over = False
        while not over:
            self._wanted.wait()
            over = self._ended.wait(_TOGETHER_SECONDS)  # what is recorded now would hold up the answer
            self._wanted.clear()
            while self._waiting:
                together = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
                self._keep(together)
                self._done += sum(_size(*each) for each in together)

    def _keep(self, together: Sequence[tuple[Call, Whole | bytes]]) -> None:
        try:
            self._recorder.keep_all(together)
        except _UNRECORDABLE as error:
            if len(together) > 1:  # one of them may be what the disk refuses
                for each in together:
                    self._keep([each])
                return
            session = together[0][0].session
            told = partial(self._on_event, "unrecorded", story=session.story, attempt=session.attempt,
                           call=together[0][0].number, why=str(error))  # fmt: skip
            self._loop.call_soon_threadsafe(told)


@dataclass(slots=True)
class _Session:
    """What was recorded of a session, by lane; `size` is that of its largest request, in bytes."""

    size: int = 0
    lanes: "dict[str, _Lane]" = field(default_factory=dict)


@dataclass(slots=True)
class _Lane:
    """What was recorded of a lane. `first` is added to numbers that begin anew, as after a restart of the gateway."""

    first: int = 0
    numbers: dict[str, int] = field(default_factory=dict)  # by fingerprint
    recent: list[Exchange] = field(default_factory=list)

    def number_of(self, fingerprint: str, arrived: int) -> int:
        """The number of a request: the one that it had when it came before, else its own, or the next if it has none."""
        if fingerprint not in self.numbers:
            taken = self.numbers.values()
            if not arrived or self.first + arrived in taken:
                self.first = max(taken, default=0)
            self.numbers[fingerprint] = self.first + (arrived or 1)
        return self.numbers[fingerprint]


def _said(answer: Whole | bytes) -> Mapping[str, Any] | None:
    try:
        if isinstance(answer, bytes):
            message = decoded(answer)
            return None if message is None else {"status": 200, "message": message}
        if answer.status >= 500 or answer.status in _MAY_SUCCEED_LATER:
            return None
        data = json.loads(answer.body)
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    is_message = isinstance(data, dict) and data.get("type") == "message"
    return {"status": answer.status, "message" if is_message else "body": data}


def _size(call: Call, answer: Whole | bytes) -> int:
    return len(call.body) + len(answer.body if isinstance(answer, Whole) else answer)
