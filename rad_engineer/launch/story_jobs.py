"""What a worker is told about a story: the story itself, and what happened before it."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rad_engineer import importers, store, story_files
from rad_engineer.core.events import Event
from rad_engineer.core.graph import Graph
from rad_engineer.core.learnings import Learnings
from rad_engineer.core.prompt import cut
from rad_engineer.launch.inputs import notes_beside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rad_engineer.core.checkpoint import Checkpoint

REMEMBERED = 60  # lines: more would not fit into a prompt anyway
PROGRESS_LIMIT = 4_000
_PROGRESS_READ = 1_000_000


class StoryJobs:
    """Builds jobs; hears of what lands, so that later stories are told."""

    def __init__(self, graph: Graph, rundir: store.RunDir) -> None:
        self.graph = graph
        self.rundir = rundir
        self.checkpoint: Checkpoint | None = None
        self._spans = tuple(importers.spans(prd) for prd in graph.prds)
        self._first = self._offsets()
        self._earlier: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._learnings = Learnings()
        self._progress = tuple(_progress_beside(prd.path) for prd in graph.prds)
        self._verified: dict[str, tuple[list[str], list[str]]] = {}

    def _offsets(self) -> dict[str, tuple[int, int]]:
        """Where each story stands in its own file: identity -> (PRD, position)."""
        found = {}
        for number, prd in enumerate(self.graph.prds):
            for position, story in enumerate(prd.stories):
                found[story.id, number] = position
        return {
            self.graph.identities[index]: (number, found[self.graph.stories[index].id, number])
            for index, number in enumerate(self.graph.prd_of)
        }

    def __call__(self, index: int, resume: bool) -> dict[str, Any]:
        """The job's part that is about the story."""
        story, identity = self.graph.stories[index], self.graph.identities[index]
        number, position = self._first[identity]
        prd = self.graph.prds[number]
        start, end = self._spans[number].get(position, (0, 0))
        job: dict[str, Any] = {
            "story": {
                "key": self.graph.keys[index],
                "id": story.id,
                "identity": identity,
                "title": story.title,
                "text": prd.text[start:end],
                "criteria": [{"text": c.text, "command": c.command} for c in story.criteria],
                "checks": [{"name": c.name, "command": c.command} for c in story.checks],
                "agent": story.agent,
                "model": story.model,
            },
            "approved": self._approved(identity),
            "context": {
                "notes": "\n\n".join(filter(None, (prd.notes, self._progress[number]))),
                "earlier": _in_order(self._earlier),
                "learnings": self._learnings.lines(),
            },
        }
        if resume:
            job |= self._resume(story.id, identity)
        return job

    def _approved(self, identity: str) -> bool:
        """Whether a person has released it: then its text has been read."""
        record = self.checkpoint.stories.get(identity) if self.checkpoint is not None else None
        return record is not None and record.approved

    def _resume(self, story_id: str, identity: str) -> dict[str, Any]:
        """What a cut-off attempt stood on: paid work goes on there, anything else is only rescued from there."""
        record = self.checkpoint.stories.get(identity) if self.checkpoint is not None else None
        if record is None or record.base is None:
            return {}
        folder = self.rundir.story(story_id, identity)
        paid = story_files.finished_stage(folder, record.attempts) is not None
        paid = paid or story_files.begun_transcript(folder / f"attempt-{record.attempts}") is not None
        return {"resume_base": record.base} if paid else {"rescue_base": record.base}

    def hear(self, event: Event) -> None:
        """Remembers what a landed story changed and taught."""
        if event.kind == "story_verified" and event.identity is not None:
            data: Mapping[str, Any] = event.data
            self._verified[event.identity] = (list(data.get("changed", ())), list(data.get("learnings", ())))
        elif event.kind == "story_landed" and event.identity is not None:
            changed, learnings = self._verified.pop(event.identity, ([], []))
            place = self.graph.by_identity.get(event.identity, -1)
            self._earlier.append((place, f"{event.story}: {', '.join(changed[:12]) or 'no file'}"))
            self._learnings.add(str(event.story), learnings, place)


def _progress_beside(prd: str) -> str:
    """The notes that runs of other programs have left beside a PRD: their patterns above all stand at the top."""
    try:
        path = notes_beside(prd)
        if path is None:
            return ""
        with path.open("rb") as handle:
            text = handle.read(_PROGRESS_READ).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f"### {path.name}\n\n{cut(text, PROGRESS_LIMIT)}" if text else ""


def _in_order(told: Iterable[tuple[int, str]]) -> list[str]:
    """In the order of the plan, not of landing: a prompt does not depend on who was faster."""
    return [line for _place, line in sorted(told, key=lambda entry: entry[0])]
