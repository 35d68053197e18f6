"""The schedule against a reference that works everything out anew, on random plans and random events."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plans import prd, story
from reference_schedule import Reference

from rad_engineer.core import graph, reasons
from rad_engineer.core.graph import Graph
from rad_engineer.core.overlap import normal, overlap
from rad_engineer.core.schedule import Schedule

FILES = ["a.py", "src/a.py", "src", "src/b.py", "docs/", "**/*.py", "src/*.md", ".", "docs/x.md"]
STATES = ["todo"] * 8 + ["done", "skipped", "blocked", "human"]


@st.composite
def plans(draw: Any) -> Graph:
    """One to three PRDs: with needs, waves, order only, or files; later ones may need earlier ones."""
    known: list[str] = []
    prds = []
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["order", "needs", "waves", "both"]))
        stories = []
        for position in range(draw(st.integers(1, 7))):
            needs = []
            if kind in {"needs", "both"} and known:
                needs = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
            wave = None
            if kind in {"waves", "both"} and draw(st.integers(0, 4)):
                wave = (draw(st.sampled_from(["", "", "UI"])), draw(st.integers(1, 3)))
            name = f"P{number}-{position}"
            stories.append(
                story(
                    name,
                    *needs,
                    wave=wave,
                    state=draw(st.sampled_from(STATES)),
                    priority=draw(st.sampled_from([None, 0, 1, 2])),
                    points=draw(st.sampled_from([None, 1, 5])),
                    files=tuple(draw(st.lists(st.sampled_from(FILES), max_size=2))),
                )
            )
            known.append(name)
        file = f"phase{number}.json"
        before = [other.file for other in prds]
        chosen = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
        prds.append(prd(*stories, file=file, needs=tuple(chosen)))
    return graph.build(prds, parallel=draw(st.integers(0, 5)) == 0)


STATUSES = st.sampled_from(
    ["passed", "already-done", "failed", "done-unverified", "skipped", "waiting", "pending", "landing"]
)


def agree(schedule: Schedule, reference: Reference) -> list[int]:
    """Both see the same; returns what may start."""
    names = {"limited": "waiting"}
    assert [schedule.status(i) for i in range(len(reference.state))] == [
        names.get(state, state) for state in reference.state
    ]
    startable = reference.startable()
    assert schedule.could_start() == bool(startable)
    still_open = {"pending", "running", "limited", "waiting"}
    assert schedule.open_count() == sum(
        state in still_open and reference.selected(i) for i, state in enumerate(reference.state)
    )
    return startable


@settings(max_examples=120, deadline=None)
@given(plans(), st.data())
def test_agrees_with_the_reference(plan: Graph, data: Any) -> None:
    count = len(plan.stories)
    statuses = data.draw(st.dictionaries(st.integers(0, count - 1), STATUSES, max_size=3))
    only = data.draw(st.one_of(st.none(), st.none(), st.frozensets(st.integers(0, count - 1), min_size=1)))
    keep_going = data.draw(st.booleans())
    schedule = Schedule(plan, statuses, keep_going=keep_going, only=only)
    reference = Reference(plan, statuses, keep_going=keep_going, only=only)
    blocked = {i for i, _ in schedule.newly_blocked()}
    assert blocked == {i for i, state in enumerate(reference.state) if state == "blocked"}
    for _ in range(data.draw(st.integers(0, 40))):
        startable = agree(schedule, reference)
        running = [i for i, state in enumerate(reference.state) if state == "running"]
        waiting = [i for i, state in enumerate(reference.state) if state in {"waiting", "limited"}]
        acts = ["take"] * 3
        acts += (
            ["landed", "landed", "landed", "failed", "unverified", "waits", "limit", "again"]
            if running
            else []
        )
        acts += ["released"] if waiting else []
        act = data.draw(st.sampled_from(acts))
        if act == "take":
            taken = schedule.take()
            assert taken == (startable[0] if startable else None)
            if taken is not None:
                reference.set(taken, "running")
            continue
        chosen = data.draw(st.sampled_from(waiting if act == "released" else running))
        step(schedule, reference, act, chosen)
        for i in range(count):
            assert reasons.why(schedule, i)
            assert set(schedule.blocked(i)) <= {
                other for other, state in enumerate(reference.state)
                if state in {"failed", "done-unverified", "skipped"} or other in plan.external_open
            }  # fmt: skip
    agree(schedule, reference)


def step(schedule: Schedule, reference: Reference, act: str, chosen: int) -> None:
    states = {"landed": "passed", "unverified": "done-unverified", "waits": "waiting", "limit": "limited",
              "again": "pending", "released": "pending"}  # fmt: skip
    if act in {"waits", "limit"}:
        schedule.waiting(chosen, holds=act == "limit")
    else:
        getattr(schedule, act)(chosen)
    reference.set(chosen, states.get(act, act))


@settings(max_examples=100, deadline=None)
@given(plans(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_everything_runs_once_and_in_order(plan: Graph, workers: int, random: Any) -> None:
    schedule = Schedule(plan, {})
    done = {i for i, item in enumerate(plan.stories) if item.state == "done"}
    running: list[int] = []
    started: list[int] = []
    while True:
        while len(running) < workers and (taken := schedule.take()) is not None:
            assert taken not in started
            assert done.issuperset(plan.needs[taken])
            paths = [normal(path) for other in running for path in plan.stories[other].files]
            assert not any(
                overlap(normal(path), other) for path in plan.stories[taken].files for other in paths
            )
            started.append(taken)
            running.append(taken)
        if not running:
            break
        ended = running.pop(random.randrange(len(running)))
        schedule.landed(ended)
        done.add(ended)
    left = {i for i in range(len(plan.stories)) if i not in done}
    barred = {i for i, item in enumerate(plan.stories) if item.state in {"skipped", "blocked", "human"}}
    for i in sorted(left, key=lambda i: plan.tail[i], reverse=True):
        assert i in barred or left.intersection(plan.needs[i])
    for prd_number, sequence in enumerate(plan.sequences):
        assert plan.sequential[prd_number] == bool(sequence)
        assert [i for i in started if i in sequence] == [i for i in sequence if i in started]


@settings(max_examples=100, deadline=None)
@given(plans(), st.data())
def test_a_resumed_schedule_ends_in_the_same_set(plan: Graph, data: Any) -> None:
    failing = data.draw(st.frozensets(st.integers(0, len(plan.stories) - 1), max_size=2))

    def work(schedule: Schedule, steps: int, known: dict[int, str]) -> dict[int, str]:
        while steps and (taken := schedule.take()) is not None:
            steps -= 1
            known[taken] = "failed" if taken in failing else "passed"
            (schedule.failed if taken in failing else schedule.landed)(taken)
        return known

    whole = Schedule(plan, {})
    work(whole, -1, {})
    known: dict[int, str] = {}
    while True:
        schedule = Schedule(plan, known)
        before = len(known)
        work(schedule, data.draw(st.integers(1, 4)), known)
        if len(known) == before:
            break
    assert [schedule.status(i) for i in range(len(plan.stories))] == [
        whole.status(i) for i in range(len(plan.stories))
    ]
