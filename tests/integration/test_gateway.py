"""The gateway as its clients and its owner meet it: the contract, the keys, its life."""

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import httpx2
import pytest

from rad_engineer import durable, process
from rad_engineer.gateway import tokens
from rad_engineer.gateway.exchange import Session
from tests import faulty_upstream as faulty
from tests.gateways import KEY, MODEL, Opened, opened
from tests.required import needs


@pytest.fixture(scope="module")
def upstream() -> Iterator[faulty.Faulty]:
    plans = {
        "slow": [faulty.streams(*faulty.events({}), pause=0.05)],
        "late": [faulty.answers(delay=0.5)],
        "hangs": [faulty.is_silent],
    }
    with faulty.serve(plans) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: faulty.Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with opened(tmp_path_factory.mktemp("gateway"), upstream.url) as running:
        yield running


def test_a_message_and_a_stream_pass(gateway):
    whole = gateway.ask("whole")
    assert (whole.status_code, whole.json()["content"][0]["text"]) == (200, "well")
    stream = gateway.ask("stream", stream=True)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.content == b"".join(faulty.events({"model": MODEL}))
    assert whole.headers["request-id"]
    assert stream.headers["request-id"]


def test_version_betas_query_and_body_pass_unchanged_and_the_key_is_ours(gateway, upstream):
    given = {"anthropic-version": "2023-06-01", "anthropic-beta": "b1,b2"}
    gateway.ask("unchanged", path="/v1/messages?beta=true", headers=given)
    line, headers, body = upstream.seen[-1]
    assert line == "POST /v1/messages?beta=true HTTP/1.1"
    assert {name: headers[name] for name in given} == given
    assert (headers["x-api-key"], headers.get("authorization")) == (KEY, None)
    assert b"unchanged" in body
    gateway.ask("newer")
    _, headers, _ = upstream.seen[-1]
    assert (headers["authorization"], headers.get("x-api-key")) == (f"Bearer {KEY}", None)


def test_the_token_may_come_as_a_key_and_the_path_without_v1(gateway, upstream):
    _, token = gateway.door.session("s1", 1)
    answer = gateway.ask(
        "as a key", path="/messages", headers={"x-api-key": token, "authorization": "Basic none"}
    )
    assert answer.status_code == 200
    assert upstream.seen[-1][0].startswith("POST /v1/messages ")


def test_the_other_routes(gateway, upstream):
    alive = gateway.client.head("/")
    assert (alive.status_code, alive.headers["request-id"][:4]) == (200, "req_")
    token = {"authorization": f"Bearer {gateway.door.session('s1', 1)[1]}"}
    assert gateway.client.get("/v1/models", headers=token).status_code == 200
    counted = gateway.ask("how many", path="/v1/messages/count_tokens")
    assert counted.status_code == 200
    for method, path in (
        ("GET", "/v1/messages"),
        ("POST", "/v1/files"),
        ("DELETE", "/"),
        ("GET", "/metrics"),
    ):
        answer = gateway.client.request(method, path, headers=token)
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "not_found_error"
        assert answer.headers["request-id"]


@pytest.mark.parametrize(
    "path", ["/v1/models/../files", "/v1/models/..%2f..%2fv1%2ffiles", "/models/a/../b", "/v1/models/a?b", "/v1/models//x",
             "/v1/models/a%3Fb", "/v1/models/a%20b", "/v1/messages/"],
)  # fmt: skip
def test_a_token_opens_nothing_beside_the_routes_of_models(gateway, upstream, path):
    """What the key opens beside them is not for whoever has a token, however it is spelt."""
    before = len(upstream.seen)
    connection = HTTPConnection(gateway.door.base_url.removeprefix("http://"))
    token = gateway.door.session("s1", 1)[1]
    connection.request("POST" if "messages" in path else "GET", path, headers={"x-api-key": token})
    answer = connection.getresponse()
    known = path == "/v1/models/a?b"
    assert answer.status == (200 if known else 404)
    assert answer.getheader("request-id")
    assert len(upstream.seen) == before + known
    connection.close()


