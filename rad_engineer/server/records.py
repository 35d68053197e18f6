"""What runs have written down: lists, one run, its stories, its events, its report."""

from collections.abc import Mapping
from typing import Any

from rad_engineer import past_run, store
from rad_engineer.core.secret_rules import redacted
from rad_engineer.server import journal, models
from rad_engineer.server.answers import Problem, encoded
from rad_engineer.server.operations import Operation, Response
from rad_engineer.server.runs import Runs

_VERSION = 1


class Records:
    """The routes that tell of runs."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> tuple[Operation, ...]:
        """Its part of the route table."""
        one = "/api/runs/{run}"
        first = "$response.body#/runs/0/run"
        of_run = tuple((name, "run", first) for name in
                       ("get_run", "list_stories", "list_events", "get_report"))  # fmt: skip
        return (
            Operation("/api/runs", "list_runs", "Runs, newest first.", self.list_runs, models.RunList,
                      asked=models.Page, reads=True, links=of_run),
            Operation(one, "get_run", "A run without its stories.", self.get_run, models.RunDocument, reads=True),
            Operation(f"{one}/stories", "list_stories", "The stories of a run, as they stand now.",
                      self.list_stories, models.StoryList, asked=models.StoryPage, reads=True),
            Operation(f"{one}/stories/{{story:path}}", "get_story", "One story, by its key.", self.get_story,
                      models.OneStory, reads=True),
            Operation(f"{one}/events", "list_events", "What has happened, in its order.", self.list_events,
                      models.EventList, asked=models.EventPage, reads=True),
            Operation(f"{one}/report", "get_report", "The whole report of a run.", self.get_report,
                      models.ReportDocument, reads=True),
        )  # fmt: skip

    def list_runs(self, _path: Mapping[str, str], asked: models.Page) -> Response:
        """A page of them; the cursor counts from the oldest, so that a new run moves no page."""
        with self._runs as runs:
            every = runs.all()
            behind = len(every) if asked.cursor is None else min(int(asked.cursor), len(every))
            start = len(every) - behind
            page = every[start : start + asked.limit]
            lines = [runs.standing(rundir) for rundir in page]
        left = behind - len(page)
        shown = [models.RunLine(run=each.run, state=each.state, alive=each.alive) for each in lines]  # type: ignore[arg-type]
        return _typed(models.RunList(runs=shown, next=str(left) if left and page else None))

    def get_run(self, path: Mapping[str, str], _asked: Any) -> Response:
        """The head of its report."""
        with self._runs as runs:
            document = runs.follow(runs.find(path["run"])).report().to_json(stories=False)
        del document["stories"]
        return _clean(document)

    def list_stories(self, path: Mapping[str, str], asked: models.StoryPage) -> Response:
        """A page of them; the cursor is how many lie before it."""
        with self._runs as runs:
            stories = runs.follow(runs.find(path["run"])).report().stories
            place = int(asked.cursor or 0)
            found: list[dict[str, Any]] = []
            while place < len(stories) and len(found) < asked.limit:
                if asked.status in (None, stories[place].status):
                    found.append(stories[place].to_json())
                place += 1
        more = str(place) if place < len(stories) else None
        return _clean({"schema_version": _VERSION, "run": path["run"], "stories": found, "next": more})

    def get_story(self, path: Mapping[str, str], _asked: Any) -> Response:
        """By its key."""
        with self._runs as runs:
            story = runs.follow(runs.find(path["run"])).report().find(path["story"])
            if story is None:
                raise Problem(404, "not-found", "the run has no such story")
            return _clean({"schema_version": _VERSION, "run": path["run"], "story": story.to_json()})

    def list_events(self, path: Mapping[str, str], asked: models.EventPage) -> Response:
        """A page of the journal; the cursor is a place in it."""
        with self._runs as runs:
            rundir = runs.find(path["run"])
            alive = runs.standing(rundir).alive
        found, cursor, ended = journal.page(rundir.journal, asked.cursor, asked.limit, asked.story)
        return _clean(
            {
                "schema_version": _VERSION,
                "run": rundir.run,
                "events": found,
                "next": None if ended and not alive else cursor,
            }
        )

    def get_report(self, path: Mapping[str, str], _asked: Any) -> Response:
        """As it was written; where a run has not ended, or none was written, as it stands now."""
        with self._runs as runs:
            rundir = runs.find(path["run"])
            if runs.standing(rundir).state in ("stopped", "finished", "interrupted"):
                written = store.read_report(rundir, json=True)
                if written is not None:
                    return Response(written.encode())
            return Response(redacted(past_run.encoded(runs.follow(rundir).report()).decode()).encode())


def _typed(answer: models.Answer) -> Response:
    return Response(answer.model_dump_json().encode())


def _clean(document: Mapping[str, Any]) -> Response:
    """Texts of agents and tools are in it: what looks like a secret leaves the machine no more than it enters a report."""
    return Response(redacted(encoded(document).decode()).encode())
