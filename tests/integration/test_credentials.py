"""The key: where it is found, and where it is not."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from rad_engineer.errors import Refused
from rad_engineer.gateway import credentials
from rad_engineer.gateway.credentials import Secret, find, forget, store, stored_path
from tests import faulty_upstream as faulty
from tests.gateways import KEY, opened

PLANTED = "sk-ant-planted.in.the.environment"


@pytest.fixture
def env(tmp_path):
    return {"HOME": str(tmp_path)}


def taken(**variables: str) -> dict[str, Secret]:
    environ = {name.encode(): value.encode() for name, value in variables.items()}
    found = credentials.take(environ)
    assert environ == {}
    return found


def test_the_order_in_which_a_key_is_looked_for(env):
    both = {"ANTHROPIC_API_KEY": "k1", "ANTHROPIC_AUTH_TOKEN": "t1"}
    store("k2", env)
    kept = str(stored_path(env))

    def found(known, argument=None, **more):
        chosen = find(known, {**env, **more}, argument)
        return chosen and (
            chosen.kind,
            chosen.source,
            credentials.handed(os.dup(chosen.secret.fileno())).decode(),
        )

    assert found(taken(**both), "k0") == ("key", "the argument", "k0")
    assert found(taken(**both)) == ("key", "ANTHROPIC_API_KEY", "k1")
    assert found(taken(ANTHROPIC_API_KEY="", ANTHROPIC_AUTH_TOKEN="t1")) == (
        "token",
        "ANTHROPIC_AUTH_TOKEN",
        "t1",
    )
    assert found({}, ANTHROPIC_PROFILE="work") == ("profile", "profile work", "")
    identity = {"ANTHROPIC_FEDERATION_RULE_ID": "r", "ANTHROPIC_ORGANIZATION_ID": "o"}
    assert found(taken(ANTHROPIC_IDENTITY_TOKEN="i"), **identity) == ("profile", "workload identity", "i")
    assert found({}) == ("key", kept, "k2")
    forget(env)
    assert found({}) is None


def test_a_profile_that_the_sdk_would_take_is_taken(env, tmp_path):
    folder = tmp_path / ".config" / "anthropic"
    (folder / "configs").mkdir(parents=True)
    assert find({}, env) is None
    (folder / "configs" / "default.json").write_text("{}")
    assert find({}, env).source == "profile default"
    (folder / "active_config").write_text("work\n")
    assert find({}, env).source == "profile work"


def test_a_kept_key_is_ours_alone(env):
    path = Path(store("k", env))
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.chmod(0o640)
    with pytest.raises(Refused, match="others may read"):
        find({}, env)
    path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(Refused, match="cannot read"):
        find({}, env)


def test_a_key_that_is_kept_again_does_not_inherit_a_mode(env):
    path = stored_path(env)
    path.parent.mkdir(parents=True)
    path.with_name(path.name + ".new").touch(0o644)
    store("k", env)
    assert path.stat().st_mode & 0o777 == 0o600
    assert forget(env) == [str(path)]
    assert forget(env) == []


def test_login_and_logout(project):
    read = subprocess.run(
        project.command("login"),
        env=project.env,
        input=f"{KEY}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    kept = Path(project.env["HOME"]) / ".config" / "rad-engineer" / "credentials"
    assert read.stdout == f"kept in {kept}\n"
    assert kept.read_text() == f"{KEY}\n"
    assert project.rad("logout").out == f"removed from {kept}\n"
    assert project.rad("logout").out == "no key was kept\n"
    for nothing in ("\n", "two words\n", f"{'k' * 20_000}\n"):
        refused = subprocess.run(
            project.command("login"),
            env=project.env,
            input=nothing,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, "no API key" in refused.stderr) == (2, True)
    assert not kept.exists()


def python(script: str, *arguments: str, **env: str) -> str:
    """What a script prints that begins with this environment."""
    argv = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    given = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(argv, env=given, capture_output=True, text=True, check=True).stdout


def test_the_environment_is_wiped_where_the_process_began_with_it():
    """Not only for its children: whoever may read /proc sees the block that the kernel has put there."""
    script = """
        import json, os, sys
        from pathlib import Path
        from rad_engineer.gateway import credentials
        before = Path("/proc/self/environ").read_bytes()
        found = credentials.find(credentials.take(), os.environ)
        after = Path("/proc/self/environ").read_bytes()
        key = sys.argv[1].encode()
        print(json.dumps([before.count(key), after.count(key), sys.argv[1] in os.environ.values(),
                          credentials.handed(os.dup(found.secret.fileno())) == key, b"OTHER=stays" in after, credentials.harden()]))
    """
    said = python(
        script, PLANTED, ANTHROPIC_API_KEY=PLANTED, OTHER="stays", ANTHROPIC_AUTH_TOKEN=f" {PLANTED}\n"
    )
    assert json.loads(said) == [2, 0, False, True, True, True]


LOOKS = """
import os, re, sys
from pathlib import Path
from rad_engineer.gateway import credentials
KEY = re.compile(rb"sk-ant-planted[.]in[.]the[.]environment")  # which it does not match itself

def found():
    count = 0
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps").read().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if line.split()[1].startswith("rw"):
                memory.seek(start)
                count += sum(1 for _ in KEY.finditer(memory.read(end - start)))
    return count
