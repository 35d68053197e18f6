"""A story whose upstream fails: what becomes of it, how often the upstream is asked, and what is booked, as a table.

RAD_CAMPAIGN=1 runs all kinds and prints the table; without it a few are run. RAD_CLI_AGENTS=1 has the real claude and
opencode as clients as well (after `requirements/npm agents`).
"""

import json
import os
import sys

import anthropic
import httpx2
import pytest

from tests import aimock, gateways
from tests import faulty_upstream as faulty
from tests.conftest import ROOT, prd, story
from tests.model_faults import KINDS, MODEL, Plans

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import after, call, report, says

ALL = bool(os.environ.get("RAD_CAMPAIGN"))
FEW = ("stream cut in a tool call", "429, come back in an hour")
BIN = ROOT / "tests/npm-agents/node_modules/.bin"
CLIENTS = ["anthropic", *(("claude", "opencode") if os.environ.get("RAD_CLI_AGENTS") == "1" else ())]
SLACK = 64  # tokens that were seen, and that the upstream had no time to state
CODES = {"passed": 0, "failed": 1, "waiting": 4}
TOOLS = {"anthropic": "bash", "claude": "Bash", "opencode": "bash"}
COLUMNS = ("client", "fault", "outcome", "calls", "bill", "ledger")
OTHERWISE = {
    ("claude", "400"): ("failed", 3),  # without one of its options, and without another
    ("claude", "stream cut in a tool call for ever"): ("waiting", 2),  # then for the whole message
    ("opencode", "413"): ("failed", 2),  # then for a summary of the conversation
}
"""Where a client makes something else of it than our own loop."""
GUESSED = {("claude", "stream cut in a tool call for ever"): 20_000}  # half of a whole message states nothing


def row(capsys: pytest.CaptureFixture[str], *cells: object) -> None:
    """A line of the table; the head above the first."""
    if not ALL:
        return
    with capsys.disabled():
        if not hasattr(row, "begun"):
            row.begun = True  # type: ignore[attr-defined]
            print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", end="")
        print(f"\n| {' | '.join(map(str, cells))} |", end="")


def answers(client: str) -> list[aimock.Fixture]:
    """One tool call that makes a file, and an end."""
    made = {"command": "echo a > a.txt; echo written", "description": "makes it"}
    if client != "anthropic":
        return [says(call(TOOLS[client], **made), when={"hasToolResult": False}), says(when={}, text="Done.")]
    done = report(criteria=[{"criterion": "A is there", "met": True, "evidence": ["a.txt:1"]}])
    command = call("bash", command=made["command"])
    return [says(command, when={"hasToolResult": False}), says(done, when=after("written"))]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if ALL or kind.name in FEW], ids=lambda kind: kind.name
)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_story(project, kind, client, capsys):
    if client != "anthropic" and not (BIN / client).exists():
        pytest.skip(f"NO EVIDENCE: {client} is not installed (requirements/npm agents)")
    status, calls = OTHERWISE.get((client, kind.name), (kind.status, kind.calls))
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "test -e a.txt"\n'})
    path = f"{project.env['PATH']}{os.pathsep}{BIN}"
    with aimock.serve(project.folder.parent / "mock", answers(client)) as mock:
        plans = Plans(kind, mock.url)
        with faulty.serve(plans) as upstream:
            ran = project.rad("run", "prd.json", "--yes", "--agent", client, "--attempts", "1", "--model", MODEL,
                              "--upstream", upstream.url, env={"ANTHROPIC_API_KEY": "sk-ant-k", "PATH": path},
                              timeout=280)  # fmt: skip
    entry = project.report()["stories"][0]
    outcome = f"{entry['status']} {entry['reason'] or ''}".strip()
    row(capsys, client, kind.name, outcome, plans.calls, plans.bill, entry["tokens"])
    code = 69 if kind.name == "401" else CODES[status]
    assert (entry["status"], ran.code) == (status, code), json.dumps(entry) + ran.err
    assert plans.calls == calls <= 4
    assert plans.bill <= entry["tokens"] <= plans.bill + GUESSED.get((client, kind.name), SLACK)
    assert project.processes() == []


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if ALL or kind.name in FEW], ids=lambda kind: kind.name
)
def test_the_sdk(tmp_path, kind, capsys):
    """A plain client, with the tries of its own that it has by default; it does not go on after a stream that broke."""
    with (
        aimock.serve(tmp_path / "mock", [says(when={}, text="Well.")]) as mock,
        faulty.serve(plans := Plans(kind, mock.url)) as upstream,
        gateways.opened(tmp_path / "gateway", upstream.url) as gateway,
        httpx2.Client(trust_env=False) as inner,
    ):
        url, token = gateway.door.session("s1", 1)
        outcome = _asked(anthropic.Anthropic(base_url=url, auth_token=token, http_client=inner))
    told = gateway.door.standing("s1", 1)
    row(capsys, "SDK", kind.name, outcome, plans.calls, plans.bill, told["tokens"])
    broke = any(each in kind.name for each in ("stream cut after", "cut in a", "too early", "in a stream"))
    assert (outcome == "answered") == (kind.status == "passed" and not broke)
    assert 1 <= plans.calls <= 4
    assert plans.bill <= told["tokens"] <= plans.bill + SLACK


def _asked(client: anthropic.Anthropic) -> str:
    ask = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    try:
        with client.messages.stream(**ask) as stream:
            stream.get_final_message()
    except anthropic.APIStatusError as error:
        return f"{type(error).__name__} {error.status_code}"
    return "answered"
