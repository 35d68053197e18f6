"""A whole run with a key that was planted: a hostile story looks for it everywhere, and tries what its token might open."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rad_engineer import process
from tests import aimock
from tests import faulty_upstream as faulty
from tests.conftest import ROOT, prd, story
from tests.somebody import Somebody, other_user

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import after, call, report, says

KEY = "sk-ant-planted.for.a.whole.run"
HUNT = r"""
import base64, json, os, pathlib, sys, urllib.error, urllib.request
key = "-".join(["sk", "ant", "planted", "for"]).encode()
found = []
for place in pathlib.Path("/proc").iterdir():
    for name in ("environ", "cmdline"):
        try:
            if place.name.isdigit() and key in (place / name).read_bytes():
                found.append(f"{place}/{name}")
        except OSError:
            pass
if key in b"".join(os.environb.values()):
    found.append("our environment")
url, token = os.environ["ANTHROPIC_BASE_URL"], os.environ["ANTHROPIC_AUTH_TOKEN"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def ask(path, token, data=None):
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url + path, body, {"authorization": f"Bearer {token}", "content-type": "application/json"})
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

mine = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
payload, _, seal = token.removeprefix("rad-").partition(".")
story, attempt, tenant = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
def forged(*parts):
    return "rad-" + base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=") + "." + seal
answers = {
    "mine": ask("/v1/messages", token, mine),
    "another story": ask("/v1/messages", forged("another", attempt, tenant), mine),
    "another attempt": ask("/v1/messages", forged(story, attempt + 1, tenant), mine),
    "make a session": ask("/sessions", token, {"story": "another"}),
    "make one below v1": ask("/v1/sessions", token, {"story": "another"}),
    "metrics": ask("/metrics", token),
    "the key itself": ask("/v1/messages", "x" * 30, mine),
    "echo": ask("/v1/messages", token, {**mine, "messages": [{"role": "user", "content": "echo"}]}),
}
if any(key in body for _, body in answers.values()):
    found.append("an answer")
told = {"found": found, "answers": {name: status for name, (status, _) in answers.items()}}
pathlib.Path(sys.argv[1]).write_text(json.dumps(told))
pathlib.Path("done.txt").write_text("done")
print("done")
"""


def test_a_hostile_story_finds_no_key_and_gets_no_session_but_its_own(project, tmp_path):
    hunt, told = tmp_path / "hunt.py", tmp_path / "told.json"
    hunt.write_text(HUNT)
    project.unboxed().init({"prd.json": prd(story("A"))})
    echo = faulty.says(400, "invalid_request_error", f"is it {KEY}?")
    with faulty.serve({"echo": [echo]}) as upstream:
        env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY, "HTTP_PROXY": "http://127.0.0.1:1"}
        command = f"{sys.executable} {hunt} {told}"
        ran = project.rad("run", "prd.json", "--yes", "--agent-command", command, "--upstream", upstream.url,
                          "--allow-unverified", "--allow-unmetered", "--json", env=env)  # fmt: skip
    assert ran.code == 0, ran.err
    said = json.loads(told.read_text())
    assert said["found"] == []
    assert said["answers"] == {
        "mine": 200, "another story": 401, "another attempt": 401, "make a session": 404, "make one below v1": 404,
        "metrics": 404, "the key itself": 401, "echo": 400,
    }  # fmt: skip
    assert [line for line, headers, _ in upstream.seen if headers["authorization"] != f"Bearer {KEY}"] == []
    assert KEY not in ran.out + ran.err
    files = [path for path in Path(tmp_path).rglob("*") if path.is_file() and path != hunt]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert any(path.name == "spend.jsonl" for path in files)


def memory_with(key: bytes, pid: int) -> bool:
    """Whether a process has the key in memory that it may write to; only root may look."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if line.split()[1].startswith("rw"):
                    memory.seek(start)
                    with suppress(OSError, OverflowError):
                        if key in memory.read(end - start):
                            return True
    except (OSError, ValueError):
        pass
    return False


