"""The gateway in its other ways: with a second model, recording, replaying, offline, with a cache, over many sessions."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rad_engineer.gateway.exchange import Session
from rad_engineer.gateway.sessions import Kept, Sessions
from tests import faulty_upstream as faulty
from tests.gateways import MODEL, opened
from tests.unit.gateway_calls import asked, call

OTHER = "claude-haiku-5-5"


@pytest.fixture(scope="module")
def upstream() -> Iterator[faulty.Faulty]:
    overloaded, broken = faulty.says(529, "overloaded_error"), faulty.says(500, "api_error")

    async def only_other(wire):
        await (faulty.answers() if wire.data["model"] == OTHER else overloaded)(wire)

    with faulty.serve(
        {
            "second": [only_other],
            "stubborn": [overloaded],
            "broken": [broken],
            "its last try": [broken, broken, broken, overloaded],
            "no": [faulty.says(400, "invalid_request_error")],
        }
    ) as running:
        yield running


def test_the_fallback_model_is_asked_when_the_wanted_one_does_not_answer(upstream, tmp_path):
    with opened(tmp_path, upstream.url, first_wait=0.01, fallback_model=OTHER) as running:
        answer = running.ask("second")
        assert (answer.status_code, answer.json()["model"]) == (200, OTHER)
        assert upstream.calls["second"] == 3 + 1  # one budget of tries for both; the second gets one at least
        assert running.door.standing("s1", 1)["calls"] == 1
        assert running.wait_for(lambda event: event["event"] == "spend")["model"] == OTHER
        assert running.ask("stubborn").status_code == 529
        assert upstream.calls["stubborn"] == 3 + 1
        assert running.ask("stubborn").json()["rad"]["reason"] == "repeated"
        assert upstream.calls["stubborn"] == 4
    with opened(tmp_path / "b", upstream.url, first_wait=0.01, fallback_model=OTHER) as running:
        assert running.ask("its last try").status_code == 529  # other faults have used up what both have
        assert upstream.calls["its last try"] == 4
    with opened(tmp_path / "c", upstream.url, first_wait=0.01, fallback_model=OTHER) as running:
        assert running.ask("broken").status_code == 500  # no fault that another model would not have
        assert upstream.calls["broken"] == 4
        assert running.ask("no").status_code == 400  # another model would not change that
        assert upstream.calls["no"] == 1


def test_what_was_recorded_is_answered_without_a_network(upstream, tmp_path):
    tape = tmp_path / "tape"
    with opened(tmp_path / "a", upstream.url, record=str(tape)) as running:
        whole = running.ask("recorded")
        stream = running.ask("recorded as a stream", stream=True)
    before = len(upstream.seen)
    with opened(tmp_path / "b", f"replay:{tape}") as running:
        drifted = running.ask("recorder")
        assert (drifted.status_code, drifted.json()["rad"]["reason"]) == (409, "drift")
        assert "messages" in drifted.json()["error"]["message"]
        assert running.ask("recorded").json() == whole.json()
        again = running.ask("recorded as a stream", stream=True)
        assert again.headers["content-type"].startswith("text/event-stream")
        assert faulty.said(again.content) == faulty.said(stream.content) == "well"
        assert running.door.standing("s1", 1)["micro_usd"] == 0
    assert len(upstream.seen) == before


def test_offline_what_is_cached_is_answered_and_the_rest_is_refused_kindly(upstream, tmp_path):
    cache = str(tmp_path / "cache")
    with opened(tmp_path / "a", upstream.url, cache_folder=cache) as running:
        first = running.ask("cache me", story="s1")
        assert running.ask("cache me", story="s2").headers["x-rad-cache"] == "s1#1/1"
        assert running.ask("no", story="s1").status_code == running.ask("no", story="s2").status_code == 400
        assert len(running.named("cached")) == 1
    assert upstream.calls["cache me"] == 1
    with opened(tmp_path / "b", upstream.url, cache_folder=cache, offline=True) as running:
        assert running.ask("cache me", story="s3").json() == first.json()
        answer = running.ask("never asked")
        assert (answer.status_code, answer.json()["rad"]["reason"]) == (503, "offline")
        assert running.door.standing("s1", 1)["reason"] == "offline"
    assert upstream.calls["never asked"] == 0


def test_the_mock_upstream_needs_no_key_and_no_network(tmp_path):
    with opened(tmp_path, "mock") as running:
        whole = running.ask("anything").json()
        assert whole["content"][0]["text"].startswith("This is the mock upstream")
        assert faulty.said(running.ask("anything", stream=True).content) == whole["content"][0]["text"]
        assert running.ask("how many", path="/v1/messages/count_tokens").json()["input_tokens"] > 0
        token = {"x-api-key": running.door.session("s1", 1)[1]}
        assert running.client.get("/v1/models", headers=token).json()["data"] == []


def test_a_broken_ledger_is_told_and_waited_for(upstream, tmp_path):
    tmp_path.joinpath("spend.jsonl").mkdir()
    with opened(tmp_path, upstream.url) as running:
        failed = running.wait_for(lambda event: event["event"] == "failed")
        assert "spend.jsonl" in failed["why"]
        tmp_path.joinpath("spend.jsonl").rmdir()
        assert running.wait_for(lambda event: event["event"] == "ready")
        assert running.ask("hello").status_code == 200


def test_sessions_are_forgotten_when_nobody_uses_them():
    sessions = Sessions(1800.0)
    for number in range(1000):
        session = Session(f"s{number}", 1, "run")
        assert sessions.arrived(session, now=float(number)) == 1
    assert sessions.expire(1800.0) == 1
    assert sessions.arrived(Session("s1", 1, "run"), now=1801.0) == 2
    assert sessions.expire(2000.0) == 199
    assert sessions.expire(10_000.0) == 800
    assert len(sessions) == 0


def test_the_last_answer_of_each_conversation_is_kept_until_its_next_turn():
    sessions = Sessions(1800.0)
    turn, other = call(asked("one")), call(asked("one", system="title"))
    sessions.arrived(turn.session, 0.0)
    for number, each in enumerate((turn, other)):
        sessions.keep(each, Kept(f"key{number}", b"answer", {}))
    assert sessions.kept(turn, "key0").answer == b"answer"
    assert sessions.kept(turn, "key0").answer == b"answer"
    assert sessions.kept(call(asked("one", "two", "three")), "key3") is None
    assert sessions.kept(turn, "key0") is None
    assert sessions.kept(other, "key1").answer == b"answer"
    sessions.expire(1800.0)
    assert sessions.kept(other, "key1") is None


def test_nothing_large_and_nothing_of_strangers_is_kept():
    sessions = Sessions(1800.0)
    for each, answer in ((call(asked("one")), b"x" * 5_000_000), (call(asked("one"), story=""), b"answer")):
        sessions.arrived(each.session, 0.0)
        sessions.keep(each, Kept("key", answer, {}))
        assert sessions.kept(each, "key") is None


@pytest.mark.skipif(not os.environ.get("RAD_CAMPAIGN"), reason="RAD_CAMPAIGN is not set")
def test_memory_is_flat_over_a_thousand_sessions(upstream, tmp_path):
    with opened(tmp_path, upstream.url, idle_seconds=1.0, run_micro_usd=None) as running:
        sizes = []
        for number in range(1000):
            running.ask("hello " + "x" * 50_000, story=f"s{number}", model=MODEL)
            if number % 250 == 249:
                lines = Path(f"/proc/{running.door.pid}/status").read_text().splitlines()
                sizes.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")))
        assert sizes[-1] - sizes[0] < 5_000, sizes


def test_whoever_has_no_token_is_limited_by_address(tmp_path):
    with opened(tmp_path, "mock", limits={"address": {"requests": 2}}) as running:
        keys = [{"authorization": f"Bearer {key}"} for key in ("a guess", "another", "a third")]
        answers = [running.client.post("/v1/messages", json={}, headers=each) for each in keys]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert answers[2].headers["x-ratelimit-tier"] == "address"
        assert 0 < int(answers[2].headers["retry-after"]) <= 30
        assert running.client.get("/v1/models").status_code == 429
        good = running.ask("let in")
        assert (good.status_code, good.headers["x-ratelimit-tier"]) == (200, "user")


def test_a_refused_key_is_not_tried_again_for_a_while(tmp_path):
    refused = faulty.says(401, "authentication_error", "invalid x-api-key")
    plans = {"no": [refused], "not this": [faulty.says(403, "permission_error", "not for you")]}
    with faulty.serve(plans) as upstream:
        with opened(tmp_path / "a", upstream.url) as running:
            answers = [running.ask("not this", model=OTHER), running.ask("another", model=OTHER)]
            assert [(one.status_code, one.json()["error"]["message"]) for one in answers] == [
                (403, "not for you")
            ] * 2
            assert running.ask("another").status_code == 200
            answers = [running.ask(text, story=text) for text in ("no", "another", "a third")]
            assert {(one.status_code, one.json()["rad"]["reason"]) for one in answers} == {(401, "auth")}
            assert running.door.standing("a third", 1)["reason"] == "login"
            assert [event["scope"] for event in running.named("refused")] == ["", "", "run", "run", "run"]
            asked = {name: upstream.calls[name] for name in ("not this", "another", "no", "a third")}
            assert asked == {"not this": 1, "another": 1, "no": 1, "a third": 0}
        with opened(tmp_path / "b", upstream.url, key_seconds=0.0) as running:
            assert [running.ask(text, story=text).status_code for text in ("no", "a third")] == [401, 200]
