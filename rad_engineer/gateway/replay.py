"""Answers from a recording: the same requests get the same answers, without a network, and others are told what differs."""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from rad_engineer.gateway import tape
from rad_engineer.gateway.answers import encoded
from rad_engineer.gateway.drift import described, differences
from rad_engineer.gateway.exchange import Answer, Call, Refusal, Session, Whole
from rad_engineer.gateway.fingerprint import digest
from rad_engineer.gateway.normal_form import WORKPLACE, lane_of, moved, normal_form, workplace
from rad_engineer.gateway.redaction import Redaction
from rad_engineer.gateway.tape import Exchange

_MOST_SESSIONS = 64


class Replay:
    """A recording that answers. Every method may be called from any thread, and takes a disk's time."""

    def __init__(self, folder: Path, secrets: Iterable[str] = ()) -> None:
        tape.check(folder)
        self._folder = folder
        self._redaction = Redaction(secrets)
        self._sessions: OrderedDict[Session, list[Exchange]] = OrderedDict()
        self._given: dict[Session, set[str]] = {}
        self._lock = Lock()
        self._answered = self._drifted = 0

    def answer(self, call: Call) -> Answer:
        """The recorded answer; raises Refusal 409 with the fields in which the request is not the recorded one.

        An attempt that was not recorded is answered from the one before it. A count of tokens that was not recorded is
        no drift: that is a 404, as of an upstream that does not count.
        """
        normal = normal_form(call, self._redaction)
        fingerprint = digest(normal)
        with self._lock:
            recorded = self._recorded(call.session)
            found = next((one for one in recorded if one.fingerprint == fingerprint), None)
            given = self._given.setdefault(call.session, set())
            if found is None and normal["path"].endswith("/count_tokens"):
                raise Refusal(
                    404, "not_found_error", "no count was recorded for this request", reason="unrecorded"
                )
            if found is None:
                self._drifted += 1
                raise _drift(call.session, normal, recorded, given)
            given.add(found.name)
            self._answered += 1
        return _answer(found.answer, call)

    def stats(self) -> Mapping[str, int]:
        """How many requests were answered, and how many were not the recorded ones."""
        return {"replayed": self._answered, "drifted": self._drifted}

    def _recorded(self, session: Session) -> list[Exchange]:
        found = self._sessions.get(session)
        if found is None:
            earlier = [
                number for number in tape.attempts(self._folder, session.story) if number <= session.attempt
            ]
            found = tape.read(self._folder, session.story, earlier[-1]) if earlier else []
            self._sessions[session] = found
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(session)
        return found


def _answer(said: Mapping[str, Any], call: Call) -> Answer:
    where = workplace(call.data)
    if where:
        said = moved(said, WORKPLACE, where)
    if "message" not in said:
        return _whole(said["status"], said["body"])
    return _stream(said["message"]) if call.stream else _whole(said["status"], said["message"])


def _whole(status: int, body: Any) -> Whole:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Whole(status, {"content-type": "application/json"}, text.encode("utf-8", "surrogatepass"))


async def _stream(message: Mapping[str, Any]) -> AsyncIterator[bytes]:
    for event in encoded(message):
        yield event


def _drift(session: Session, normal: Mapping[str, Any], recorded: list[Exchange], given: set[str]) -> Refusal:
    where = f"story {session.story or '(none)'}, attempt {session.attempt}"
    meant = _meant(normal, recorded, given)
    if not recorded:
        said = f"nothing was recorded for {where}"
    elif meant is None:
        said = f"all {len(recorded)} exchanges that were recorded for {where} have been asked for, and this is another"
    else:
        fields = described(differences(meant.request, normal))
        said = f"drift: {fields} ({meant.name} of {where})"
    return Refusal(409, "invalid_request_error", said, reason="drift")


def _meant(normal: Mapping[str, Any], recorded: list[Exchange], given: set[str]) -> Exchange | None:
    """The recorded exchange that a request was probably meant to be: the next of its lane, else the most similar next."""
    left = [one for one in recorded if one.name not in given]
    lane = lane_of(normal)
    next_of_lane = next((one for one in left if one.lane == lane), None)
    if next_of_lane is not None or not left:
        return next_of_lane
    first_of_lanes = list({one.lane: one for one in reversed(left)}.values())
    return min(first_of_lanes, key=lambda one: (len(differences(one.request, normal)), one.number))
