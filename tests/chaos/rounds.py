"""One round: a run of the twelve is killed several times, brought to its end, and looked at."""

import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field

from moments import Moment, choose, wait
from truths import LAST_WORD, WINDOW, Kill, left_after_a_second, violations
from twelve import Twelve
from victims import ENDING, family, kill

from rad_engineer import store

LIMIT = 60  # s
KILLS = {
    "zygote": 3,
    "agent": 3,
    "worker": 2,
    "gate": 1,
    "sandbox": 1,
}  # in one run; a job may lose its worker twice, a gate is red when it is killed twice


@dataclass
class Round:
    """What was done to a run, and what was wrong with it in the end."""

    run: Twelve
    victim: str
    chance: random.Random
    length: float
    done: list[str] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    processes: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)

    def play(self) -> None:
        """Kills two or three times: every time in a new start, or all in one run where that has to heal itself."""
        again = self.victim in ENDING
        parts = self.chance.choice((2, 2, 3)) if again else KILLS[self.victim]
        started = None if again else self._start()
        for part in range(parts):
            started = self._start() if again else started
            if started is None:
                break
            self._kill_at(choose(self.chance, self.length, part, parts), started)
            if again:
                self._wait(started)
                if self.victim == "coordinator" and (left := left_after_a_second(self.run)):
                    self.broken["nothing left"] = left
        last = self._start() if again else started
        if last is not None:
            self._wait(last)
        window = WINDOW if self.victim in ("agent", "everything") else LAST_WORD
        self.broken |= violations(self.run, self.kills, window)

    def told(self) -> str:
        """The round for whoever has to find out why."""
        problems = [f"{name}: {problem}" for name, problem in self.broken.items()]
        return "\n".join(
            [f"{self.victim}, killed {len(self.kills)} times: {'; '.join(self.done)}", *problems]
        )

    def _start(self) -> subprocess.Popen[str] | None:
        """`run` or `resume`, as people would do it; nothing where the run has come to its end."""
        runs = store.runs(self.run.project.folder)
        if runs and store.state(runs[0]) == "finished":
            return None
        command = ("resume",) if runs and self.chance.random() < 0.7 else self.run.command
        self.done.append(command[0])
        return self.run.project.start(*command)

    def _wait(self, started: subprocess.Popen[str]) -> None:
        try:
            _out, err = started.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.broken["no end"] = f"{family(started.pid)}"
            os.kill(started.pid, signal.SIGKILL)
            _out, err = started.communicate()
        self.done.append(f"ended with {started.returncode}")
        expected = (1, 73) if self.victim == "git" else (1, -signal.SIGKILL)
        if "Traceback" in err or started.returncode not in expected:
            self.broken["ended well"] = err[-3000:]

    def _kill_at(self, moment: Moment, started: subprocess.Popen[str]) -> None:
        """Kills at that moment, or as soon as there is somebody to kill."""
        self.done.append(str(moment))
        there = wait(self.run, moment, lambda: started.poll() is not None)
        if there:
            self._kill_now(started)
        else:
            self.done.append("had ended before")

    def _kill_now(self, started: subprocess.Popen[str]) -> None:
        while started.poll() is None:
            before = time.time()
            if count := self._kill(started.pid):
                self.kills.append((before, time.time()))
                self.processes += count
                return
            time.sleep(0.001)
        self.done.append("had ended before")

    def _kill(self, coordinator: int) -> int:
        return kill(self.victim, coordinator, self.chance, self.spared)