def test_betas_on_lines_of_their_own_all_pass(gateway, upstream):
    token = gateway.door.session("s1", 1)[1]
    lines = [("anthropic-beta", "b1"), ("x-api-key", token), ("anthropic-beta", "b2")]
    data = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "betas"}]}
    assert gateway.client.post("/v1/messages", json=data, headers=lines).status_code == 200
    assert upstream.seen[-1][1]["anthropic-beta"] == "b1, b2"


@pytest.mark.parametrize("refused", [404, 405, 501])
def test_tokens_are_estimated_where_the_upstream_does_not_count_them(refused, tmp_path):
    with faulty.serve({"count me": [faulty.says(refused, "not_found_error")]}) as lacking:
        with opened(tmp_path, lacking.url, first_wait=0.01) as gateway:
            for _ in range(2):
                counted = gateway.ask("count me", path="/v1/messages/count_tokens")
                assert 5 < counted.json()["input_tokens"] < 50
                assert counted.headers["x-rad-estimate"] == "true"
        assert lacking.calls["count me"] == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"{}", "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": [], "max_tokens": "many"}', "max_tokens"),
        (b'{"model": "m", "messages": []}', "max_tokens"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_request_is_refused_here(gateway, upstream, body, said):
    before = len(upstream.seen)
    token = {"authorization": f"Bearer {gateway.door.session('s1', 1)[1]}"}
    answer = gateway.client.post("/v1/messages", content=body, headers=token)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert said in answer.json()["error"]["message"]
    assert len(upstream.seen) == before


def test_a_body_may_be_large_but_not_without_end(gateway):
    assert gateway.ask("x" * 900_000).status_code == 200
    connection = HTTPConnection(gateway.door.base_url.removeprefix("http://"))
    connection.putrequest("POST", "/v1/messages")
    connection.putheader("x-api-key", gateway.door.session("s1", 1)[1])
    connection.putheader("content-length", "99999999")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["type"] == "request_too_large"
    connection.close()


@pytest.mark.parametrize(
    "token", ["", "none", "rad-", "rad-a.b", "rad-WyJzMSIsMSwicnVuIl0.AAAA", "rad-\x7f.x"]
)
def test_a_foreign_token_opens_nothing(gateway, token):
    answer = gateway.client.post("/v1/messages", json={}, headers={"x-api-key": token})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert gateway.client.get("/v1/models", headers={"x-api-key": token}).status_code == 401


def test_a_token_speaks_for_its_attempt_alone():
    session = Session("story/é", 3, "run")
    token = tokens.issue(b"secret", session)
    assert tokens.verify(b"secret", token) == session
    assert tokens.verify(b"other", token) is None
    assert tokens.issue(b"secret", Session("story/é", 4, "run")) != token
    payload, _, seal = token.partition(".")
    assert tokens.verify(b"secret", f"{payload}x.{seal}") is None


def test_the_token_of_an_attempt_that_is_over_opens_nothing(gateway):
    assert gateway.ask("before", story="over", attempt=1).status_code == 200
    token = {"x-api-key": gateway.door.session("over", 1)[1]}
    asked = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "after"}]}
    gateway.door.end_session("over", 1)
    while gateway.client.post("/v1/messages", json=asked, headers=token).status_code == 200:
        pass  # the gateway hears of it a moment later
    assert gateway.ask("after", story="over", attempt=2).status_code == 200
    while gateway.ask("it goes on", story="over", attempt=1).status_code != 200:
        pass  # asking for its session has opened it


def test_both_sockets_are_ours_alone(gateway, tmp_path):
    folder = tmp_path / ("long" * 30)
    with faulty.serve() as upstream, opened(folder, upstream.url) as running:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "gateway.sock").stat().st_mode) == 0o600
        assert running.door.base_url.startswith("http://127.0.0.1:")
        here = os.open(folder, os.O_RDONLY)
        transport = httpx2.HTTPTransport(uds=f"/proc/self/fd/{here}/gateway.sock")
        with httpx2.Client(transport=transport, base_url="http://gateway") as client:
            assert client.get("/").status_code == 200
        os.close(here)


