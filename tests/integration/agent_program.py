"""Forks for each line on stdin, does the work it names, and may kill itself at a given point of it."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from agent_bench import Bench

from rad_engineer.agents.anthropic import loop, transcript_file, workbench
from rad_engineer.engines.channel import Channel, Frames
from rad_engineer.process import become_subreaper, kill_descendants
from rad_engineer.rules import Rules
from rad_engineer.store import RunDir
from rad_engineer.worker import stages
from rad_engineer.worker.story_run import StoryRun
from rad_engineer.worker.workplace import Workplace


def main() -> None:
    become_subreaper()
    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _work(job, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            said = told.read()
        _, status = os.waitpid(pid, 0)
        kill_descendants()
        print(
            json.dumps({"status": os.waitstatus_to_exitcode(status), **json.loads(said or b"{}")}), flush=True
        )


def _work(job: dict[str, Any], writer: int) -> None:
    try:
        if "die" in job:
            _arm(*job["die"], victims=job.get("victims") or [os.getpid()])
        os.write(writer, json.dumps(_story(job["story"]) if "story" in job else _attempt(job)).encode())
        os._exit(0)
    finally:
        sys.excepthook(*sys.exc_info()) if sys.exc_info()[0] else None
        os._exit(1)


def _attempt(job: dict[str, Any]) -> dict[str, Any]:
    result = loop.run(Bench(Path(job["folder"]), job["url"]).work(**job.get("work", {})))
    return {"outcome": result.outcome, "output": result.output}


def _story(story: dict[str, Any]) -> dict[str, Any]:
    """A whole attempt, from the slot to the verdict, as a worker makes it."""
    env = {"PATH": os.environ["PATH"], "HOME": story["home"]}
    place = Workplace(RunDir(Path(story["rundir"])), Rules.from_json(story["rules"]), env)
    ours, theirs = socket.socketpair()
    outcome = stages.run_story(StoryRun(place, story["job"], Channel(ours)))
    theirs.setblocking(False)
    frames = Frames()
    return {"outcome": outcome.to_json(), "events": frames.feed(theirs.recv(1 << 20))}


def _kill(victims: list[int]) -> None:
    for pid in victims:
        os.kill(pid or os.getpid(), signal.SIGKILL)


def _arm(point: str, number: int, moment: str, victims: list[int]) -> None:
    """Kills before or after the n-th record of a kind is written, or the n-th tool is carried out: itself, or others."""
    seen = 0

    def deadly(real: Callable[..., Any], named: Callable[..., str]) -> Callable[..., Any]:
        def wrapped(*given: Any, **more: Any) -> Any:
            nonlocal seen
            hit = named(*given) == point
            seen += hit
            if hit and seen == number and moment == "before":
                _kill(victims)
            found = real(*given, **more)
            if hit and seen == number and moment == "after":
                _kill(victims)
            return found

        return wrapped

    transcript_file.Transcript.write = deadly(transcript_file.Transcript.write, lambda _self, kind: kind)
    workbench.Workbench.execute = deadly(workbench.Workbench.execute, lambda *_given: "execute")


if __name__ == "__main__":
    main()
