"""Plans that lie in a project already, and the files that tell agents how to work in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rad_engineer import importers
from rad_engineer.errors import RadError
from rad_engineer.projects.tree import Tree

_PLACES = ("", "prd", "prds", "tasks", ".taskmaster/tasks", "scripts/ralph", "ralph", ".ralph", "plans", "docs", "docs/prd",
           ".agent", "specs")  # fmt: skip
_NAMED = re.compile(
    r"(?:.*[-_.])?prds?(?:[-_.].*)?\.(?:json|md|markdown)|tasks\.(?:json|md)|fix_plan\.md", re.IGNORECASE
)
_INSTRUCTIONS = (
    "AGENTS.md", "CLAUDE.md", "GEMINI.md", ".cursorrules", ".windsurfrules", ".clinerules", "CONVENTIONS.md",
    ".github/copilot-instructions.md", ".specify/memory/constitution.md",
)  # fmt: skip
_MOST = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """A file with stories, as this tool reads it."""

    file: str
    dialect: str
    stories: int
    done: int
    problem: str = ""


def plans(tree: Tree) -> tuple[Plan, ...]:
    """The files that are named like plans and hold stories; those that cannot be read say why."""
    return tuple(plan for path in [*_candidates(tree)][:_MOST] if (plan := _plan(tree, path)) is not None)


def _candidates(tree: Tree) -> Iterator[str]:
    for folder in _PLACES:
        for name in tree.listing(folder):
            path = f"{folder}/{name}" if folder else name
            if _NAMED.fullmatch(name) and tree(path) is not None:
                yield path
    for name in tree.folders("specs"):
        if tree(f"specs/{name}/tasks.md") is not None:
            yield f"specs/{name}/tasks.md"


def _plan(tree: Tree, path: str) -> Plan | None:
    try:
        prds = importers.load(tree.top / path, root=tree.top)
    except RadError as error:
        return Plan(path, _dialect(tree, path), 0, 0, str(error).replace(f"{tree.top}/", ""))
    stories = [story for prd in prds for story in prd.stories]
    if not stories:
        return None
    return Plan(path, _dialect(tree, path), len(stories), sum(story.state == "done" for story in stories))


def _dialect(tree: Tree, path: str) -> str:
    """Whose file this is, as its place and its keys tell."""
    folder, _, name = path.rpartition("/")
    if ".taskmaster" in path or (
        name == "tasks.json" and (folder == "tasks" or tree.line(path, r'"tasks"\s*:'))
    ):
        return "task-master"
    if folder.startswith("specs/") and name == "tasks.md":
        return "spec-kit"
    if name.endswith(".json") and tree.line(path, r'"userStories"\s*:'):
        return "ralph"
    return "markdown" if name.lower().endswith((".md", ".markdown")) else "json"


def instructions(tree: Tree) -> tuple[str, ...]:
    """The files that tell agents how to work here."""
    rules = [f".cursor/rules/{name}" for name in tree.listing(".cursor/rules")]
    return tuple(path for path in (*_INSTRUCTIONS, *rules) if tree(path) is not None)
