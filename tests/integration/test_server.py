"""A real server: who is let in, what probes are told, and what it refuses to start with."""

import json
import resource
import signal

import pytest
from past_runs import Past, repository

from rad_engineer import settings, store
from rad_engineer.errors import CannotWrite, ConfigInvalid, NoInput, Refused
from rad_engineer.launch import ground
from rad_engineer.server import runs, tokens
from rad_engineer.server.configuration import Serving, configured
from rad_engineer.server.connections import Census
from rad_engineer.server.probes import Probes
from rad_engineer.server.rates import Rates
from tests.serving import PLANTED, refused, served

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
    folder = tmp_path / ".rad-engineer/runs"
    folder.parent.mkdir()
    folder.write_text("no folder")
    serving = Serving("127.0.0.1", 0, b"", frozenset(), 0, None, 8, 8)
    probes = Probes(runs.Runs(lambda: store.runs_in(folder), [folder], ground.look({})), Census(serving), 8)
    answer = probes.ready({}, None)
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (503, "unavailable")
    assert [each["name"] for each in told["components"] if not each["ok"]] == ["store"]
    assert json.loads(probes.status({}, None).body)["store"]["ok"] is False
    folder.unlink()
    assert probes.ready({}, None).status == 200


def wanted(tmp_path, **env):
    return configured(settings.load(None, {}, env), {"XDG_STATE_HOME": str(tmp_path)})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "build.example"])
def test_others_are_not_let_in_without_a_token(tmp_path, host):
    with pytest.raises(Refused, match="no token would be asked"):
        wanted(tmp_path, RAD_SERVE_HOST=host)
    tokens.create(tmp_path / "rad-engineer/serve.token")
    assert len(wanted(tmp_path, RAD_SERVE_HOST=host).token) > 40


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.9.9.9"])
def test_this_machine_is_let_in_without_one(tmp_path, host):
    assert wanted(tmp_path, RAD_SERVE_HOST=host).token == b""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_token_that_others_may_read_is_refused(tmp_path, mode):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(mode)
    with pytest.raises(Refused) as refused:
        wanted(tmp_path, RAD_SERVE_TOKEN_FILE=str(token))
    assert refused.value.hint == f"chmod 600 {token}"


@pytest.mark.parametrize("text", ["", "short", "two words that are long", "\x7f" * 20, "ä" * 20])
def test_what_is_no_token_is_refused(tmp_path, text):
    token = tmp_path / "token"
    token.write_text(text)
    token.chmod(0o600)
    with pytest.raises(ConfigInvalid):
        wanted(tmp_path, RAD_SERVE_TOKEN_FILE=str(token))
    with pytest.raises(NoInput):
        wanted(tmp_path, RAD_SERVE_TOKEN_FILE=str(tmp_path / "nothing"))


@pytest.mark.parametrize("name", [".", "/dev/null"])
def test_what_is_no_file_has_no_token(tmp_path, name):
    with pytest.raises(ConfigInvalid, match="is no file that could have a token") as refused:
        wanted(tmp_path, RAD_SERVE_TOKEN_FILE=name)
    assert refused.value.hint.startswith("name the file; without --token-file")


def test_a_token_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "folder/token"
    tokens.create(path)
    made = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused):
        tokens.create(path)
    assert path.read_bytes() == made
    assert tokens.opens(made.strip(), f"bearer  {made.decode().strip()}")


def test_a_full_disk_leaves_no_half_token(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(CannotWrite):
            tokens.create(tmp_path / "token")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    tokens.create(tmp_path / "token")


def test_a_start_that_is_refused_says_why(place):
    folder, project = place
    code, said = refused(project, folder, RAD_SERVE_HOST="0.0.0.0")
    assert code == 77
    assert "rad-engineer serve token" in said


def test_rates_are_kept_for_each_address_and_networks_are_one():
    now = [0.0]
    rates = Rates(2, lambda: now[0])
    assert [rates.wait("192.0.2.1") > 0 for _ in range(3)] == [False, False, True]
    assert rates.wait("::ffff:192.0.2.1") > 0
    assert rates.wait("192.0.2.2") == 0
    assert [rates.wait(f"2001:db8::{number}") > 0 for number in range(3)] == [False, False, True]
    assert rates.wait("2001:db8:0:1::1") == 0
    now[0] += 31
    assert rates.wait("192.0.2.1") == 0
    assert not any(Rates(0).wait("192.0.2.1") for _ in range(1_000))


def test_a_signal_is_heard_as_soon_as_it_says_where_it_listens(place):
    folder, project = place
    with served(project, folder) as client:
        client.process.send_signal(signal.SIGHUP)
        assert client.process.wait(30) == 0


def test_no_host_at_all_is_refused(place):
    folder, project = place
    code, said = refused(project, folder, "--host", "")
    assert (code, "--host is empty" in said) == (2, True)


def test_its_log_is_lines_of_json_where_that_is_wanted(place):
    folder, project = place
    wanted = {"RAD_LOG_FORMAT": "json", "RAD_LOG_LEVEL": "debug"}
    with served(project, folder, changed=PLANTED, **wanted) as client:
        failed, found = client.get("/crash"), client.get("/status?%0a")
        with client.raw() as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            assert b"HTTP/1.1 400 Bad Request\r\n" in connection.recv(4096)
    lines = [
        json.loads(line) for line in client.log.read_text().splitlines() if not line.startswith("note: ")
    ]
    crash, nonsense, answered = sorted(lines, key=lambda line: line["event"])  # two threads have written them
    assert crash["request"] == failed.headers["x-request-id"] != found.headers["x-request-id"]
    assert "AttributeError" in crash["exception"]
    told = {"request": found.headers["x-request-id"], "method": "GET", "path": "/status", "status": 422}
    assert (answered["event"], {name: answered[name] for name in told}) == ("answered", told)
    assert (nonsense["level"], nonsense["logger"], "request" in nonsense) == (
        "warning",
        "uvicorn.error",
        False,
    )
