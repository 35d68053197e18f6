"""What stories spend at the gateway: heard by the loop, written into the journal, held against how their agents end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rad_engineer import logs
from rad_engineer.core import metering
from rad_engineer.core.failures import PARKED
from rad_engineer.core.measures import Measures
from rad_engineer.core.printable import several
from rad_engineer.errors import CannotWrite, ExitCode
from rad_engineer.ledger import Ledger
from rad_engineer.outcome import DRIFT, Outcome, difference

if TYPE_CHECKING:
    from rad_engineer.gateway.door import Door

MICRO = 1_000_000
OK = 200
PATIENCE = 20.0  # s
COUNT_SECONDS = 15.0
OUTAGE = 60.0  # s; somebody who still asks in vain then will go on to do so
KEY_REFUSED = (
    "the upstream refuses the key ({}), so nothing more is started; set a good ANTHROPIC_API_KEY, or: rad-engineer login;"
    " then go on with: rad-engineer resume"
)
_LOGGED = {
    **dict.fromkeys(("breaker", "clamped", "repeated", "restarted", "retried", "soft-limit"), logs.info),
    **dict.fromkeys(("failed", "hung", "refused", "unrecorded", "unwritable"), logs.warning),
}
"""The rest are details."""
LEDGER = "ledger"
"""Why a call is refused that could not be booked."""


@dataclass(slots=True)
class Spending:
    """The run's side of the gateway."""

    door: "Door"
    ledger: Ledger
    others: tuple[str, ...] = ()  # who of those who work in this run has an account of their own
    metered: bool = True  # everybody who works in this run asks through the gateway, and could not without
    exhausted: bool = False  # the run's budget is spent: nothing more is started
    barred: bool = False  # the key opens nothing, and nobody could work without: nothing more is started
    gaps: int = 0  # exchanges that were to be recorded and could not be
    told: set[int] = field(default_factory=set)  # stories of which it was said that they wait for money
    asleep: dict[tuple[str, int], float] = field(
        default_factory=dict
    )  # attempts that a usage limit has refused, since when
    cut_off: dict[tuple[str, int], float] = field(
        default_factory=dict
    )  # attempts that no upstream has answered, since when
    stranded: set[tuple[str, int]] = field(default_factory=set)  # those of them that ask again for ever
    counted: Measures = field(default_factory=Measures)  # of requests, since it was last written down
    counted_at: float = field(default_factory=time.monotonic)
    broken: CannotWrite | None = None  # what is spent cannot be written down: no model is asked any more

    def account(self, story: int, attempt: int) -> dict[str, str]:
        """What an attempt gets to ask models with: out here, and from within a box."""
        identity = self.ledger.graph.identities[story]
        url, token = self.door.session(identity, attempt)
        return {"url": url, "token": token, "inner_token": self.door.inner_token(identity, attempt)}

    def hear(self) -> None:
        """Writes down what the gateway has said."""
        noted = {
            "failed": self._failed,
            "hung": self._hung,
            "refused": self._refused,
            "request": self._answered,
            "soft-limit": self._soft_limit,
            "spend": self._spent,
            "unrecorded": self._unrecorded,
            "unwritable": self._unwritable,
            "waiting": self._waiting,
        }
        for event in self.door.poll():
            metering.count(self.counted, event)
            self._log(event)
            if event["event"] in noted:
                noted[event["event"]](event)
        if time.monotonic() - self.counted_at > COUNT_SECONDS:
            self._write_counted()

    def close(self) -> None:
        """Nobody asks any more."""
        self.door.close()
        self.hear()
        self._write_counted()

    def _log(self, event: Mapping[str, Any]) -> None:
        """What happened to a request: `request` names it in every record, as the gateway numbers them."""
        if event["event"] == "state":
            return
        fields = {
            name: value for name, value in event.items() if name not in ("event", "story", "call", "stories")
        }
        index = self.ledger.graph.by_identity.get(event.get("story") or "")
        if index is not None:
            fields["story"] = self.ledger.graph.keys[index]
        if event.get("call"):
            fields["request"] = f"{event.get('story')}#{event.get('attempt')}/{event['call']}"
        tell = _LOGGED.get(event["event"], logs.debug)
        tell(f"gateway {event['event']}", **fields)

    def _write_counted(self) -> None:
        """So often that little is lost with the process, so seldom that the journal hardly grows."""
        counted, self.counted, self.counted_at = self.counted, Measures(), time.monotonic()
        if counted.sums or counted.spreads:
            self.ledger.record("models_counted", **counted.to_json())

    def seen(self, story: int, attempt: int, event: Mapping[str, Any]) -> None:
        """Its worker has said something: its agent is at work, or has come to its end."""
        key = (self.ledger.graph.identities[story], attempt)
        if key in self.asleep:
            self.asleep[key] = time.monotonic()
        if event.get("event") == "stage_finished":
            self._goes_on(key)

    def sleeps(self, story: int, attempt: int) -> bool:
        """Whether its agent has done nothing for a while but wait for a usage limit's end or for an upstream."""
        key = (self.ledger.graph.identities[story], attempt)
        since = self.asleep.get(key)
        return key in self.stranded or (since is not None and time.monotonic() - since > PATIENCE)

    def _spent(self, event: Mapping[str, Any]) -> None:
        index = self.ledger.graph.by_identity.get(event["story"])
        if index is not None:
            self.ledger.record("story_spent", index, attempt=event["attempt"],
                               cost_usd=event["micro_usd"] / MICRO, tokens=event["tokens"])  # fmt: skip

    def _soft_limit(self, event: Mapping[str, Any]) -> None:
        index = self.ledger.graph.by_identity.get(event.get("story") or "")
        whose = (
            "the budget of this run" if index is None else f"the budget of {self.ledger.graph.keys[index]}"
        )
        self.ledger.record("note", text=f"{event['percent']} % of {whose} are spent")

    def _refused(self, event: Mapping[str, Any]) -> None:
        if event.get("scope") == "run":
            self.exhausted = self.exhausted or event["reason"] == "budget"
            if event["reason"] == "auth" and self.metered and not self.barred:
                self.barred = True
                self.ledger.record("note", text=KEY_REFUSED.format(event["why"]))
        key, now = (event["story"], event["attempt"]), time.monotonic()
        if event["reason"] == "usage-limit":
            self.asleep[key] = now
        elif (
            self.door.standing(*key)["reason"] == "offline"
            and now - self.cut_off.setdefault(key, now) > OUTAGE
        ):
            self.stranded.add(key)

    def _answered(self, event: Mapping[str, Any]) -> None:
        if event["status"] == OK:
            self._goes_on((event["story"], event["attempt"]))

    def _goes_on(self, key: tuple[str, int]) -> None:
        self.asleep.pop(key, None)
        self.cut_off.pop(key, None)
        self.stranded.discard(key)

    def _hung(self, event: Mapping[str, Any]) -> None:
        self.ledger.record("note", text=f"the gateway hung: {event['why']}")

    def _failed(self, event: Mapping[str, Any]) -> None:
        if event["exit_code"] != ExitCode.LOCKED:
            raise CannotWrite(event["why"], hint=event["hint"])

    def _unwritable(self, event: Mapping[str, Any]) -> None:
        self._break(event["why"])

    def _unrecorded(self, event: Mapping[str, Any]) -> None:
        if not self.gaps:
            text = f"the recording has gaps and cannot be played again: {event['why']}"
            self.ledger.record("note", text=text)
        self.gaps += 1

    def _waiting(self, event: Mapping[str, Any]) -> None:
        """Somebody waits for money that calls under way hold: once for each story."""
        index = self.ledger.graph.by_identity.get(event["story"])
        if index is None or index in self.told:
            return
        self.told.add(index)
        held = f"{event['held_micro_usd'] / MICRO:.2f} USD and {event['held_tokens']:,} tokens"
        calls = f"{several(event['calls'], 'call')} under way, the longest for {event['longest']:.0f} s"
        key = self.ledger.graph.keys[index]
        self.ledger.record(
            "note",
            text=f"{key} waits for its turn to spend: {held} are held for {calls}; it goes on by itself",
        )

    def judged(self, story: int, attempt: int, outcome: Outcome) -> Outcome:
        """The end of an attempt as the gateway explains it: an agent that was refused for no fault of its own waits.

        Command-line agents tell a refusal in words of their own, which nobody should have to read.
        """
        identity = self.ledger.graph.identities[story]
        self.door.end_session(identity, attempt)
        refused = outcome.kind == "failed" and outcome.reason in ("agent-failed", "timeout", "idle")
        key = (identity, attempt)
        woken = outcome.kind == "interrupted" and (key in self.asleep or key in self.stranded)
        self._goes_on(key)
        if (outcome.kind, outcome.reason) == ("later", LEDGER) or (refused and self._cannot_book()):
            self._break("what is spent cannot be written down")
            return Outcome("interrupted", commit=outcome.commit)  # it goes on as after a crash
        if not (refused or woken or outcome.kind == "later"):
            return outcome
        found = self.door.standing(identity, attempt)
        why = str(found.get("reason"))
        if refused and why == DRIFT:
            return replace(outcome, reason=DRIFT, detail=difference(found["why"]), final=True)
        if why not in PARKED:
            return outcome
        until = found.get("retry_at") or outcome.until
        return Outcome("later", reason=why, until=until, commit=outcome.commit)

    def _cannot_book(self) -> bool:
        self.hear()  # it was told before whoever was refused could end
        return self.broken is not None

    def _break(self, why: str) -> None:
        self.broken = self.broken or CannotWrite(
            why, hint="no model is asked while that is so; make room, then rad-engineer resume"
        )
