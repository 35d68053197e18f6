"""Forks for each line on stdin, does the work it names, and may kill itself at a given point of it."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from agent_bench import Bench

from rad_engineer.agents.anthropic import loop, transcript_file, workbench
from rad_engineer.process import become_subreaper, kill_descendants


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
            _arm(*job["die"])
        result = loop.run(Bench(Path(job["folder"]), job["url"]).work(**job.get("work", {})))
        os.write(writer, json.dumps({"outcome": result.outcome, "output": result.output}).encode())
        os._exit(0)
    finally:
        sys.excepthook(*sys.exc_info()) if sys.exc_info()[0] else None
        os._exit(1)


def _arm(point: str, number: int, moment: str) -> None:
    """Dies before or after the n-th record of a kind is written, or the n-th tool is carried out."""
    seen = 0

    def deadly(real: Callable[..., Any], named: Callable[..., str]) -> Callable[..., Any]:
        def wrapped(*given: Any, **more: Any) -> Any:
            nonlocal seen
            hit = named(*given) == point
            seen += hit
            if hit and seen == number and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            found = real(*given, **more)
            if hit and seen == number and moment == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return wrapped

    transcript_file.Transcript.write = deadly(transcript_file.Transcript.write, lambda _self, kind: kind)
    workbench.Workbench.execute = deadly(workbench.Workbench.execute, lambda *_given: "execute")


if __name__ == "__main__":
    main()
