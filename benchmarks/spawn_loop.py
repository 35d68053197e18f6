"""The least that can run these stories: spawn what is ready, wait; and the same with what a durable run writes down."""

import json
import os
import shutil
import sys
from pathlib import Path


class Records:
    """The records of a durable run: a line in a journal for each start and end, a file for each story."""

    def __init__(self) -> None:
        Path("stories").mkdir()
        self.journal = os.open("journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lines: list[bytes] = []

    def started(self, chosen: list[int]) -> None:
        """What is about to start is on disk before it does, with all that has ended since."""
        for number in chosen:
            self.lines.append(b'{"event":"started","story":%d}\n' % number)
        self.commit()

    def ended(self, number: int) -> None:
        """The story's file; its line in the journal waits for the next sync."""
        self.checkpoint(f"stories/S-{number:05d}")
        self.lines.append(b'{"event":"ended","story":%d}\n' % number)

    def commit(self) -> None:
        """Makes the queued lines durable."""
        if self.lines:
            os.write(self.journal, b"".join(self.lines))
            self.lines.clear()
            os.fdatasync(self.journal)

    def checkpoint(self, folder: str) -> None:
        """A file in a new folder, durable with both names."""
        os.mkdir(folder)  # noqa: PTH102 - no Path made
        handle = os.open(f"{folder}/checkpoint.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(handle, b'{"stage":"agent","attempt":1}' + b" " * 200)
        os.fsync(handle)
        os.close(handle)
        for name in (folder, "stories"):
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(handle)
            os.close(handle)


class Loop:
    """Stories that wait, are ready, and run."""

    def __init__(self, needs: list[list[int]], jobs: int, records: Records | None) -> None:
        self.jobs = jobs
        self.records = records
        self.program = str(shutil.which("true"))
        self.missing = [len(own) for own in needs]
        self.followers: list[list[int]] = [[] for _ in needs]
        for number, own in enumerate(needs):
            for need in own:
                self.followers[need].append(number)
        self.ready = [number for number, count in enumerate(self.missing) if not count][::-1]
        self.running: dict[int, int] = {}

    def run(self) -> None:
        """Runs them all."""
        while self.ready or self.running:
            self.start()
            for number in self.wait():
                if self.records is not None:
                    self.records.ended(number)
                for follower in self.followers[number]:
                    self.missing[follower] -= 1
                    if not self.missing[follower]:
                        self.ready.append(follower)
        if self.records is not None:
            self.records.commit()

    def start(self) -> None:
        """Starts what is ready while there is room."""
        room = min(self.jobs - len(self.running), len(self.ready))
        chosen = [self.ready.pop() for _ in range(room)]
        if self.records is not None:
            self.records.started(chosen)
        for number in chosen:
            self.running[os.posix_spawn(self.program, ["true"], os.environ)] = number

    def wait(self) -> list[int]:
        """Waits for one child and takes what else has ended."""
        ended = [self.running.pop(os.waitpid(-1, 0)[0])]
        while self.running:
            pid, _status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended.append(self.running.pop(pid))
        return ended


if __name__ == "__main__":
    how, jobs = sys.argv[1:]
    records = Records() if how == "durable" else None
    Loop(json.loads(Path("needs.json").read_text()), int(jobs), records).run()
