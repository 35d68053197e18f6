"""The money and tokens of a run: what is spent, what is held for calls under way, who waits, who is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

LEAST_ANSWER = 4096
"""An answer is not cut shorter than this for want of money: then the call is refused."""
MODEL_PERCENT_OF_CAP = 75
MODEL_PERCENT_OF_ROOM = 90
"""So much of a cap, and of what is left of it, the calls to one model may hold: so one that hangs leaves some to others."""
SOFT_PERCENT = 80
"""From here on a budget is worth a word."""
PICO = 1_000_000
"""A micro-dollar in 10^-12 dollars: so what one token costs is a whole number."""

Scope = Literal["run", "story"]
Unit = Literal["money", "tokens"]
_WITHOUT_END = 1 << 62


@dataclass(frozen=True, slots=True)
class Amount:
    """So much money, in millionths of a dollar, and so many tokens."""

    micro_usd: int = 0
    tokens: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.micro_usd + other.micro_usd, self.tokens + other.tokens)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.micro_usd - other.micro_usd, self.tokens - other.tokens)

    def within(self, cap: "Cap") -> bool:
        """Whether this is not over the cap, neither in money nor in tokens."""
        return (cap.micro_usd is None or self.micro_usd <= cap.micro_usd) and (
            cap.tokens is None or self.tokens <= cap.tokens
        )


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent; None is no limit."""

    micro_usd: int | None = None
    tokens: int | None = None

    def parts(self) -> tuple[tuple[Unit, int | None], ...]:
        """Both limits by name."""
        return ("money", self.micro_usd), ("tokens", self.tokens)


@dataclass(frozen=True, slots=True)
class Caps:
    """What the run may spend, and each story of it."""

    run: Cap = Cap()
    story: Cap = Cap()


