"""A whole run with a key that was planted: a hostile story looks for it everywhere, and tries what its token might open."""

import json
import sys
from pathlib import Path

from tests import faulty_upstream as faulty
from tests.conftest import prd, story

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
    project.init({"prd.json": prd(story("A"))})
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
