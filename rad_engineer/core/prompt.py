"""What an agent is told: the story, how it will be judged, and what happened before it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rad_engineer.core.fence import Marks

STORY_LIMIT = 32_000
NOTES_LIMIT = 8_000
EARLIER_LIMIT = 4_000
LEARNINGS_LIMIT = 4_000
FEEDBACK_LIMIT = 16_000
_LONGEST_ID = 80
_NOT_OF_IDS = re.compile(r"[^\w.:/#+@-]+")


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything the prompt of one attempt is made of."""

    story_id: str
    title: str
    text: str  # the story as its file wrote it, unknown fields included
    marks: Marks  # what tells the text of others from ours
    criteria: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()  # commands that will judge the work
    notes: str = ""  # what the PRD says to every story
    earlier: tuple[str, ...] = ()  # a line for each landed story: what it changed
    learnings: tuple[str, ...] = ()
    attempt: int = 1
    feedback: str = ""  # why the last attempt did not land
    role: str = ""  # the text of the agent's role


RULES = (
    "- Work in the current directory. Leave your changes as files; commits are made for you.",
    "- Your word is not what counts: after you exit with code 0, the commands below are run on a clean copy.",
    "- Do not edit the PRD, the commands that judge you, or the tests that were there before you.",
    "- What later stories should know may be written to the file named by RAD_LEARNINGS_FILE, a line each.",
)
"""What a program is told that is run in a slot."""


def render(assignment: Assignment, rules: Sequence[str] = RULES) -> str:
    """The prompt as Markdown; every part is cut to its limit, and says so when it was. What others wrote is fenced."""
    fence = assignment.marks.fence
    parts = [heading(assignment), f"{assignment.marks.told}\n", f"{fence(assignment.title)}\n"]
    if assignment.role:
        parts.append(_section("Your role", assignment.role))
    if assignment.criteria:
        parts.append(
            _section("Acceptance criteria", fence("\n".join(f"- {text}" for text in assignment.criteria)))
        )
    parts.append(_section("The story as its PRD has it", fence(cut(assignment.text, STORY_LIMIT))))
    parts.append(_section("How the work is judged", _rules(rules, assignment)))
    if assignment.notes:
        parts.append(_section("About the project", fence(cut(assignment.notes, NOTES_LIMIT))))
    if assignment.earlier:
        parts.append(
            _section("What earlier stories changed", fence(_tail(assignment.earlier, EARLIER_LIMIT)))
        )
    if assignment.learnings:
        parts.append(_section("Learnings", fence(_tail(assignment.learnings, LEARNINGS_LIMIT))))
    if assignment.feedback:
        title = f"Attempt {assignment.attempt}: why the last one did not land"
        parts.append(_section(title, fence(cut(assignment.feedback, FEEDBACK_LIMIT))))
    return "\n".join(parts)


def heading(assignment: Assignment, what: str = "Story") -> str:
    """The first line: the id, of which only what ids are made of is left; the title is text of others."""
    return f"# {what} {_NOT_OF_IDS.sub('_', assignment.story_id)[:_LONGEST_ID]}:\n"


def cut(text: str, limit: int) -> str:
    """The text, or its head and tail with the gap named."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}\n"


def _tail(lines: Sequence[str], limit: int) -> str:
    """The newest lines that fit, and at least one: the newest is shortened rather than left out."""
    *older, newest = lines
    if len(newest) + 3 > limit:
        newest = newest[: limit - 4] + "…"
    kept: list[str] = []
    size = 0
    for line in (newest, *reversed(older)):
        size += len(line) + 3
        if size > limit:
            kept.append(f"({len(lines) - len(kept)} earlier ones left out)")
            break
        kept.append(f"- {line}")
    return "\n".join(reversed(kept))


def _rules(rules: Sequence[str], assignment: Assignment) -> str:
    told = [*rules]
    if assignment.checks:
        told.append("\nCommands:\n\n" + assignment.marks.fence("\n".join(assignment.checks)))
    return "\n".join(told)
