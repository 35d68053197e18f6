"""A story whose upstream fails: what becomes of it, how often the upstream is asked, and what is booked, as a table.

All kinds are run behind RAD_CAMPAIGN=1, which prints the table; without it a few.
"""

import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2
import pytest

from tests import aimock
from tests import faulty_upstream as faulty
from tests.conftest import ROOT, prd, story

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import after, call, report, says

GOOD = faulty.events({"model": "claude-sonnet-5-5"})
TOOL = faulty.events({"model": "claude-sonnet-5-5"}, tool=True)
OVERLOADED = faulty.event("error", error={"type": "overloaded_error", "message": "too much"})
FEW = ("stream cut in a tool call", "429, come back in an hour")
SLACK = 20_000  # tokens by which an estimate of one input may be wrong


@dataclass(frozen=True)
class Kind:
    """Faults of the first calls, one after another, or of all; then a good upstream. `calls` counts those it got."""

    name: str
    faults: Sequence[faulty.Move]
    status: str
    code: int
    calls: int
    for_ever: bool = False


def limited(after_seconds: str) -> faulty.Move:
    return faulty.says(429, "rate_limit_error", retry_after=after_seconds)


def once(name: str, *faults: faulty.Move) -> Kind:
    return Kind(name, faults, "passed", 0, 2 + len(faults))


def always(name: str, fault: faulty.Move, status: str, code: int, calls: int) -> Kind:
    return Kind(name, [fault], status, code, calls, for_ever=True)


KINDS = [
    once("429, come back at once", limited("0")),
    once("429, come back in 2 s", limited("2")),
    once("429, come back in 49 days", limited("4294967")),
    once("500 once", faulty.says(500, "api_error")),
    once("503 once", faulty.says(503, "api_error")),
    once("529 twice", *[faulty.says(529, "overloaded_error")] * 2),
    once("reset once", faulty.resets),
    once("no HTTP once", faulty.babbles),
    once("error as the first event", faulty.streams(OVERLOADED)),
    once("stream cut before it begins", faulty.streams(end="reset")),
    once("stream cut after its first event", faulty.streams(GOOD[0], end="reset")),
    once("stream cut in a tool call", faulty.streams(*TOOL[:3], end="reset")),
    once("stream cut in an event", faulty.streams(*GOOD[:2], GOOD[2][:20], end="reset")),
    once("stream that ends too early", faulty.streams(*GOOD[:3])),
    once("garbage in a stream", faulty.streams(*GOOD[:3], b"data: {oh\n\n")),
    once("error in a stream", faulty.streams(*GOOD[:3], OVERLOADED)),
    always("429, come back in an hour", limited("3600"), "waiting", 4, 1),
    always("429 for ever", faulty.says(429, "rate_limit_error"), "waiting", 4, 4),
    always("400", faulty.says(400, "invalid_request_error"), "failed", 1, 1),
    always("401", faulty.says(401, "authentication_error"), "waiting", 4, 1),
    always("403", faulty.says(403, "permission_error"), "waiting", 4, 1),
    always("404", faulty.says(404, "not_found_error"), "failed", 1, 1),
    always("413", faulty.says(413, "request_too_large"), "failed", 1, 1),
    always("529 for ever", faulty.says(529, "overloaded_error"), "waiting", 4, 4),
    always("a page", faulty.raw(200, b"<html>", "text/html"), "waiting", 4, 1),
    always("reset for ever", faulty.resets, "waiting", 4, 4),
]


class Plans(dict):
    """The same for everything that is asked."""

    def __init__(self, kind: Kind, url: str) -> None:
        self.asked = itertools.count()
        self.bill = 0
        self._kind = kind
        self._url = url

    def get(self, _name, _default=None):
        return [self._move]

    async def _move(self, wire):
        number = next(self.asked)
        faults = self._kind.faults
        if self._kind.for_ever:
            await faults[0](wire)
        elif number < len(faults):
            await faults[number](wire)
        else:
            await self._answer(wire)

    async def _answer(self, wire):
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self._url}/v1/messages", json=wire.data)
        self.bill += 110 if answer.status_code == 200 else 0
        await faulty.raw(answer.status_code, answer.content, answer.headers["content-type"])(wire)


@pytest.mark.parametrize(
    "kind",
    [each for each in KINDS if each.name in FEW or os.environ.get("RAD_CAMPAIGN")],
    ids=lambda kind: kind.name,
)
def test_fault(project, kind, capsys):
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "test -e a.txt"\n'})
    done = report(criteria=[{"criterion": "A is there", "met": True, "evidence": ["a.txt:1"]}])
    answers = [
        says(call("bash", command="echo a > a.txt; echo written"), when={"hasToolResult": False}),
        says(done, when=after("written")),
    ]
    with aimock.serve(project.folder.parent / "mock", answers) as mock:
        plans = Plans(kind, mock.url)
        with faulty.serve(plans) as upstream:
            ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--attempts", "1",
                              "--upstream", upstream.url, env={"ANTHROPIC_API_KEY": "sk-ant-k"})  # fmt: skip
    calls = next(plans.asked)
    entry = project.report()["stories"][0]
    with capsys.disabled():
        if os.environ.get("RAD_CAMPAIGN"):
            about = (entry["status"], str(entry.get("reason")), ran.code, calls, entry["tokens"], plans.bill)
            print(f"\n{kind.name:34}" + "".join(f"{each!s:>14}" for each in about), end="")
    assert (entry["status"], ran.code) == (kind.status, kind.code), json.dumps(entry) + ran.err
    assert calls == kind.calls
    assert plans.bill <= entry["tokens"] <= plans.bill + SLACK
    assert project.processes() == []
