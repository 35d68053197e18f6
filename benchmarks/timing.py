"""Times whole commands: wall, CPU and memory of each run, in interleaved rounds, each from a fresh directory."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One finished command."""

    code: int
    wall: float
    cpu: float  # user and system, its children included
    rss: float  # MB, the largest single process
    folder: Path
    first_child: float | None = None  # s until its first child had written its file


@dataclass
class Scratch:
    """Fresh directories. Nothing is removed before the end.

    ext4 does not hand out inodes again for a while after they were freed, and looks for others one by one: removing
    the directories of one round makes the next round several times slower.
    """

    top: Path
    count: int = 0

    def fresh(self, name: str) -> Path:
        """An empty directory that nobody has used."""
        self.count += 1
        folder = self.top / f"{self.count:04d}-{name}"
        folder.mkdir(parents=True)
        return folder


@dataclass
class Series:
    """The runs of one candidate."""

    runs: list[Run] = field(default_factory=list)

    def median(self, figure: str = "wall") -> float:
        """The median of one figure."""
        return statistics.median(getattr(run, figure) for run in self.runs)

    def values(self, figure: str = "wall") -> list[float]:
        """All values of one figure, in the order of the rounds."""
        return [getattr(run, figure) for run in self.runs]


@dataclass(frozen=True)
class Candidate:
    """A command to time: `prepare` fills a fresh directory, in which it then runs."""

    name: str
    argv: Sequence[str]
    prepare: Callable[[Path], None] = lambda _folder: None
    codes: Sequence[int] = (0,)
    touches: str | None = None  # the file its first child writes

    def command(self, folder: Path) -> list[str]:
        """The command line in this directory; `{folder}` in it stands for its path."""
        return [word.replace("{folder}", str(folder)) for word in self.argv]


def rad_engineer() -> list[str]:
    """The installed command beside this interpreter; else the module."""
    script = Path(sys.executable).with_name("rad-engineer")
    return [str(script)] if script.exists() else [sys.executable, "-m", "rad_engineer"]


def environment(folder: Path) -> dict[str, str]:
    """The environment of everything timed: bytecode caches as users have them, state and caches in the folder."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RAD_", "GIT_"))
    }
    places = {"XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"}
    env["RAD_SANDBOX"] = "off"  # what is measured with one says so
    return {**env, **{name: str(folder.parent / f"{folder.name}.{kind}") for name, kind in places.items()}}


def timed(candidate: Candidate, folder: Path) -> Run:
    """Runs the candidate once in this directory; raises RuntimeError when it fails."""
    os.sync()
    with (folder.parent / f"{folder.name}.out").open("wb") as out:
        began, moment = time.perf_counter(), time.time()
        child = subprocess.Popen(candidate.command(folder), cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT)  # fmt: skip
        _pid, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
    child.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in candidate.codes:
        tail = Path(out.name).read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{candidate.name}: exit code {code}\n{tail}")
    first = (folder / candidate.touches).stat().st_mtime - moment if candidate.touches else None
    return Run(code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, folder, first)


def interleaved(scratch: Scratch, rounds: int, candidates: Sequence[Candidate]) -> dict[str, Series]:
    """Times all candidates in turn, round after round: what the machine does meanwhile meets all of them."""
    series = {candidate.name: Series() for candidate in candidates}
    for _round in range(rounds):
        for candidate in candidates:
            folder = scratch.fresh(candidate.name.replace(" ", "-"))
            candidate.prepare(folder)
            series[candidate.name].runs.append(timed(candidate, folder))
    return series


def ratio(one: Series, other: Series, figure: str = "wall") -> float:
    """The median of the ratios round by round."""
    pairs = zip(one.values(figure), other.values(figure), strict=True)
    return statistics.median(a / b for a, b in pairs)


def peak_memory(argv: Sequence[str], folder: Path) -> float:
    """MB that the command's own process needed at most; its children do not count."""
    env = environment(folder)
    child = subprocess.Popen(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)  # fmt: skip
    peak = 0
    while child.poll() is None:
        peak = max(peak, _high_water(child.pid))
        time.sleep(0.02)
    return peak / 1024


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def syncs(argv: Sequence[str], folder: Path) -> Mapping[str, int] | None:
    """How often each sync call was made by the command and all its children; None without strace."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    counts = folder.parent / f"{folder.name}.syncs"
    traced = [
        strace,
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-c",
        "-o",
        str(counts),
        "-e",
        "trace=fsync,fdatasync,sync,syncfs",
    ]
    subprocess.run([*traced, *argv], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    found = {}
    for line in counts.read_text().splitlines():
        words = line.split()
        if words and words[-1] in ("fsync", "fdatasync", "sync", "syncfs"):
            found[words[-1]] = int(words[3])
    return found
