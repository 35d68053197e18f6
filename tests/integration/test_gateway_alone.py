"""The gateway alone: what it prints is all that a client needs, and at its end it says what was spent."""

import os
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from tests import billing_upstream
from tests import faulty_upstream as faulty
from tests.billing_upstream import INPUT_TOKENS
from tests.gateways import KEY, MODEL


def ended(folder, *options, env=None):
    """How a gateway ends that should not even begin."""
    argv = [sys.executable, "-m", "rad_engineer", "gateway", *options]
    env = {**os.environ, "ANTHROPIC_API_KEY": KEY, "HOME": str(folder), **(env or {})}
    return subprocess.run(
        argv,
        check=False,
        env=env,
        cwd=folder,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[gateway]\nupstream = "http://127.0.0.1:9"\n', "http://127.0.0.1:9"),
        ("[budget]\nrun = 1000\n", "1000.00 USD"),
        ("[gateway.prices]\nmine = { input = 0, output = 0 }\n", "mine: input 0, output 0"),
    ],
)
def test_a_project_does_not_decide_who_gets_the_key_and_the_money(tmp_path, toml, said):
    (tmp_path / "rad-engineer.toml").write_text(toml)
    refused = ended(tmp_path)
    assert (refused.returncode, refused.stdout) == (77, "")
    assert said in refused.stderr
    assert "--yes" in refused.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--port", "99999"), 2, "65535"),
        (("--budget", "0"), 2, "none"),
        (("--upstream", "models.example"), 78, "base URL"),
        (("--fallback-model", "nobody-knows"), 78, "[gateway.prices]"),
    ],
)
def test_what_cannot_be_meant_is_said_before_it_serves(tmp_path, options, code, said):
    refused = ended(tmp_path, *options)
    assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
    assert said in refused.stderr


def test_a_port_that_is_taken_is_a_setting_to_change(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = ended(tmp_path, "--port", port)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert (
        f"cannot listen on port {port}: Address already in use\nhint: give another --port" in refused.stderr
    )


def test_what_could_not_be_recorded_is_said(tmp_path):
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "recording.json").write_text('{"schema_version": 1}')
    (tmp_path / "recording" / "stories").write_text("no folder")
    env = {**os.environ, "HOME": str(tmp_path), "RAD_UPSTREAM": "mock"}
    argv = [sys.executable, "-m", "rad_engineer", "gateway", "--record", "recording"]
    with subprocess.Popen(argv, env=env, cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as running:  # fmt: skip
        lines = [running.stdout.readline().strip() for _ in range(4)]
        said = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
        data = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
        headers = {"x-api-key": said["ANTHROPIC_AUTH_TOKEN"]}
        url = f"{said['ANTHROPIC_BASE_URL']}/v1/messages"
        assert httpx2.post(url, json=data, headers=headers, trust_env=False, timeout=60).status_code == 200
        running.send_signal(signal.SIGINT)
        _out, told = running.communicate()
    assert "unrecorded: cannot write" in told
    assert str(tmp_path / "recording" / "stories") in told


def alone(folder, upstream, *texts, **env):
    """The answers of a gateway that runs alone, from its start to its end."""
    given = {**os.environ, "ANTHROPIC_API_KEY": KEY, "HOME": str(folder), "RAD_UPSTREAM": upstream, **env}
    given.pop("XDG_CACHE_HOME", None)
    argv = [sys.executable, "-m", "rad_engineer", "gateway"]
    with subprocess.Popen(argv, env=given, cwd=folder, text=True, stdout=subprocess.PIPE) as running:
        lines = [running.stdout.readline().strip() for _ in range(4)]
        said = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
        answers = [
            httpx2.post(
                f"{said['ANTHROPIC_BASE_URL']}/v1/messages",
                json={"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}]},
                headers={"x-api-key": said["ANTHROPIC_AUTH_TOKEN"]},
                trust_env=False,
                timeout=60,
            )
            for text in texts
        ]
        running.send_signal(signal.SIGINT)
    return answers


def test_a_gateway_that_runs_alone_has_a_cache_which_is_that_of_its_upstream(tmp_path):
    with faulty.serve({}) as one, faulty.serve({}) as other:
        alone(tmp_path, one.url, "hello")
        (again,) = alone(tmp_path, one.url, "hello")
        assert (one.calls["hello"], "x-rad-cache" in again.headers) == (1, True)
        assert again.json()["content"][0]["text"] == "well"
        alone(tmp_path, other.url, "hello")
        assert other.calls["hello"] == 1
        alone(tmp_path, one.url, "hello", RAD_CACHE="false")
        assert one.calls["hello"] == 2
        offline = alone(tmp_path, one.url, "hello", "never asked", RAD_OFFLINE="true")
        assert [answer.status_code for answer in offline] == [200, 503]
        assert one.calls["hello"] == 2


def test_a_client_of_a_gateway_that_runs_alone_and_the_bill_at_its_end(tmp_path):
    with billing_upstream.serve(output=1_000) as bill:
        env = {**os.environ, "ANTHROPIC_API_KEY": KEY, "RAD_UPSTREAM": bill.url, "RAD_BUDGET": "0.05"}
        argv = [sys.executable, "-m", "rad_engineer", "gateway"]
        with subprocess.Popen(argv, env=env, cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as running:  # fmt: skip
            lines = [running.stdout.readline().strip() for _ in range(4)]
            said = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
            assert "budget 0.05 USD" in lines[0]
            assert KEY not in "".join(lines)
            data = {"model": MODEL, "max_tokens": 64_000, "stream": True}
            answers = [
                httpx2.post(
                    f"{said['ANTHROPIC_BASE_URL']}/v1/messages",
                    json={**data, "messages": [{"role": "user", "content": f"{number}"}]},
                    headers={"authorization": f"Bearer {said['ANTHROPIC_AUTH_TOKEN']}"},
                    trust_env=False,
                    timeout=60,
                )
                for number in range(2)
            ]
            running.send_signal(signal.SIGINT)
            _out, told = running.communicate()
    assert [answer.status_code for answer in answers] == [200, 402]
    assert "0.0500 USD" in answers[1].json()["error"]["message"]
    assert f"1 calls, {INPUT_TOKENS + 1_000} tokens, 0.010040 USD" in told
