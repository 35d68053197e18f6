"""The scratch repositories in which the commands of the documentation are run."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
IGNORE = "__pycache__/\n.pytest_cache/\n"

# Stands in for a coding agent: every story writes a file of its own; some do more, as their ids say.
AGENT = """#!/bin/sh
mkdir -p shop
echo "$RAD_STORY_TITLE" > "shop/$RAD_STORY_ID.txt"
echo "wrote shop/$RAD_STORY_ID.txt"
case "$RAD_STORY_ID" in
  *-retry) [ "$RAD_ATTEMPT" -gt 1 ] || echo broken > shop/broken.txt ;;
  *-bad) echo broken > shop/broken.txt ;;
  *-limit) [ -e "$HOME/limit-passed" ] || exit 75 ;;
  *-slow) sleep 30 ;;
esac
"""
CHECK = """#!/bin/sh
for file in shop/*; do
  if grep -q broken "$file"; then echo "FAILED $file is broken"; exit 1; fi
done
echo "all good"
"""


def story(name: str, title: str, *needs: str, **more: object) -> dict[str, object]:
    """A story as PRDs have it."""
    return {
        "id": name,
        "title": title,
        "acceptanceCriteria": [f"{title} works"],
        "dependsOn": list(needs),
        "passes": False,
        **more,
    }


def prd(*stories: Mapping[str, object], **more: object) -> str:
    """A PRD."""
    return json.dumps({"project": "shop", **more, "userStories": list(stories)}, indent=2) + "\n"


_SHOP = (
    story("S-1", "Cart"),
    story("S-2", "Discounts", "S-1"),
    story("S-3", "Receipt", "S-2"),
)
_CONFIGURED = {
    "README.md": "# shop\n",
    ".gitignore": IGNORE,
    "check.sh": CHECK,
    "rad-engineer.toml": '[agent]\ncommand = "my-agent"\n\n[gates]\ncheck = "sh check.sh"\n',
}


def _empty() -> dict[str, str]:
    """A repository with one commit and nothing for rad-engineer."""
    return {"README.md": "# shop\n", ".gitignore": IGNORE}


def _shop() -> dict[str, str]:
    """Three stories, one after another, a gate and an agent."""
    return {**_CONFIGURED, "prd.json": prd(*_SHOP)}


def _troubles() -> dict[str, str]:
    """A story that passes, one that needs a second attempt, one that fails, one that is blocked by it."""
    stories = (
        story("S-1", "Cart"),
        story("S-2-retry", "Discounts", "S-1"),
        story("S-3-bad", "Receipt", "S-2-retry"),
        story("S-4", "Returns", "S-3-bad"),
    )
    return {**_CONFIGURED, "prd.json": prd(*stories)}


def _no_gates() -> dict[str, str]:
    """Stories, an agent, and nothing that could judge them."""
    return {**_shop(), "rad-engineer.toml": '[agent]\ncommand = "my-agent"\n'}


def _waiting() -> dict[str, str]:
    """A story for a person between two others, and one whose agent has reached a limit."""
    stories = (
        story("S-1", "Cart"),
        story("S-2", "Choose a payment provider", "S-1", checkpoint=True),
        story("S-3", "Payment", "S-2"),
        story("S-4-limit", "Gift cards", "S-1"),
    )
    return {**_CONFIGURED, "prd.json": prd(*stories)}


def _phases() -> dict[str, str]:
    """Two PRDs, the second of which needs the first."""
    return {
        **_CONFIGURED,
        "prd/phase1.json": prd(story("1.1", "Cart"), story("1.2", "Receipt", "1.1")),
        "prd/phase2.json": prd(story("2.1", "Gift cards", "1.2"), depends_on=["phase1.json"]),
    }


def _red_before() -> dict[str, str]:
    """A story in a project where one of two tests fails already."""
    return {
        **_CONFIGURED,
        "rad-engineer.toml": '[agent]\ncommand = "my-agent"\n\n[gates]\ntest = "python3 -m pytest -q"\n',
        "tests/test_shop.py": "def test_old():\n    assert False\n\n\ndef test_good():\n    pass\n",
        "prd.json": prd(story("S-1", "Cart")),
    }


def _existing() -> dict[str, str]:
    """A project that knows nothing of rad-engineer: tests, a linter, CI, notes for agents, a plan."""
    return {
        ".gitignore": IGNORE,
        "AGENTS.md": "# Notes\n",
        "prd.json": prd(*_SHOP),
        "pyproject.toml": '[project]\nname = "shop"\n\n[tool.pytest.ini_options]\n\n[tool.ruff]\nline-length = 100\n',
        "tests/test_shop.py": '"""Tests."""\n\n\ndef test_cart():\n    pass\n',
        ".github/workflows/ci.yml": "steps:\n  - run: python -m pytest\n  - run: ruff check tests\n",
    }


_PROJECTS: dict[str, Callable[[], dict[str, str]]] = {
    "empty": _empty,
    "shop": _shop,
    "troubles": _troubles,
    "no gates": _no_gates,
    "waiting": _waiting,
    "phases": _phases,
    "red before": _red_before,
    "existing": _existing,
}


def make(name: str, folder: Path, tools: Path, env: Mapping[str, str]) -> None:
    """Makes the project in `folder`, and `my-agent` in `tools`."""
    agent = tools / "my-agent"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    if name == "quickstart":
        shutil.copytree(
            EXAMPLES / "quickstart",
            folder,
            ignore=shutil.ignore_patterns("__pycache__", ".*cache", ".rad-engineer"),
        )
    else:
        for path, text in _PROJECTS[name]().items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Ada Lovelace"),
        ("config", "user.email", "ada@example.org"),
        ("add", "-A"),
        ("commit", "-q", "-m", "First commit"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, env=dict(env), check=True, capture_output=True)
