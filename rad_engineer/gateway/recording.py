"""Keeps every exchange with a model, so that a run can be played again without one."""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

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


class Recorder:
    """Writes exchanges into a folder. Every method may be called from any thread, and takes a disk's time."""

    def __init__(self, folder: Path, secrets: Iterable[str] = ()) -> None:
        tape.create(folder)
        self._folder = folder
        self._redaction = Redaction(secrets)
        self._sessions: OrderedDict[Session, _Session] = OrderedDict()
        self._lock = Lock()

    def keep(self, call: Call, answer: Whole | bytes) -> bool:
        """Adds an exchange: the answer is whole, or all events of a stream. Says whether it is one that counts.

        What another try may change is none: it comes again, and a request that comes again is the same exchange. Its
        later answer counts, unless the conversation has gone on from the earlier one.
        """
        said = _said(answer)
        if said is None:
            return False
        with self._lock:
            session = self._session(call.session)
            normal = session.forms.of(call)
            said = placed(said, normal.workplace, self._redaction)
            known = session.lanes.setdefault(normal.lane, _Lane())
            again = normal.fingerprint in known.numbers
            number = known.number_of(normal.fingerprint, call.number)
            exchange = Exchange(number, normal.lane, normal.request, said)
            recent = known.recent
            if not (again and any(one.number > exchange.number for one in recent)):
                tape.write(self._folder, call.session.story, call.session.attempt, exchange, recent)
                recent[:] = [*(one for one in recent if one.number != exchange.number), exchange][
                    -_GOES_ON_FROM:
                ]
        return True

    def _session(self, name: Session) -> "_Session":
        found = self._sessions.get(name)
        if found is None:
            found = _Session(Forms(self._redaction))
            for one in tape.read(self._folder, name.story, name.attempt):
                lane = found.lanes.setdefault(one.lane, _Lane())
                lane.numbers[one.fingerprint] = lane.first = one.number
                lane.recent = [*lane.recent, one][-_GOES_ON_FROM:]
            self._sessions[name] = found
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(name)
        return found


class Listener:
    """Hears the answers as they go to clients, and has them recorded beside the event loop.

    So an answer that was shared, cached or kept is recorded for everyone who got it, and one that nobody got is not.
    """

    def __init__(self, recorder: Recorder, on_event: OnEvent) -> None:
        self._recorder = recorder
        self._on_event = on_event
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")

    def heard(self, call: Call, answer: Answer) -> Answer:
        """The same answer; when it has come to its end, it is recorded."""
        if isinstance(answer, Whole):
            self._thread.submit(self._keep, call, answer)
            return answer
        return self._pass_on(call, answer)

    def close(self) -> None:
        """Returns when everything is on disk."""
        self._thread.shutdown()

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
            self._thread.submit(self._keep, call, b"".join(parts))  # clients may leave at the last event

    def _keep(self, call: Call, answer: Whole | bytes) -> None:
        try:
            self._recorder.keep(call, answer)
        except RadError as error:
            self._on_event(
                "unrecorded", story=call.session.story, attempt=call.session.attempt, call=call.number,
                why=str(error),
            )  # fmt: skip


@dataclass(slots=True)
class _Session:
    """What was recorded of a session, by lane, and what its next requests will have in common with the last."""

    forms: Forms
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
