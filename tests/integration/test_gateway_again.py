"""Clients that ask again what was refused for good: all they ask for comes out of one budget of tries."""

import threading

import anthropic
import httpx2
import pytest

from tests import faulty_upstream as faulty
from tests.gateways import MODEL, opened

GOOD = faulty.events({"model": MODEL})
CUT = faulty.streams(*GOOD[:3], end="reset")
OVERLOADED = faulty.streams(
    *GOOD[:3], faulty.event("error", error={"type": "overloaded_error", "message": "oh"})
)


@pytest.fixture
def upstream():
    with faulty.serve({}) as running:
        yield running


@pytest.fixture
def gateway(upstream, tmp_path):
    with opened(tmp_path, upstream.url, first_wait=0.01) as running:
        yield running


def test_the_same_request_of_the_same_session_is_not_sent_again(gateway, upstream):
    upstream.plans["busy"] = [faulty.says(429, "rate_limit_error", retry_after="0")]
    first = gateway.ask("busy")
    assert (first.status_code, first.json()["rad"]["final"]) == (429, True)
    assert "retry-after" not in first.headers
    again = [gateway.ask("busy", stream=stream) for stream in (False, True)]
    assert [each.status_code for each in again] == [400, 400]
    assert {each.json()["rad"]["reason"] for each in again} == {"repeated"}
    assert upstream.calls["busy"] == 4
    assert [event["call"] for event in gateway.named("repeated")] == [2, 3]
    assert gateway.door.standing("s1", 1)["reason"] == "limit"  # not how it was told the second time


def test_others_are_asked_for_anew(gateway, upstream):
    upstream.plans["busy"] = [faulty.says(429, "rate_limit_error")]
    assert gateway.ask("busy").status_code == 429
    assert gateway.ask("busy", story="s2").status_code == 429
    assert gateway.ask("busy", attempt=2).status_code == 429
    assert upstream.calls["busy"] == 12
    assert gateway.ask("something else").status_code == 200
    assert gateway.named("repeated") == []


@pytest.mark.parametrize("fault", [CUT, OVERLOADED], ids=["cut", "error"])
def test_a_stream_that_breaks_costs_a_try_and_asked_for_as_a_whole_it_is_the_same_request(
    gateway, upstream, fault
):
    """The claude CLI asks for the whole message, with another `max_tokens`, when a stream has broken."""
    upstream.plans["broken"] = [fault, faulty.says(503, "api_error")]
    assert "event: error" in gateway.ask("broken", stream=True).text
    assert gateway.ask("broken", max_tokens=50).status_code == 503
    assert upstream.calls["broken"] == 4
    assert gateway.ask("broken", stream=True).status_code == 400
    assert upstream.calls["broken"] == 4


def test_who_asks_again_after_a_broken_stream_may_succeed_and_begins_anew(gateway, upstream):
    upstream.plans["hard"] = [CUT, CUT, CUT, faulty.answers(), CUT, faulty.answers()]
    told = [gateway.ask("hard", stream=True).text for _ in range(4)]
    assert ["message_stop" in each for each in told] == [False, False, False, True]
    assert "message_stop" in gateway.ask("hard", stream=True).text  # the answer that is kept
    assert gateway.ask("next").status_code == 200
    told = [gateway.ask("hard", stream=True).text for _ in range(2)]
    assert ["message_stop" in each for each in told] == [False, True]
    assert upstream.calls["hard"] == 6


def test_the_sdk_with_tries_of_its_own_makes_four_calls(gateway, upstream):
    upstream.plans["busy"] = [faulty.says(529, "overloaded_error")]
    url, token = gateway.door.session("s1", 1)
    with (
        httpx2.Client(trust_env=False) as inner,
        anthropic.Anthropic(base_url=url, auth_token=token, max_retries=5, http_client=inner) as client,
        pytest.raises(anthropic.APIStatusError),
    ):
        client.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "busy"}])
    assert upstream.calls["busy"] == 4


def test_a_crowd_that_asks_the_same_in_one_session_shares_its_tries(gateway, upstream):
    upstream.plans["busy"] = [faulty.says(529, "overloaded_error")]
    threads = [threading.Thread(target=gateway.ask, args=["busy"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert upstream.calls["busy"] == 4
