"""Small runs as values: a PRD, its graph, and events folded into a checkpoint."""

from rad_engineer.core import graph as graphs
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.core.prd import Criterion, Prd, Story


def story(key, *needs, **more):
    criteria = tuple(Criterion(text) for text in more.pop("criteria", ()))
    return Story(id=key, title=more.pop("title", f"do {key}"), needs=needs, criteria=criteria, **more)


def prd(*stories, file="phase1.json", **more):
    return Prd(
        file=file,
        path=f"/p/{file}",
        format="json",
        container=".userStories",
        name="phase1",
        project="toy",
        stories=stories,
        text="",
        **more,
    )


def graph(*stories, **options):
    return graphs.build([prd(*stories)], **options)


class Run:
    """Folds events one by one, as the ledger does, and remembers them."""

    def __init__(self, graph, **started):
        self.graph = graph
        self.checkpoint = Checkpoint(run="r1")
        self.events = []
        self.now = 1000.0
        self.say(
            "run_started",
            **{
                "kind": "real",
                "branch": "rad/phase1",
                "base": "b" * 40,
                "head": "b" * 40,
                "workspace": "slots",
                "agent": "command",
                "stories": len(graph.stories),
                "pid": 1,
                **started,
            },
        )

    def say(self, what, key=None, *, after=1.0, attempt=1, **data):
        self.now += after
        identity = self.graph.identities[self.graph.by_key[key]] if key else None
        event = Event(
            what, len(self.events) + 1, self.now, "r1", key, attempt if key else None, identity, data
        )
        self.checkpoint.apply(event)
        self.events.append(event)
        return event

    def land(self, key, gates=(), commit=None, **more):
        self.say("story_started", key)
        self.say("story_verified", key, commit="a" * 40, candidate="c" * 40, gates=list(gates))
        return self.say("story_landed", key, commit=commit or (key[-1] * 40), gates=list(gates), **more)

    def fail(self, key, reason="gate-red", detail="", gates=()):
        self.say("story_started", key)
        return self.say("story_failed", key, reason=reason, detail=detail, gates=list(gates))

    def finish(self, code):
        return self.say("run_finished", exit_code=code)


def gate(name="tests", command="pytest -q", verdict="green", **more):
    return {
        "name": name,
        "command": command,
        "scope": "project",
        "verdict": verdict,
        "exit_code": 0,
        "seconds": 1.0,
        "passed": 3,
        "failures": [],
        "sha256": "d" * 64,
        "at": 1001.0,
        "commit": "c" * 40,
        **more,
    }
