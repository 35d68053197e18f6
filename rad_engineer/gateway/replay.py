"""Answers from a recording: the same requests get the same answers, without a network, and others are told what differs."""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from rad_engineer.errors import RadError
from rad_engineer.gateway import tape
from rad_engineer.gateway.answers import encoded
from rad_engineer.gateway.drift import described, differences
from rad_engineer.gateway.exchange import Answer, Call, Refusal, Session, Whole
from rad_engineer.gateway.messages import invalid
from rad_engineer.gateway.normal_form import Forms, Normal, back
from rad_engineer.gateway.redaction import Redaction
from rad_engineer.gateway.tape import Exchange

_MOST_SESSIONS = 64


class Replay:
    """A recording that answers. Every method may be called from any thread, and takes a disk's time."""

    def __init__(self, folder: Path, secrets: Iterable[str] = ()) -> None:
        tape.check(folder)
        self._folder = folder
        self._forms = Forms(Redaction(secrets))
        self._sessions: OrderedDict[Session, _Story] = OrderedDict()
        self._lock = Lock()
        self._answered = self._drifted = 0

    def answer(self, call: Call) -> Answer:
        """The recorded answer; raises Refusal 409 with the fields in which the request is not the recorded one.

        A recording that is damaged is drift as well. An attempt that was not recorded is answered from the one before it. A count of tokens that was not recorded is
        no drift: that is a 404, as of an upstream that does not count.
        """
        try:
            normal = self._forms.of(call)
        except RecursionError as error:  # it was not too deep for a reader
            raise invalid(f"the body is nested too deeply: {error}") from error
        with self._lock:
            try:
                story = self._story(call.session)
            except RadError as error:
                raise Refusal(409, "invalid_request_error", f"drift: {error}", reason="drift") from error
            found = story.recorded.get(normal.fingerprint)
            if found is None and normal.request["path"].endswith("/count_tokens"):
                raise Refusal(
                    404, "not_found_error", "no count was recorded for this request", reason="unrecorded"
                )
            if found is None:
                self._drifted += 1
                raise _drift(call.session, normal, story)
            story.given.add(found.name)
            self._answered += 1
        return _answer(found.answer, normal.here, stream=call.stream)

    def stats(self) -> Mapping[str, int]:
        """How many requests were answered, and how many were not the recorded ones."""
        return {"replayed": self._answered, "drifted": self._drifted}

    def _story(self, session: Session) -> "_Story":
        found = self._sessions.get(session)
        if found is None:
            earlier = [
                number for number in tape.attempts(self._folder, session.story) if number <= session.attempt
            ]
            recorded = tape.read(self._folder, session.story, earlier[-1]) if earlier else []
            by_fingerprint = {one.fingerprint: one for one in reversed(recorded)}
            found = self._sessions[session] = _Story(recorded, by_fingerprint)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(session)
        return found


@dataclass(slots=True)
class _Story:
    """What was recorded of an attempt, in order and by what names it, and the names of what was given of it."""

    in_order: Sequence[Exchange]
    recorded: Mapping[str, Exchange]
    given: set[str] = field(default_factory=set)


def _answer(said: Mapping[str, Any], where: Mapping[str, str], *, stream: bool) -> Answer:
    said = back(said, where)
    if "message" not in said:
        return _whole(said["status"], said["body"])
    return _stream(said["message"]) if stream else _whole(said["status"], said["message"])


def _whole(status: int, body: Any) -> Whole:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Whole(status, {"content-type": "application/json"}, text.encode("utf-8", "surrogatepass"))


async def _stream(message: Mapping[str, Any]) -> AsyncIterator[bytes]:
    for event in encoded(message):
        yield event


def _drift(session: Session, normal: Normal, story: _Story) -> Refusal:
    where = f"story {session.story or '(none)'}, attempt {session.attempt}"
    meant = _meant(normal, story)
    if not story.in_order:
        said = f"nothing was recorded for {where}"
    elif meant is None:
        said = f"all {len(story.in_order)} exchanges that were recorded for {where} have been asked for, and this is another"
    else:
        fields = described(differences(meant.request, normal.request))
        said = f"drift: {fields} ({meant.name} of {where})"
    return Refusal(409, "invalid_request_error", said, reason="drift")


def _meant(normal: Normal, story: _Story) -> Exchange | None:
    """The recorded exchange that a request was probably meant to be: the next of its lane, else the most similar next."""
    left = [one for one in story.in_order if one.name not in story.given]
    next_of_lane = next((one for one in left if one.lane == normal.lane), None)
    if next_of_lane is not None or not left:
        return next_of_lane
    first_of_lanes = list({one.lane: one for one in reversed(left)}.values())
    return min(first_of_lanes, key=lambda one: (len(differences(one.request, normal.request)), one.number))