"""


def test_the_key_is_not_in_our_memory_and_a_fork_gets_no_way_to_it():
    """The kernel keeps it; where it was before has been overwritten. A fork may open other files: they stay open."""
    script = """
        taken = credentials.take()
        here, secret = found(), taken["ANTHROPIC_API_KEY"]
        if os.fork() == 0:
            reused = os.open("/dev/null", os.O_RDONLY)
            files = [os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{one}")]
            seen = [found(), sum("memfd" in name for name in files), reused == secret.fileno()]
            del taken, secret
            os.fstat(reused)
            print(here, *seen)
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        assert len(os.pread(secret.fileno(), 100, 0)) > 20
        number = secret.fileno()
        del taken, secret
        assert not os.path.exists(f"/proc/self/fd/{number}")
    """
    assert python(LOOKS + textwrap.dedent(script), ANTHROPIC_API_KEY=PLANTED) == "0 0 0 True\n"
    assert int(python(LOOKS + "print(found())", ANTHROPIC_API_KEY=PLANTED)) > 0  # where it is not taken out


@pytest.mark.parametrize("source", ["environment", "file"])
def test_who_starts_gateways_again_and_again_does_not_know_the_key(tmp_path, source):
    script = """
        import select, signal
        from rad_engineer.gateway import door
        from rad_engineer.gateway.configuration import GatewaySettings
        key = credentials.find(credentials.take(), os.environ)
        opened = door.open(GatewaySettings(upstream=sys.argv[1]), Path(sys.argv[2]), b"s" * 32, key)
        poller = select.poll()
        poller.register(opened.fileno(), select.POLLIN)

        def waits_until_ready():
            while not any(event["event"] == "ready" for event in opened.poll()):
                poller.poll(100)

        for _ in range(2):
            waits_until_ready()
            os.kill(opened.pid, signal.SIGKILL)
        waits_until_ready()
        import urllib.request
        url, token = opened.session("s", 1)
        body = b'{"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}'
        request = urllib.request.Request(url + "/v1/messages", body, {"x-api-key": token, "content-type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            print(answer.status, found())
        opened.close()
    """
    env = {"HOME": str(tmp_path)}
    if source == "file":
        store(PLANTED, env)
    else:
        env["ANTHROPIC_API_KEY"] = PLANTED
    with faulty.serve({}) as upstream:
        told = python(LOOKS + textwrap.dedent(script), upstream.url, str(tmp_path / "gateway"), **env)
        assert upstream.seen[-1][1]["authorization"] == f"Bearer {PLANTED}"
    assert told == "200 0\n"


def test_the_key_is_in_no_process_file_or_answer(tmp_path):
    """Of a gateway that lives, fails and is killed, as anybody on the machine could look."""
    echo = faulty.says(400, "invalid_request_error", f"what is {KEY}?", x_echo=KEY)
    with faulty.serve({"echo": [echo]}) as upstream, opened(tmp_path / "gateway", upstream.url) as running:
        answers = [
            running.ask("hello"),
            running.ask("echo"),
            running.ask("hello", headers={"x-api-key": "none"}),
        ]
        pid = running.door.pid
        for name in ("environ", "cmdline", "status"):
            assert KEY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
        os.kill(pid, signal.SIGKILL)
        running.wait_for(lambda event: event["event"] == "restarted")
        answers.append(running.ask("again"))
        texts = [json.dumps(running.hear()), *(f"{answer.headers}{answer.text}" for answer in answers)]
    assert [text for text in texts if KEY in text] == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert tmp_path / "gateway" / "gateway.log" in files


@pytest.mark.skipif(os.getuid() != 0, reason="NO EVIDENCE: only root can become somebody else")
def test_another_process_of_the_same_user_cannot_look_into_the_gateway(tmp_path):
    """As nobody: the gateway's memory, environment and descriptors are closed to its own user's other processes."""
    script = """
        import os, sys
        from pathlib import Path
        from rad_engineer.gateway import credentials, door
        from rad_engineer.gateway.configuration import GatewaySettings
        key = credentials.find(credentials.take(), os.environ)
        credentials.harden()
        opened = door.open(GatewaySettings(upstream="mock"), Path(sys.argv[1]), b"s" * 32, key)
        import select
        poller = select.poll()
        poller.register(opened.fileno(), select.POLLIN)
        while not any(event["event"] == "ready" for event in opened.poll()):
            poller.poll(100)
        if os.fork() == 0:
            seen = []
            for pid in (os.getppid(), opened.pid):
                for name in ("environ", "mem", "maps"):
                    try:
                        Path(f"/proc/{pid}/{name}").open("rb").read(1)
                        seen.append(name)
                    except OSError:
                        pass
                try:
                    seen += os.listdir(f"/proc/{pid}/fd")
                except OSError:
                    pass
            print(seen)
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        opened.close()
    """
    folder = tmp_path / "nobody"
    folder.mkdir()
    for place in folder.parents:
        if place.is_relative_to(tempfile.gettempdir()) and place.stat().st_uid == 0:
            place.chmod(place.stat().st_mode | 0o011)
    os.chown(folder, 65534, 65534)
    env = {
        "PATH": os.environ["PATH"],
        "ANTHROPIC_API_KEY": PLANTED,
        "PYTHONPATH": os.pathsep.join(sys.path[1:]),
    }
    argv = [_python_for_all(), "-c", textwrap.dedent(script), str(folder)]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, user=65534, group=65534,
                           extra_groups=[], cwd="/")  # fmt: skip
    if "Permission denied" in ended.stderr or "No module" in ended.stderr:
        pytest.skip(f"NO EVIDENCE: nobody may not read this checkout: {ended.stderr[-200:]}")
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def _python_for_all() -> str:
    """An interpreter of our version that everybody may run."""
    for program in (sys.executable, "/usr/bin/python3"):
        version = "import sys; print(sys.version_info[:2])"
        try:
            ended = subprocess.run(
                [program, "-c", version], capture_output=True, text=True, check=False, user=65534
            )
        except OSError:
            continue
        if ended.stdout == f"{sys.version_info[:2]}\n":
            return program
    pytest.skip("NO EVIDENCE: nobody may not run this interpreter")
