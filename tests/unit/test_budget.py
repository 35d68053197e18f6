"""What is spent and held never exceeds a cap, nobody starves, and a call is refused only when nothing could make room."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rad_engineer.core.budget import (
    LEAST_ANSWER,
    Amount,
    Budget,
    Cap,
    Caps,
    Crossing,
    Granted,
    Refused,
    Want,
)

TEN = 10_000_000  # a token of an answer costs 10 micro-dollars


def want(story="A", max_tokens=64_000, *, micro=0, tokens=0, pico=TEN, model=""):
    return Want(story, Amount(micro, tokens), max_tokens, pico, model)


def granted(budget, story="A", max_tokens=64_000, **more):
    ticket, answers = budget.ask(want(story, max_tokens, **more))
    assert [answer.ticket for answer in answers] == [ticket]
    assert isinstance(answers[0], Granted)
    return answers[0]


def test_without_a_cap_everything_is_granted_as_it_is_asked():
    budget = Budget(Caps())
    found = granted(budget, micro=7, tokens=3)
    assert (found.max_tokens, found.amount) == (64_000, Amount(640_007, 64_003))
    assert budget.held() == budget.held("A") == found.amount
    assert budget.settle(found.ticket, Amount(5, 6)) == []
    assert (budget.held(), budget.spent(), budget.spent("A")) == (Amount(), Amount(5, 6), Amount(5, 6))


def test_a_cost_is_rounded_up_and_the_longest_answer_fits():
    third = Want("A", Amount(10, 0), 100, 333_333)
    assert third.cost(1).micro_usd == 11
    for room in range(9, 60):
        longest = third.longest("money", room)
        assert longest < 0 or third.cost(longest).micro_usd <= room < third.cost(longest + 1).micro_usd
    assert third.longest("money", 9) == -1
    assert Want("A", Amount(10, 0), 100, 0).longest("money", 10) > 10**15
    assert third.longest("tokens", 99) == 99


def test_who_does_not_fit_because_of_held_money_waits_and_is_served_when_it_is_free():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    first = granted(budget)
    ticket, answers = budget.ask(want())
    assert (answers, budget.waiting) == ([], 1)
    (second,) = budget.settle(first.ticket, Amount(6_400, 640))
    assert isinstance(second, Granted)
    assert (second.ticket, second.max_tokens, budget.waiting) == (ticket, 64_000, 0)


def test_an_answer_is_cut_to_what_is_left_and_refused_below_the_least():
    budget = Budget(Caps(run=Cap(micro_usd=100_000)), {"A": Amount(50_000, 0)})
    found = granted(budget, micro=1)
    assert (found.max_tokens, found.amount.micro_usd) == (4_999, 49_991)
    budget.settle(found.ticket, Amount(10_000, 1))
    ticket, answers = budget.ask(want())
    assert answers == [Refused(ticket, "run", "money", 100_000, 60_000, LEAST_ANSWER * 10)]
    assert granted(budget, max_tokens=4_000).max_tokens == 4_000  # who asks for less than the least gets that


def test_the_input_alone_may_be_too_much():
    budget = Budget(Caps(run=Cap(micro_usd=100)))
    ticket, answers = budget.ask(want(micro=101, max_tokens=0, pico=0))
    assert answers == [Refused(ticket, "run", "money", 100, 0, 101)]
    assert granted(budget, micro=100, pico=0).max_tokens == 64_000


@pytest.mark.parametrize("scope", ["run", "story"])
def test_tokens_are_a_budget_too(scope):
    budget = Budget(Caps(**{scope: Cap(tokens=10_000)}))
    found = granted(budget, tokens=1_000)
    assert found.max_tokens == 9_000
    budget.settle(found.ticket, Amount(0, 9_500))
    ticket, answers = budget.ask(want(tokens=1_000))
    assert answers == [Refused(ticket, scope, "tokens", 10_000, 9_500, 1_000 + LEAST_ANSWER)]


def test_a_story_that_waits_for_its_own_cap_holds_nobody_up():
    budget = Budget(Caps(run=Cap(micro_usd=10_000_000), story=Cap(micro_usd=700_000)))
    mine = granted(budget, "A")
    _waits, answers = budget.ask(want("A"))
    assert answers == []
    granted(budget, "B")
    assert [answer.ticket for answer in budget.settle(mine.ticket, Amount(1, 1))] == [_waits]


def test_who_wants_little_does_not_pass_one_who_waits_for_the_run():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    first = granted(budget, "A")
    large, _ = budget.ask(want("B"))
    small, answers = budget.ask(want("C", 10))
    assert answers == []
    assert [answer.ticket for answer in budget.settle(first.ticket, Amount())] == [large, small]


def test_the_stories_have_their_turn_and_within_a_story_who_came_first():
    budget = Budget(Caps(run=Cap(micro_usd=640_000)))
    running = granted(budget, "A")
    tickets = {}
    for name in ("A1", "A2", "A3", "B1", "B2", "C1"):
        tickets[budget.ask(want(name[0]))[0]] = name
    served = []
    while budget.waiting:
        (running,) = budget.settle(running.ticket, Amount())
        served.append(tickets[running.ticket])
    assert served == ["A1", "B1", "C1", "A2", "B2", "A3"]


def test_who_leaves_the_line_lets_the_next_one_up():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    granted(budget, "A", 50_000)
    large, _ = budget.ask(want("B"))
    other, _ = budget.ask(want("B"))
    small, _ = budget.ask(want("C", 100))
    assert budget.leave(large) == []  # another of B is before C now
    assert [answer.ticket for answer in budget.leave(other)] == [small]
    assert budget.leave(other) == []
    assert budget.waiting == 0


def test_who_leaves_is_looked_for_in_every_line():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    first = granted(budget)
    (one, _), (other, _) = budget.ask(want("A")), budget.ask(want("B"))
    assert budget.leave(other) == []
    assert budget.waiting == 1
    assert [answer.ticket for answer in budget.settle(first.ticket, Amount())] == [one]


def test_a_wait_ends_in_a_refusal_once_nothing_can_make_room():
    budget = Budget(Caps(run=Cap(micro_usd=700_000)))
    first = granted(budget)
    second, _ = budget.ask(want("B"))
    third, _ = budget.ask(want("B", 10))
    refused, let_in = budget.settle(first.ticket, Amount(690_000, 1))
    assert isinstance(refused, Refused)
    assert isinstance(let_in, Granted)
    assert (refused.ticket, refused.spent, let_in.ticket) == (second, 690_000, third)


def test_one_model_leaves_something_to_others_and_its_own_calls_keep_their_order():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    first = granted(budget, "A", 60_000, model="slow")  # 600 000 of 750 000
    large, _ = budget.ask(want("B", 20_000, model="slow"))
    small, answers = budget.ask(want("C", 10, model="slow"))
    assert answers == []
    granted(budget, "B", 30_000, model="quick")  # the same story, behind one that waits
    other, answers = budget.ask(want("D", 20_000, model="quick"))
    assert answers == []  # within the share of its model, but the run is full
    assert [each.ticket for each in budget.settle(first.ticket, Amount())] == [large, small, other]


def test_the_share_of_a_model_shrinks_with_what_is_left_and_one_call_always_may():
    budget = Budget(Caps(run=Cap(tokens=10_000)), {"old": Amount(0, 8_000)})
    only = granted(budget, "A", 2_000, pico=0)  # all that is left
    budget.settle(only.ticket, Amount())
    granted(budget, "A", 1_000, pico=0)
    assert budget.ask(want("B", 801, pico=0))[1] == []
    budget = Budget(Caps(run=Cap(tokens=10_000)), {"old": Amount(0, 8_000)})
    granted(budget, "A", 1_000, pico=0)
    granted(budget, "B", 800, pico=0)


def test_a_reservation_can_be_trimmed_but_does_not_grow():
    budget = Budget(Caps(run=Cap(micro_usd=1_000_000)))
    first = granted(budget, micro=300_000, tokens=9)
    waits, _ = budget.ask(want("B"))
    assert budget.trim(first.ticket, Amount(2_000_000, 64_000)) == []
    assert budget.held() == Amount(940_000, 64_000)
    (answer,) = budget.trim(first.ticket, Amount(100_000, 64_000))
    assert (answer.ticket, budget.held("A").micro_usd) == (waits, 100_000)


def test_a_budget_near_its_end_is_told_once_each():
    caps = Caps(run=Cap(micro_usd=1_000, tokens=100), story=Cap(micro_usd=500))
    budget = Budget(caps, {"old": Amount(350, 0)}, last=41)
    found = granted(budget, "A", 10, pico=1_000_000)
    assert found.ticket == 42
    budget.settle(found.ticket, Amount(399, 10))
    assert budget.crossings() == []
    found = granted(budget, "A", 10, pico=1_000_000)
    budget.settle(found.ticket, Amount(60, 75))
    assert budget.crossings() == [
        Crossing("run", "", "money", 1_000, 809),
        Crossing("run", "", "tokens", 100, 85),
        Crossing("story", "A", "money", 500, 459),
    ]
    found = granted(budget, "A", 1, pico=1_000_000)
    budget.settle(found.ticket, Amount(1, 1))
    assert budget.crossings() == []
    assert budget.stories() == ["A", "old"]


STORIES = ["A", "B", "C"]
caps = st.none() | st.integers(0, 2_000)


class BudgetModel(RuleBasedStateMachine):
    """A budget, and beside it the plain sums of what it has answered."""

    @initialize(run=st.tuples(caps, caps), story=st.tuples(caps, caps))
    def begin(self, run, story):
        self.caps = Caps(Cap(*run), Cap(*story))
        self.budget = Budget(self.caps)
        self.waiting = {}
        self.running = {}
        self.spent = defaultdict(Amount)
        self.overrun = Amount()
        self.since = defaultdict(set)  # story -> those that were served since it was served last
        self.refused = 0

    def hear(self, answers):
        for answer in answers:
            asked = self.waiting.pop(answer.ticket)
            assert not [ticket for ticket, other in self.waiting.items()
                        if (other.story, other.model) == (asked.story, asked.model) and ticket < answer.ticket]  # fmt: skip
            if isinstance(answer, Granted):
                least = min(asked.max_tokens, LEAST_ANSWER)
                assert least <= answer.max_tokens <= asked.max_tokens
                assert answer.amount == asked.cost(answer.max_tokens)
                self.running[answer.ticket] = (asked, answer)
            else:
                self.refuse(asked, answer)

    def refuse(self, asked, answer):
        cap = getattr(self.caps, answer.scope)
        spent = self.total() if answer.scope == "run" else self.spent[asked.story]
        needed = spent + asked.cost(min(asked.max_tokens, LEAST_ANSWER))
        assert not needed.within(cap)
        self.refused += 1

    def total(self):
        return sum(self.spent.values(), Amount())

    @rule(story=st.sampled_from(STORIES), micro=st.integers(0, 300), tokens=st.integers(0, 300),
          most=st.sampled_from([0, 1, 50, 5_000]), pico=st.sampled_from([0, 100_000, 333_333, 2_000_000]),
          model=st.sampled_from(["slow", "quick"]))  # fmt: skip
    def ask(self, story, micro, tokens, most, pico, model):
        asked = Want(story, Amount(micro, tokens), most, pico, model)
        self.waiting[self.budget._last + 1] = asked
        ticket, answers = self.budget.ask(asked)
        assert ticket in self.waiting
        self.hear(answers)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), percent=st.integers(0, 110))
    def settle(self, data, percent):
        ticket = data.draw(st.sampled_from(sorted(self.running)))
        asked, answer = self.running.pop(ticket)
        used = Amount(answer.amount.micro_usd * percent // 100, answer.amount.tokens * percent // 100)
        self.spent[asked.story] += used
        over = used - answer.amount
        self.overrun += Amount(max(0, over.micro_usd), max(0, over.tokens))
        self.hear(self.budget.settle(ticket, used))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data):
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[ticket]
        self.hear(self.budget.leave(ticket))

    @invariant()
    def sums_agree(self):
        if not hasattr(self, "budget"):
            return
        held = sum((answer.amount for _, answer in self.running.values()), Amount())
        assert self.budget.held() == held
        assert self.budget.spent() == self.total()
        assert sum(map(self.budget.held, STORIES), Amount()) == held
        assert self.budget.waiting == len(self.waiting)

    @invariant()
    def no_cap_is_exceeded_but_by_what_calls_took_beyond_their_reservation(self):
        if not hasattr(self, "budget"):
            return
        assert (self.budget.spent() + self.budget.held() - self.overrun).within(self.caps.run)
        for story in STORIES:
            assert (self.budget.spent(story) + self.budget.held(story) - self.overrun).within(self.caps.story)

    @invariant()
    def no_model_holds_more_than_its_share_but_with_a_single_call(self):
        if not hasattr(self, "budget"):
            return
        for model in ("slow", "quick"):
            mine = [answer.amount for asked, answer in self.running.values() if asked.model == model]
            for unit in ("micro_usd", "tokens"):
                cap = getattr(self.caps.run, unit)
                held = sum(getattr(amount, unit) for amount in mine)
                assert len(mine) <= 1 or cap is None or held * 100 <= cap * 75

    @invariant()
    def nobody_waits_while_nothing_is_held(self):
        if hasattr(self, "budget") and not self.running:
            assert not self.waiting


TestBudgetModel = BudgetModel.TestCase
TestBudgetModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@settings(max_examples=30, deadline=None)
@given(
    wants=st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 900)), min_size=1, max_size=60),
    order=st.randoms(use_true_random=False),
)
def test_between_two_turns_of_a_story_everybody_who_waited_has_had_his(wants, order):
    budget = Budget(Caps(run=Cap(tokens=1_000)))
    story_of, waiting, running, turns = {}, set(), [], []

    def hear(answers):
        for answer in answers:
            turns.append((story_of[answer.ticket], {story_of[ticket] for ticket in waiting}))
            waiting.remove(answer.ticket)
            running.append(answer.ticket)

    for number, (story, most) in enumerate(wants, 1):
        story_of[number] = story
        waiting.add(number)
        hear(budget.ask(want(story, most, pico=0))[1])
        if running and order.random() < 0.5:
            hear(budget.settle(running.pop(order.randrange(len(running))), Amount()))
    while running:
        hear(budget.settle(running.pop(order.randrange(len(running))), Amount()))
    assert not waiting
    for at, (story, waiting_then) in enumerate(turns):
        served, waited = set(), waiting_then
        for other, still in turns[at + 1 :]:
            waited &= still
            if other == story:
                assert waited - {story} <= served
                break
            served.add(other)
