"""A model's side of the quickstart: what it answers, story by story. Its recorded form is in examples/quickstart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.marks import TOKEN

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "quickstart"
WORK = Path(__file__).parent / "work"
LOOKS_AT = {
    "PB-1": ("pocketbook/money.py", "tests/test_money.py"),
    "PB-2": ("january.csv", "pocketbook/money.py"),
    "PB-3": ("pocketbook/expenses.py",),
    "PB-4": ("pocketbook/expenses.py",),
    "PB-5": ("pocketbook/totals.py", "pocketbook/budgets.py"),
}
LEARNT = {
    "PB-2": "amounts are whole cents everywhere: parse_cents at the edge, format_cents when they are shown"
}


def fixtures() -> list[dict[str, Any]]:
    """For the mock server: each answer depends on what the tools said before it."""
    stories = json.loads((EXAMPLE / "prd.json").read_text())["userStories"]
    return [fixture for story in stories for fixture in _story(story)]


def _story(story: dict[str, Any]) -> Iterator[dict[str, Any]]:
    name = story["id"]
    files = sorted(path.relative_to(WORK / name) for path in (WORK / name).rglob("*.py"))
    yield _answer(story, 0, "", [_call("read", path=path) for path in LOOKS_AT[name]],
                  "I look at what there is before I change it.")  # fmt: skip
    changes = [
        _edit(command="create", path=str(path), file_text=(WORK / name / path).read_text()) for path in files
    ]
    if name in LEARNT:
        changes.append(_call("record_learning", text=LEARNT[name]))
    yield _answer(story, 1, _first_line(LOOKS_AT[name][-1]), changes)
    tests = " ".join(str(path) for path in files if path.parts[0] == "tests")
    yield _answer(
        story, 2, "", [_call("bash", command=f"python3 -m pytest -q {tests} > /dev/null && echo green")]
    )
    criteria = [
        {"criterion": criterion["text"], "met": True, "evidence": [f"{files[0]}:1", f"{tests}:1"]}
        for criterion in story["acceptanceCriteria"]
    ]
    report = _call("report", token=TOKEN, status="done", summary=f"{story['title']}, with tests.", files=[str(path) for path in files],
                   tests=[f"python3 -m pytest -q {tests}: green"], criteria=criteria)  # fmt: skip
    yield _answer(story, 3, "green", [report])


def _first_line(path: str) -> str:
    """Of a file as it is before the story, which an earlier one may have made."""
    place = EXAMPLE / path
    return (place if place.exists() else next(WORK.glob(f"*/{path}"))).read_text().splitlines()[0]


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _edit(**arguments: Any) -> dict[str, Any]:
    return _call("str_replace_based_edit_tool", **arguments)


def _answer(
    story: dict[str, Any], turn: int, seen: str, calls: list[dict[str, Any]], text: str = ""
) -> dict[str, Any]:
    match = {"userMessage": f"Story {story['id']}:", "turnIndex": turn}
    if seen:
        match["toolResultContains"] = seen
    usage = {"input_tokens": 2600 + 400 * turn, "output_tokens": 80 + 90 * len(calls)}
    return {
        "match": match,
        "response": {"toolCalls": calls, "usage": usage, **({"content": text} if text else {})},
    }