def below(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for child in process.children(pid):
        found += below(child)
    return found


def command_lines(pid: int) -> dict[int, bytes]:
    """Of a process and all below it; one that has just ended has none."""
    found = {}
    for each in below(pid):
        with suppress(OSError):
            found[each] = Path(f"/proc/{each}/cmdline").read_bytes()
    return found


def listening(pid: int) -> list[int]:
    """At which ports; only root may look into a process that is hardened."""
    inodes = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(entry.readlink()).removeprefix("socket:[").rstrip("]"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes]


PARTS = ("sk", "ant", "planted.as.somebody.else")


@pytest.mark.parametrize("source", ["file", "environment"][: 2 if os.environ.get("RAD_CAMPAIGN") else 1])
def test_a_hostile_story_of_the_built_in_agent_as_an_ordinary_user(tmp_path, source):
    """While its shell looks around, so do we: the gateway has the key in memory, and nobody else, its owner included."""
    home = tmp_path / "home"
    grace = Somebody(home, home / "project", other_user())
    grace.folder.mkdir()
    told, ports, go = home / "told.json", home / "ports", home / "go"
    config = '[gates]\ncheck = "test -e A.txt -o -e B.txt"\n[limits]\njobs = 2\n'
    (grace.folder / "prd.json").write_text(prd(story("A"), story("B"), story("C", "A", "B", passes=True)))
    (grace.folder / "rad-engineer.toml").write_text(config)
    hunt = f"python3 {ROOT / 'tests/e2e/key_hunt.py'} {' '.join(PARTS)} {told} {ports} {go}"
    waits = f"until test -e {go}; do sleep 0.05; done"
    answers = [
        says(call("bash", command=f"{command}; touch {name}.txt; echo looked"), when={"userMessage": f"Story {name}:", "hasToolResult": False})
        for name, command in (("A", hunt), ("B", waits))
    ]  # fmt: skip
    done = {
        name: [{"criterion": f"{name} is there", "met": True, "evidence": [f"{name}.txt:1"]}] for name in "AB"
    }
    answers += [
        says(report(criteria=done[name]), when={"userMessage": f"Story {name}:", **after("looked")})
        for name in "AB"
    ]
    key = "-".join(PARTS)
    kept = home / ".config" / "rad-engineer" / "credentials"
    if source == "file":
        kept.parent.mkdir(parents=True, mode=0o700)
        kept.write_text(f"{key}\n")
        kept.chmod(0o600)
    else:
        grace.env |= {"ANTHROPIC_API_KEY": key, "ANTHROPIC_AUTH_TOKEN": key}
    grace.moves_in()
    if source == "file":
        kept.parent.chmod(0o700)
    grace.begins("a project")
    with aimock.serve(tmp_path / "mock", answers) as mock:
        command = ("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", mock.url)
        with grace.popen(grace.python, "-m", "rad_engineer", *command) as run:
            while not any(b"key_hunt" in line for line in command_lines(run.pid).values()):
                assert run.poll() is None, run.communicate()
                time.sleep(0.02)
            ports.with_suffix(".new").write_text(" ".join(map(str, listening(run.pid))))
            ports.with_suffix(".new").rename(ports)
            while not told.exists():
                assert run.poll() is None, run.communicate()
                time.sleep(0.02)
            pids = below(run.pid)
            lines = command_lines(run.pid)
            holders = [pid for pid in pids if memory_with(key.encode(), pid)] if os.getuid() == 0 else []
            go.touch()
            out, err = run.communicate(timeout=100)
    assert run.returncode == 0, out + err
    seen = json.loads(told.read_text())
    assert (seen["uid"], seen["pid"], seen["gateways"]) == (grace.user or os.getuid(), run.pid, 1)
    assert (seen["places"], seen["environment"], seen["tokens"]) == ([], False, 0)
    if seen["uid"] != 0:
        assert (seen["gateway"], seen["coordinator"]) == ([], [])
    if os.getuid() == 0:
        assert seen["statuses"] == [[401] * 3, [404] * 3, [404] * 3]
        holders = [
            pid for pid in holders if b"key_hunt" not in lines.get(pid, b"")
        ]  # which knows what it looks for
        assert [pid for pid in pids if b"gateway.program" in lines.get(pid, b"")] == holders
        assert len(pids) >= 6  # a zygote, two workers, and what their shells have started
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if key.encode() in path.read_bytes()] == (
        [kept] if source == "file" else []
    )
    assert key not in out + err
    assert any(path.name == "transcript.jsonl" for path in files)
