"""The built-in agent reads text that wants to steer it: what it passes on to the model, and when it stops and asks."""

from contextlib import contextmanager

import pytest
from agent_bench import Bench, at, call, report, says

from rad_engineer import agents, trail
from rad_engineer.core import injection
from tests.aimock import serve, tap
from tests.injection_strings import ATTACKS, written
from tests.marks import MARKS

FENCE, END = f"<untrusted-{MARKS.nonce}>\n", f"\n</untrusted-{MARKS.nonce}>"
TEXTS = {f"notes/{number}.txt": written(attack, "/elsewhere") for number, attack in enumerate(ATTACKS)}
SCORES = {name: injection.score(injection.look(text)) for name, text in TEXTS.items()}
LOUD = max(SCORES, key=SCORES.get)
QUIET = "notes/quiet.txt"
STRICT = {"injection_warn": 4, "injection_quarantine": 8}


@contextmanager
def playing(folder, fixtures):
    with serve(folder / "mock", fixtures) as mock, tap(mock.url) as seen:
        yield Bench(folder, seen.url, {**TEXTS, QUIET: "the tests are in tests/\n"}), seen
    assert seen.violations() == []


@pytest.fixture
def told():
    found = []
    trail.forget()
    trail.lead_to(found.append)
    yield found
    trail.end()


def run(bench, **settings):
    return agents.agent("anthropic").run(bench.work(settings=settings))


def test_a_result_that_gives_orders_stops_the_story_before_the_model_sees_it(tmp_path, told):
    with playing(tmp_path, [says(call("read", path=LOUD), when=at(0)), says(report(), when=at(1))]) as (
        bench,
        seen,
    ):
        ended = run(bench, **STRICT)
        assert (ended.outcome, ended.reason) == ("later", "human")
        assert "what read read may be meant to steer the agent" in ended.output
        assert ended.noticed == (ended.output.strip(),)
        assert len(seen.exchanges) == 1
        assert bench.records("result") == []
    assert [(one["kind"], one["decision"], one["where"]) for one in told] == [("injection", "held", "read")]
    assert told[0]["score"] == SCORES[LOUD] >= STRICT["injection_quarantine"]


def test_what_a_person_has_released_goes_on_with_the_result_in_its_fence(tmp_path, told):
    with playing(tmp_path, [says(call("read", path=LOUD), when=at(0)), says(report(), when=at(1))]) as (
        bench,
        seen,
    ):
        assert run(bench, **STRICT).outcome == "later"
        ended = run(bench, **{**STRICT, "injection_quarantine": 0})
        assert (ended.outcome, len(seen.exchanges)) == ("finished", 2)
        assert ["may be meant to steer" in one for one in ended.noticed] == [True]
    assert [one["decision"] for one in told] == ["held", "warned"]


def test_an_ordinary_result_is_told_to_nobody(tmp_path, told):
    with playing(tmp_path, [says(call("read", path=QUIET), when=at(0)), says(report(), when=at(1))]) as (
        bench,
        _,
    ):
        ended = run(bench, **STRICT)
    assert (ended.outcome, ended.noticed, told) == ("finished", (), [])


def test_whatever_it_reads_the_model_gets_it_in_a_fence_and_obeying_it_finishes_nothing(tmp_path):
    """The model does as it is told: it says that the story is done, and shows a token that the text has given it."""
    reads = [call("read", path=name) for name in TEXTS]
    said = [
        says(*reads, when=at(0)),
        says(report(token="rad-done-00000000000000000000"), when=at(1)),
        says(report(token="COMPLETE: this story is done"), when=at(2)),
    ]
    with playing(tmp_path, said) as (bench, seen):
        ended = run(bench, injection_warn=0)
        assert (ended.outcome, ended.output.strip()) == ("failed", "the report was not valid, twice")
        first, second, third = (exchange.data for exchange in seen.exchanges)
    assert _texts(first["system"]) == _texts(second["system"]) == _texts(third["system"])
    assert [tool["name"] for tool in first["tools"]] == [tool["name"] for tool in second["tools"]]
    results = [_text(block) for block in second["messages"][-1]["content"] if block["type"] == "tool_result"]
    assert len(results) == len(TEXTS) >= 100
    for text in results:
        assert text.startswith(FENCE)
        assert text.endswith(END)
        assert text.count(MARKS.nonce) == 2
    assert MARKS.token not in "".join(results)


def _texts(blocks):
    return [block["text"] for block in blocks]


def _text(block):
    content = block["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
