"""What is written into the user's checkout: the done fields of landed stories, and a note in progress.txt."""

import time
from collections.abc import Sequence
from pathlib import Path

from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import Prd
from rad_engineer.core.printable import one_line
from rad_engineer.errors import RadError
from rad_engineer.launch.inputs import notes_beside
from rad_engineer.ledger import Ledger

INTERVAL = 1.0  # s: a rewrite of a large PRD costs milliseconds, so not once a story


class Marks:
    """Stories that have landed and are not marked in their PRD yet."""

    def __init__(self, ledger: Ledger, *, enabled: bool) -> None:
        self.ledger = ledger
        self.enabled = enabled
        self._pending: dict[int, set[int]] = {}  # PRD -> stories
        self._next = 0.0
        self._complained: set[str] = set()

    @property
    def graph(self) -> Graph:
        """The stories."""
        return self.ledger.graph

    def add(self, story: int) -> None:
        """A story has landed."""
        if self.enabled and self.graph.stories[story].state != "done":
            self._pending.setdefault(self.graph.prd_of[story], set()).add(story)

    def between(self, now: float) -> None:
        """Writes when it is time; called from the loop."""
        if self._pending and now >= self._next:
            self.flush()
            self._next = now + INTERVAL

    def flush(self) -> None:
        """Writes everything that waits. A PRD that cannot be written is told of, and never stops a run."""
        pending, self._pending = self._pending, {}
        for number, stories in pending.items():
            prd = self.graph.prds[number]
            try:
                missing = set(self._mark(prd, stories))
            except RadError as error:
                self._complain(f"{prd.file} was not marked: {error}")
                self._pending[number] = (
                    stories  # it is tried again, once more at the end, and by the next run
                )
                continue
            for story in sorted(stories):
                if self.graph.stories[story].id in missing:
                    self._complain(f"{_unmarked(prd, self.graph.keys[story])}; nothing was marked")
                else:
                    self.ledger.record("story_marked", story, path=prd.path)
            self._note_progress(prd, sorted(stories))
        self.ledger.commit()

    def _mark(self, prd: Prd, stories: set[int]) -> list[str]:
        from rad_engineer.importers import write_back  # noqa: PLC0415 - nothing has landed yet at start

        changes = {self.graph.stories[story].id: True for story in stories}
        return write_back.write(Path(prd.path), prd, changes)

    def _complain(self, text: str) -> None:
        if text not in self._complained:
            self._complained.add(text)
            self.ledger.record("note", text=text)

    def _note_progress(self, prd: Prd, stories: Sequence[int]) -> None:
        path = notes_beside(prd.path)
        if path is None:
            return
        lines = []
        for story in stories:
            record = self.ledger.checkpoint.record(self.graph.identities[story])
            moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.ledger.clock()))
            where = (
                f"landed as {record.commit[:10]} on {self.ledger.checkpoint.branch}"
                if record.commit
                else "finished"
            )
            found = self.graph.stories[story]
            taught = "".join(f"- learned: {line}\n" for line in record.learnings)
            name, title = one_line(found.id), one_line(found.title)
            lines.append(f"\n## {moment} - {name}\n- {title}\n- {where}\n{taught}---\n")
        try:
            with path.open("a", encoding="utf-8", errors="replace") as handle:
                handle.writelines(lines)
        except OSError as error:
            self._complain(f"{path} was not written: {error.strerror}")


def _unmarked(prd: Prd, key: str) -> str:
    """Why a story could not be marked."""
    from rad_engineer import importers  # noqa: PLC0415 - only when the file has become another one

    try:
        whole = importers.parses(Path(prd.path).read_bytes(), file=prd.file)
    except OSError:
        return f"{prd.file} is not there any more"
    return f"{key} is not in {prd.file} any more" if whole else f"{prd.file} cannot be read as a PRD any more"