def test_a_dead_proxy_does_not_stop_calls_on_this_machine(upstream, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with opened(tmp_path, upstream.url) as running:
        assert running.ask("through").status_code == 200


def test_other_machines_are_asked_through_the_proxy_that_is_set(upstream, tmp_path, monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    with opened(tmp_path, "http://models.invalid/api") as running:
        assert running.ask("through the proxy").status_code == 200
        assert running.ask("a stream, too", stream=True).status_code == 200
    lines = [line for line, _, body in upstream.seen if b"proxy" in body or b"too" in body]
    assert lines == ["POST http://models.invalid/api/v1/messages HTTP/1.1"] * 2


def test_an_upstream_that_is_not_there(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with opened(tmp_path, url, first_wait=0.01) as running:
            answer = running.ask("anybody")
            assert (answer.status_code, answer.json()["rad"]["reason"]) == (503, "offline")
            assert len(running.named("retried")) == 3


def test_an_encrypted_upstream_is_asked_when_it_is_trusted(tmp_path, monkeypatch):
    needs("openssl", shutil.which("openssl"))
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with faulty.serve(tls=context) as upstream:
        with opened(tmp_path / "strange", upstream.url, first_wait=0.01) as running:
            answer = running.ask("who are you")
            assert (answer.status_code, answer.json()["rad"]["reason"]) == (502, "tls")
        assert upstream.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with opened(tmp_path / "trusted", upstream.url) as running:
            assert running.ask("whole").json()["content"][0]["text"] == "well"
            assert running.ask("stream", stream=True).content == b"".join(faulty.events({"model": MODEL}))


def test_a_killed_gateway_starts_again_on_the_same_sockets_with_the_same_sessions(upstream, tmp_path):
    with opened(tmp_path, upstream.url) as running:
        url, token = running.door.session("s1", 1)
        assert running.ask("one").status_code == 200
        for _ in range(2):
            running.wait_for(lambda event: event["event"] == "ready")
            os.kill(running.door.pid, 9)
            running.wait_for(lambda event: event["event"] == "restarted")
            assert running.door.session("s1", 1) == (url, token)
            assert (
                running.door.pid in process.started()
            )  # nobody may take it for what a worker has left behind
            assert running.ask("two").status_code == 200
            running.events.clear()
        assert running.door.standing("s1", 1)["calls"] == 3


def test_what_was_spent_is_told_once_whatever_is_killed(upstream, tmp_path):
    """A run that goes on has the spending of its past in its journal: it is told what is new."""
    with opened(tmp_path, upstream.url) as running:
        assert running.ask("one").status_code == 200
    ledger = tmp_path / "spend.jsonl"
    with ledger.open("ab") as file:  # of a gateway that was killed during a call, and after another one
        line = {
            "kind": "reserved",
            "call": 90,
            "story": "s1",
            "attempt": 2,
            "held": [900, 90],
            "input": [7, 7],
            "pico_usd": 0,
        }
        file.write(durable.seal(durable.dump(line)) + b"\n")
    with opened(tmp_path, upstream.url) as running:
        running.wait_for(lambda event: event["event"] == "ready")
        assert running.named("spend") == []  # what an earlier run has left its owner reads from the ledger
        untold = {"kind": "settled", "call": 91, "story": "s1", "micro_usd": 5, "usage": {"input": 5}}
        with ledger.open("ab") as file:
            file.write(durable.seal(durable.dump(untold)) + b"\n")
        os.kill(running.door.pid, 9)
        running.wait_for(lambda event: event["event"] == "restarted")
        running.wait_for(lambda event: event["event"] == "spend" and event["micro_usd"] == 5)
        assert len(running.named("spend")) == 1


def test_the_gateway_ends_when_nobody_owns_it(upstream, tmp_path):
    with opened(tmp_path, upstream.url) as running:
        assert running.ask("one").status_code == 200
        pid = running.door.pid
        running.door._channel.shutdown(socket.SHUT_RDWR)
        assert os.waitpid(pid, 0)[0] == pid


def test_the_gateway_ends_when_its_owner_dies_while_it_is_told_something(upstream, tmp_path):
    """Writing to nobody is another error than reading from nobody."""
    with opened(tmp_path, upstream.url) as running:
        running.wait_for(lambda event: event["event"] == "ready")
        pid, token = running.door.pid, running.door.session("s1", 1)[1]
        os.kill(pid, signal.SIGSTOP)
        data = json.dumps(
            {"model": MODEL, "messages": [{"role": "user", "content": "late"}], "max_tokens": 1}
        )
        connection = HTTPConnection(running.door.base_url.removeprefix("http://"))
        connection.request("POST", "/v1/messages", data, {"x-api-key": token})
        running.door._channel.shutdown(
            socket.SHUT_RD
        )  # what it writes from now on fails; there is nothing to read
        os.kill(pid, signal.SIGCONT)
        assert os.waitpid(pid, 0)[0] == pid
        connection.close()


def test_an_answer_that_its_client_did_not_wait_for_is_not_paid_twice(upstream, tmp_path):
    """The client leaves in the middle of a stream; the same request again gets the same answer, not a new one."""
    with opened(tmp_path, upstream.url) as running:
        before = upstream.calls["slow"]
        _, token = running.door.session("s1", 1)
        data = {
            "model": MODEL,
            "max_tokens": 9,
            "stream": True,
            "messages": [{"role": "user", "content": "slow"}],
        }
        headers = {"authorization": f"Bearer {token}"}
        with running.client.stream("POST", "/v1/messages", json=data, headers=headers) as answer:
            next(answer.iter_raw())
        again = running.client.post("/v1/messages", json=data, headers=headers)
        assert again.content == b"".join(faulty.events({}))
        third = running.client.post("/v1/messages", json=data, headers=headers)
        assert third.content == again.content
        assert third.headers["x-rad-cache"] == "session"
        assert upstream.calls["slow"] == before + 1
        assert running.door.standing("s1", 1)["tokens"] == 13
        running.ask("the next turn", max_tokens=9, stream=True)
        running.client.post("/v1/messages", json=data, headers=headers)
        assert upstream.calls["slow"] == before + 2


def test_identical_requests_at_the_same_time_are_one_call(upstream, tmp_path):
    with opened(tmp_path, upstream.url) as running:
        before = upstream.calls["late"]
        found = []

        def ask(story):
            found.append(running.ask("late", story=story))

        threads = [threading.Thread(target=ask, args=(f"s{number}",)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in found] == [200] * 10
        assert upstream.calls["late"] == before + 1
        assert sum(event["tokens"] for event in running.named("spend")) == 13
        assert len(running.named("coalesced")) == 9
    running.door.poll()
    assert running.door.state["flights"]["joined"] == 9
    assert running.door.state["money"]["under_way"] == 0


def test_a_call_that_nobody_waits_for_is_read_for_a_while_and_then_given_up(upstream, tmp_path):
    with opened(tmp_path, upstream.url, drain_seconds=0.1) as running:
        with pytest.raises(httpx2.ReadTimeout):
            running.client.post(
                "/v1/messages",
                json={"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hangs"}]},
                headers={"x-api-key": running.door.session("s1", 1)[1]},
                timeout=httpx2.Timeout(5, read=0.3),
            )
        event = running.wait_for(lambda event: event["event"] == "request")
        assert event["status"] == 499
        booked = running.wait_for(lambda event: event["event"] == "spend")
        assert booked["uncertain"]
        assert 13 <= booked["tokens"] <= 1_200 + 9  # its input at most, and what it may have said by now
