"""A repository with a PRD and run directories as a run leaves them, without running anything."""

import json
import os
import subprocess
import time
from dataclasses import replace

from rad_engineer import store
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.launch.inputs import Reading, read
from rad_engineer.process import tree as process_tree

STORIES = [
    {"id": "US-1", "title": "first", "acceptanceCriteria": ["Tests pass", "It is nice"], "passes": False},
    {
        "id": "US-2",
        "title": "second",
        "acceptanceCriteria": ["Tests pass"],
        "passes": False,
        "dependsOn": ["US-1"],
    },
    {"id": "US-3", "title": "third", "acceptanceCriteria": [], "passes": False, "dependsOn": ["US-2"]},
]
GATE = {
    "name": "unit tests",
    "command": "pytest -q",
    "scope": "project",
    "verdict": "green",
    "exit_code": 0,
    "seconds": 1.5,
    "passed": 4,
    "failures": [],
    "sha256": "5" * 64,
    "at": 1000.0,
    "commit": "c" * 40,
}
RED = {**GATE, "verdict": "red", "exit_code": 1, "failures": ["test_a.py::test_b"]}


def git(folder, *arguments, data=None):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments],
        cwd=folder,
        env=env,
        input=data,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def repository(folder, stories=STORIES):
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    write_prd(folder / "prd.json", stories)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "base")
    return folder


def write_prd(path, stories, name="toy"):
    path.write_text(json.dumps({"project": name, "userStories": stories}, indent=2))


class Past:
    """Writes one run's directory, event by event."""

    def __init__(
        self, home, run="20260101-000000-aaaa", files=("prd.json",), *, alive=False, at=None, **about
    ):
        paths = [str(home / file) for file in files]
        self.graph = read(paths, Reading()).graph
        prds = [replace(prd, file=file) for prd, file in zip(self.graph.prds, files, strict=False)]
        pid = os.getpid() if alive else 4_000_000
        start = process_tree.start_time(pid) if alive else "1"
        self.rundir = store.create(
            home,
            run,
            {
                "run": run,
                "kind": "real",
                "pid": pid,
                "start": start,
                "boot_id": process_tree.boot_id(),
                "identities": list(self.graph.identities),
                "files": paths,
                "settings": {"jobs": 2},
                "rules": {"workspace": "slots"},
                **about,
            },
            prds,
        )
        self.journal = store.Journal(self.rundir.journal, run, 0, 0)
        self.checkpoint = Checkpoint(run=run)
        self.now = time.time() if at is None else at
        base = git(home, "rev-parse", "HEAD")
        self.say(
            "run_started",
            kind=about.get("kind", "real"),
            branch="rad/prd",
            base=base,
            head=base,
            workspace="slots",
            agent="command",
            stories=len(self.graph.stories),
            pid=pid,
        )

    def say(self, what, key=None, *, attempt=1, **data):
        self.now += 1
        identity = self.graph.identities[self.graph.by_key[key]] if key else None
        event = Event(
            what,
            self.journal.seq + 1,
            self.now,
            self.rundir.run,
            key,
            attempt if key else None,
            identity,
            data,
        )
        self.journal.append(event)
        self.journal.commit()
        self.checkpoint.apply(event)
        return event

    def folder(self, key, attempt=1):
        index = self.graph.by_key[key]
        path = (
            self.rundir.story(self.graph.stories[index].id, self.graph.identities[index])
            / f"attempt-{attempt}"
        )
        (path / "gates").mkdir(parents=True, exist_ok=True)
        return path

    def land(self, key, commit="a" * 40, gates=(GATE,)):
        self.say("story_started", key, slot=0)
        self.say("story_verified", key, commit=commit, candidate=commit, gates=list(gates))
        self.say("story_landed", key, commit=commit, gates=list(gates))

    def fail(self, key, reason="gate-red", gates=(RED,)):
        self.say("story_started", key, slot=0)
        self.say("story_failed", key, reason=reason, detail="1 test fails", gates=list(gates))

    def finish(self, code):
        self.say("run_finished", exit_code=code)
        self.journal.close()
