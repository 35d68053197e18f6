"""The PRD: stories as any dialect wrote them, in one shape."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Literal

StoryState = Literal["todo", "done", "skipped", "blocked", "human"]
"""What the file says of a story: `human` waits for a person (checkpoint, HITL, needs-human)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A named shell command whose exit code 0 proves something."""

    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """One acceptance criterion, with the command that proves it where the PRD names one."""

    text: str
    command: str | None = None
    own: bool = False  # the PRD gives the command to this criterion, so it is run as a check of the story


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth a warning in a PRD; `line` and `column` count from 1, where they are known."""

    code: str
    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Wave:
    """A declared wave: `track` names a parallel lane of waves ("" is the main one), `number` orders it."""

    track: str
    number: int


@dataclass(frozen=True, slots=True)
class Story:
    """One work item. `needs` are references as written; the graph resolves them."""

    id: str
    title: str
    description: str = ""
    criteria: tuple[Criterion, ...] = ()
    state: StoryState = "todo"
    reason: str = ""  # why the file skips or blocks it
    priority: int | None = None  # small comes first; None comes last
    points: float | None = None  # story points or estimate, the weight on the critical path
    needs: tuple[str, ...] = ()
    wave: Wave | None = None  # a declared barrier
    group: str = ""  # epic, milestone or heading it stands under
    files: tuple[str, ...] = ()  # declared files: a hint for conflicts
    checks: tuple[Check, ...] = ()  # the story's own verify commands
    agent: str | None = None
    model: str | None = None
    notes: str = ""
    id_generated: bool = False
    done_field: bool = True  # the file keeps a done field for it, so "todo" is what the file says
    span: tuple[int, int] | None = None  # characters of `Prd.text`, where the importer knows


@dataclass(frozen=True, slots=True)
class Block:
    """Stories that stand together in a JSON document: the list or object at `path`, these of its elements."""

    path: tuple[str | int, ...]
    elements: range | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prd:
    """One loaded PRD file."""

    file: str  # as the user named it
    path: str  # the file really read: a link's or a pointer's target, absolute
    format: Literal["json", "markdown"]
    container: str  # where the stories were found, e.g. ".userStories"
    name: str  # for people: project, name or title, else the stem
    project: str  # for identity: what the file calls its project, "" when it does not
    stories: tuple[Story, ...]
    text: str  # the decoded text; spans point into it
    branch: str | None = None
    needs: tuple[str, ...] = ()  # PRD-level depends_on, as written
    gates: tuple[Check, ...] = ()  # verify commands for every story
    wave_gates: tuple[Check, ...] = ()
    final_gates: tuple[Check, ...] = ()
    notes: str = ""  # description, context, rules: what every agent should know
    findings: tuple[Finding, ...] = ()
    start: int = 0  # where the JSON value begins in `text` (behind a code fence, or in Markdown)
    blocks: tuple[Block, ...] = ()  # where its stories stand, in their order; only of JSON

    @property
    def stem(self) -> str:
        """The file name without folder and suffix."""
        name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
        return name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name


_SPACE = re.compile(r"\s+")


def identity(project: str, story: Story) -> str:
    """Names a story by what it asks for: project, id, title and normalised criteria, as 16 hex digits.

    Path, branch, done field and display key do not count, so a renamed file keeps its finished
    stories and a reused id with another text starts fresh.
    """
    parts = [project, story.id, story.title, *(c.text for c in story.criteria)]
    text = "\0".join(_SPACE.sub(" ", part).strip() for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def same_work(one: Story, other: Story) -> bool:
    """Whether two readings of a story ask for the same; a display suffix (`id#2`) is not what the file says."""
    return identity("", replace(one, id="")) == identity("", replace(other, id="")) and (
        one.id.split("#")[0] == other.id.split("#")[0]
    )
