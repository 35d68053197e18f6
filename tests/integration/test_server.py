"""A real server: who is let in, what probes are told, and what it refuses to start with."""

import pytest
from past_runs import Past, repository

from tests.serving import refused, served

TOKEN = "t" * 20


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    project = repository(folder / "project")
    past = Past(project, alive=True)
    past.land("US-1")
    past.say("story_started", "US-2", slot=0)
    past.say("story_verified", "US-2", commit="b" * 40, tip="a" * 40, candidate="c" * 40)
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return folder, project


@pytest.fixture(scope="module")
def server(place):
    folder, project = place
    flags = ("--token-file", folder / "token", "--requests-per-minute", 0, "--allowed-host", "Build.example")
    with served(project, folder, *flags, token=TOKEN) as client:
        yield client


def test_probes_need_no_token_and_take_any_host(server):
    server.token, token = None, server.token
    try:
        health = server.get("/health", host="10.1.2.3:9090")
        ready = server.get("/ready", host="10.1.2.3:9090")
        status = server.get("/status")
    finally:
        server.token = token
    assert (health.status, health.json["status"]) == (200, "ok")
    assert (ready.status, ready.json["status"]) == (200, "ok")
    assert {each["name"] for each in ready.json["components"]} == {"store", "newest-run", "connections"}
    assert (status.status, status.code, status.headers["www-authenticate"]) == (401, "token", "Bearer")


def test_status_tells_of_the_newest_run(server):
    status = server.get("/status").json
    assert status["run"] == "20260101-000000-aaaa"
    assert (status["state"], status["starts_agents"]) == ("running", False)
    assert {name: status["queue"][name] for name in ("pending", "running", "landing")} == {
        "pending": 1,
        "running": 0,
        "landing": 1,
    }
    assert status["queue"]["lag_seconds"] >= 0
    assert status["store"] == {"ok": True, "runs": 1, "damaged_lines": 0}
    assert 10 < status["memory_mb"] < 500
    assert 0 < status["connections"]["open"] < status["connections"]["limit"]


@pytest.mark.parametrize(
    "shown", ["Bearer wrong", "Basic " + TOKEN, TOKEN, "", "Bearer " + TOKEN + "x", "Bearer"]
)
def test_a_wrong_token_opens_nothing(server, shown):
    for path in ("/status", "/nowhere"):
        assert server.get(path, authorization=shown).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_other_hosts_are_not_answered(server, host):
    answer = server.get("/status", host=host)
    assert (answer.status, answer.code) == (421, "host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:9090", "build.EXAMPLE:80"])
def test_own_hosts_are_answered(server, host):
    assert server.get("/status", host=host).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://{own}"},
    ],
)
def test_pages_of_other_origins_are_not_answered(server, headers):
    own = f"{server.host}:{server.port}"
    named = {name: value.replace("{own}", own) for name, value in headers.items()}
    answer = server.get("/status", **named)
    assert (answer.status, answer.code) == (403, "origin")
    assert server.get("/status", origin=f"http://{own}").status == 200


def test_every_answer_has_the_headers_that_browsers_heed(server):
    for path, method in (("/health", "GET"), ("/nowhere", "GET"), ("/status", "POST")):
        answer = server.get(path, method)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_other_methods_are_refused(server):
    answer = server.get("/status", "DELETE")
    assert (answer.status, answer.code) == (405, "method")
    assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD"}
    head = server.get("/status", "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_it_is_not_ready_when_runs_cannot_be_listed(tmp_path):
    project = repository(tmp_path / "project")
    (project / ".rad-engineer").mkdir()
    (project / ".rad-engineer/runs").write_text("no folder")
    with served(project, tmp_path) as client:
        answer = client.get("/ready")
        assert (answer.status, answer.json["status"]) == (503, "unavailable")
        assert [each["name"] for each in answer.json["components"] if not each["ok"]] == ["store"]
        assert client.get("/health").status == 200
        assert client.get("/status").json["store"]["ok"] is False
        (project / ".rad-engineer/runs").unlink()
        assert client.get("/ready").status == 200


def test_others_are_not_let_in_without_a_token(place):
    folder, project = place
    code, said = refused(project, folder, "--host", "0.0.0.0")
    assert code == 77
    assert "no token would be asked" in said
    assert refused(project, folder, RAD_SERVE_HOST="0.0.0.0") == (code, said)


def test_a_token_that_others_may_read_is_refused(tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o640)
    code, said = refused(tmp_path, tmp_path, RAD_SERVE_TOKEN_FILE=str(token))
    assert (code, f"chmod 600 {token}" in said) == (77, True)