@dataclass(frozen=True, slots=True)
class Want:
    """A call before it is made: what its input costs at most, and what each token of its answer costs."""

    story: str
    input: Amount
    max_tokens: int
    pico_usd: int
    model: str = ""

    def cost(self, max_tokens: int) -> Amount:
        """What the call costs at most with an answer of this length."""
        return self.input + Amount(-(-max_tokens * self.pico_usd // PICO), max_tokens)

    def longest(self, unit: Unit, room: int) -> int:
        """The longest answer that costs no more than `room`; below 0 where not even the input fits."""
        if unit == "tokens":
            return room - self.input.tokens
        left = room - self.input.micro_usd
        if left < 0:
            return -1
        return left * PICO // self.pico_usd if self.pico_usd else _WITHOUT_END


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may be made with this `max_tokens`; `amount` is held until it is settled."""

    ticket: int
    max_tokens: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class Refused:
    """What is spent already leaves no room under this cap; nothing that is held could make room."""

    ticket: int
    scope: Scope
    unit: Unit
    cap: int
    spent: int
    needed: int


@dataclass(frozen=True, slots=True)
class Crossing:
    """A budget has been used up to SOFT_PERCENT; `story` is empty for that of the run."""

    scope: Scope
    story: str
    unit: Unit
    cap: int
    spent: int


@dataclass(frozen=True, slots=True)
class _Hold:
    story: str
    model: str
    amount: Amount


_Line: TypeAlias = tuple[str, str]
"""Those who want the same model for the same story."""
Answers = list[Granted | Refused]
_NOTHING = Amount()


class Budget:
    """Who may spend how much. Every change returns the answers that it brings about, in their order.

    A call that fits is granted, and its amount held. One that does not fit because of what others hold waits: first
    come, first served among the calls of a story to a model, and those lines in turn. Where the run has no room for the
    one whose turn it is, nobody passes it, however little he wants: so everybody gets his turn. Who waits for the cap of
    his story holds up that story only; who waits for his model's share of the run's cap, that model only.
    """

    def __init__(self, caps: Caps, spent: Mapping[str, Amount] | None = None, last: int = 0) -> None:
        self.caps = caps
        self._spent = dict(spent or {})
        self._spent_by_all = sum(self._spent.values(), _NOTHING)
        self._held: dict[str, Amount] = {}
        self._held_by_model: dict[str, Amount] = {}
        self._held_by_all = _NOTHING
        self._holds: dict[int, _Hold] = {}
        self._lines: dict[_Line, dict[int, Want]] = {}  # in turn -> tickets as they came
        self._last = last
        self._told: set[tuple[Scope, str, Unit]] = set()
        self._crossings: list[Crossing] = []

    def ask(self, want: Want) -> tuple[int, Answers]:
        """A ticket for a call, and the answers there are now; its own comes later where it is not among them."""
        self._last += 1
        self._lines.setdefault((want.story, want.model), {})[self._last] = want
        return self._last, self._serve()

    def leave(self, ticket: int) -> Answers:
        """Who waited does not any more."""
        for line, tickets in self._lines.items():
            if tickets.pop(ticket, None) is not None:
                if not tickets:
                    del self._lines[line]
                return self._serve()
        return []

    def settle(self, ticket: int, used: Amount) -> Answers:
        """The call has ended and has cost so much; its reservation is free."""
        hold = self._holds.pop(ticket)
        self._hold(hold, _NOTHING - hold.amount)
        self._spent[hold.story] = self.spent(hold.story) + used
        self._spent_by_all += used
        self._look_at("run", "", self.caps.run, self._spent_by_all)
        self._look_at("story", hold.story, self.caps.story, self._spent[hold.story])
        return self._serve()

    def trim(self, ticket: int, amount: Amount) -> Answers:
        """The call under way is known to cost no more than this; a reservation never grows."""
        hold = self._holds[ticket]
        kept = Amount(min(hold.amount.micro_usd, amount.micro_usd), min(hold.amount.tokens, amount.tokens))
        self._holds[ticket] = _Hold(hold.story, hold.model, kept)
        self._hold(hold, kept - hold.amount)
        return self._serve()

    def crossings(self) -> list[Crossing]:
        """The budgets that have come near their end since this was last asked; each is told once."""
        found, self._crossings = self._crossings, []
        return found

    def spent(self, story: str | None = None) -> Amount:
        """What a story has spent, or all of them."""
        return self._spent_by_all if story is None else self._spent.get(story, _NOTHING)

    def held(self, story: str | None = None) -> Amount:
        """What is held for the calls of a story, or for all."""
        return self._held_by_all if story is None else self._held.get(story, _NOTHING)

    def stories(self) -> list[str]:
        """Every story that has spent or holds something."""
        return sorted(self._spent.keys() | self._held.keys())

    @property
    def waiting(self) -> int:
        """How many calls wait for money."""
        return sum(map(len, self._lines.values()))

    def _serve(self) -> Answers:
        answers: Answers = []
        while (found := self._next()) is not None:
            line, answer = found
            tickets = self._lines.pop(line)
            del tickets[answer.ticket]
            if tickets:
                self._lines[line] = tickets  # behind the others
            if isinstance(answer, Granted):
                hold = self._holds[answer.ticket] = _Hold(*line, answer.amount)
                self._hold(hold, answer.amount)
            answers.append(answer)
        return answers

    def _next(self) -> tuple[_Line, Granted | Refused] | None:
        """The first in turn who can be answered."""
        stories: set[str] = set()  # those of which somebody waits for the story's cap
        models: set[str] = set()  # and for the model's share
        for (story, model), tickets in self._lines.items():
            ticket, want = next(iter(tickets.items()))
            answer = self._judge(ticket, want)
            if isinstance(answer, Refused):
                return (story, model), answer
            if story in stories or model in models:
                continue
            if not (self.spent(story) + self.held(story) + answer.amount).within(self.caps.story):
                stories.add(story)
            elif not self._within_share(model, answer.amount):
                models.add(model)
            elif not (self._spent_by_all + self._held_by_all + answer.amount).within(self.caps.run):
                return None
            else:
                return (story, model), answer
        return None

    def _within_share(self, model: str, more: Amount) -> bool:
        """Whether a model's calls leave something to other models; the first one always may."""
        held = self._held_by_model.get(model, _NOTHING)
        if held == _NOTHING:
            return True
        (_, usd), (_, tokens) = self.caps.run.parts()
        spent = self._spent_by_all
        return (held + more).within(Cap(_share(usd, spent.micro_usd), _share(tokens, spent.tokens)))

    def _judge(self, ticket: int, want: Want) -> Granted | Refused:
        """What the call would get if nothing were held."""
        longest = want.max_tokens
        least = min(want.max_tokens, LEAST_ANSWER)
        for scope, cap, spent in self._scopes(want.story):
            for unit, limit in cap.parts():
                if limit is None:
                    continue
                used = _part(spent, unit)
                longest = min(longest, want.longest(unit, limit - used))
                if longest < least:
                    return Refused(ticket, scope, unit, limit, used, _part(want.cost(least), unit))
        return Granted(ticket, longest, want.cost(longest))

    def _scopes(self, story: str) -> tuple[tuple[Scope, Cap, Amount], ...]:
        return ("run", self.caps.run, self._spent_by_all), ("story", self.caps.story, self.spent(story))

    def _hold(self, hold: _Hold, more: Amount) -> None:
        self._held_by_all += more
        for held, name in ((self._held, hold.story), (self._held_by_model, hold.model)):
            held[name] = held.get(name, _NOTHING) + more
            if held[name] == _NOTHING:
                del held[name]

    def _look_at(self, scope: Scope, story: str, cap: Cap, spent: Amount) -> None:
        for unit, limit in cap.parts():
            used = _part(spent, unit)
            if limit is None or used * 100 < limit * SOFT_PERCENT or (scope, story, unit) in self._told:
                continue
            self._told.add((scope, story, unit))
            self._crossings.append(Crossing(scope, story, unit, limit, used))


def _part(amount: Amount, unit: Unit) -> int:
    return amount.micro_usd if unit == "money" else amount.tokens


def _share(limit: int | None, spent: int) -> int | None:
    """What the calls to one model may hold under a cap of which so much is spent."""
    if limit is None:
        return None
    return min(limit * MODEL_PERCENT_OF_CAP, (limit - spent) * MODEL_PERCENT_OF_ROOM) // 100
