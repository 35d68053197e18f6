"""The lines of the table: what is measured, against whom, and what it should come to."""

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import landing
import peers
import workloads
from timing import Candidate, Scratch, Series, interleaved, peak_memory, rad_engineer, ratio, syncs

JOBS = peers.JOBS


@dataclass(frozen=True)
class Setting:
    """How thorough this run is."""

    scratch: Scratch
    tools: Path
    rounds: int
    quick: bool
    heavy: bool

    @property
    def few(self) -> int:
        """Rounds of what takes long."""
        return 1 if self.quick else 3

    @property
    def many(self) -> int:
        """Rounds of what is over in no time."""
        return 5 if self.quick else 15


@dataclass(frozen=True)
class Line:
    """One line of the table; `met` is None where there is nothing to reach."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    beside: str = ""
    value: float | None = None  # what was measured, for a later run to compare with
    unit: str = ""


def reached(what: str, value: float, unit: str, most: float, beside: str = "") -> Line:
    """A line with an upper bound."""
    return Line(what, _text(value, unit), f"<= {most:g} {unit}", value <= most, beside, value, unit)


def seen(what: str, value: float, unit: str, beside: str = "") -> Line:
    """A line with nothing to reach."""
    return Line(what, _text(value, unit), beside=beside, value=value, unit=unit)


def _text(value: float, unit: str) -> str:
    return f"{value:.{2 if value < 10 else 0}f} {unit}"


def _noop(count: int, width: int, *more: str, name: str = "rad-engineer") -> Candidate:
    def prepare(folder: Path) -> None:
        (folder / "prd.json").write_text(workloads.prd(count, width))

    argv = [*rad_engineer(), "run", "prd.json", "--agent-command", "true", "--workspace", "shared", "--plain",
            "--yes", "-j", str(JOBS), *more]  # fmt: skip
    return Candidate(name, argv, prepare, codes=(0, 3, 4))


def _each(series: Series, count: int, figure: str = "wall") -> float:
    return series.median(figure) * 1000 / count


def noop(setting: Setting) -> Iterator[Line]:
    """No-op stories in layers, small and large."""
    small = 200 if setting.quick else 1000
    yield from _noop_beside_peers(setting, small)
    large = 2000 if setting.quick else 20_000
    rounds = setting.few
    loop = peers.spawn(large, 50, durable=True)
    series = interleaved(setting.scratch, rounds, [_noop(small, 50, name="small"), _noop(large, 50), loop])
    each = _each(series["rad-engineer"], large)
    growth = each / _each(series["small"], small)
    times = ratio(series["rad-engineer"], series[loop.name])
    yield reached(
        f"{large} no-op stories: a story against {small}", growth, "x", 1.15, f"{each:.2f} ms a story"
    )
    yield reached(f"{large} no-op stories against the loop with the same syncs", times, "x", 2.0)


def _noop_beside_peers(setting: Setting, count: int) -> Iterator[Line]:
    ours = [_noop(count, 50), _noop(count, 50, "--allow-unverified", name="allow")]
    plain, durable = (peers.spawn(count, 50, durable=durable) for durable in (False, True))
    others = [peers.make(count, 50), peers.doit(setting.tools, count, 50)]
    present = [other for other in others if other is not None]
    series = interleaved(setting.scratch, setting.rounds, [*ours, plain, durable, *present])
    mine = series["rad-engineer"]
    cpu = f"CPU {_each(mine, count, 'cpu'):.2f} ms"
    times = ratio(mine, series[durable.name])
    yield reached(f"{count} no-op stories against the loop with the same syncs", times, "x", 2.0)
    yield reached(f"{count} no-op stories: a story", _each(mine, count), "ms", 3.0, cpu)
    allowed = series["allow"]
    yield reached(f"  {count} with --allow-unverified and write-back", _each(allowed, count), "ms", 3.0)
    for peer in (plain, durable, *present):
        found = series[peer.name]
        beside = f"{_each(found, count):.2f} ms a story, CPU {_each(found, count, 'cpu'):.2f} ms"
        yield seen(f"  {count} no-op stories against {peer.name}", ratio(mine, found), "x", beside)
    if setting.heavy:
        yield from _beside_engines(setting, count)


_MOST_OF = {"dbos": 0.25, "snakemake": 0.2, "prefect": 0.2}


def _beside_engines(setting: Setting, count: int) -> Iterator[Line]:
    for peer in peers.heavy(count, 50):
        try:
            series = interleaved(setting.scratch, setting.few, [_noop(count, 50), peer])
        except RuntimeError as error:
            yield Line(f"  against {peer.name}", "failed", beside=str(error).splitlines()[0])
            continue
        beside = f"{_each(series[peer.name], count):.2f} ms a story"
        times = ratio(series["rad-engineer"], series[peer.name])
        yield reached(f"  against {peer.name}", times, "x", _MOST_OF[peer.name], beside)


def durable(setting: Setting) -> Iterator[Line]:
    """Syncs per durable record."""
    count = 200 if setting.quick else 1000
    folder = setting.scratch.fresh("syncs")
    candidate = _noop(count, 50)
    candidate.prepare(folder)
    found = syncs(candidate.command(folder), folder)
    if found is None:
        yield Line("syncs per record", "not counted", beside="strace is not installed")
        return
    kinds = re.findall(
        rb'^{"event":"(\w+)"', next(folder.glob("**/journal.jsonl")).read_bytes(), re.MULTILINE
    )
    files = len(list(folder.glob("**/checkpoint.json")))
    told = f"{_told(found)} for {len(kinds)} journal lines and {files} checkpoints"
    yield reached(
        "syncs of the journal per line in it", found.get("fdatasync", 0) / len(kinds), "", 1.0, told
    )
    each = found.get("fsync", 0) / files
    yield seen("syncs per checkpoint (file, its folder, the folder above)", each, "")
    loop, beside = peers.spawn(count, 50, durable=True), setting.scratch.fresh("syncs-of-the-loop")
    loop.prepare(beside)
    counted = syncs(loop.command(beside), beside) or {}
    times = sum(found.values()) / sum(counted.values())
    yield seen("  all of them against the spawn loop + syncs", times, "x", _told(counted))


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def isolated(setting: Setting) -> Iterator[Line]:
    """Stories that each add a file, in slots, landed one by one."""
    stories = 40 if setting.quick else 200
    for files, most in ((2000, 35), (20_000, 120)):
        if setting.quick and files > 2000:
            continue

        def prepare(folder: Path, files: int = files) -> None:
            workloads.repository(folder, files, stories)

        argv = [*rad_engineer(), "run", "prd.json", "--agent-command", "echo work > new-$RAD_STORY_ID.txt",
                "--allow-unverified", "--plain", "--yes", "-j", "2"]  # fmt: skip
        candidate = Candidate("isolated", argv, prepare)
        series = interleaved(setting.scratch, setting.few, [candidate])["isolated"]
        beside = f"CPU {_each(series, stories, 'cpu'):.0f} ms; {_landed(series.runs[0].folder)} landed"
        yield reached(
            f"{stories} isolated stories, {files} files: a story", _each(series, stories), "ms", most, beside
        )
        yield from _parts(setting, candidate, files)
        repository = series.runs[-1].folder
        yield reached(f"  a landing alone, {files} files", landing.milliseconds(repository), "ms", 10)
        fresh = _worktree(setting, repository)
        times = _each(series, stories) / fresh
        what = f"  a story against a fresh `git worktree add` alone, {files} files"
        yield seen(what, times, "x", f"{fresh:.0f} ms")


def sandboxed(setting: Setting) -> Iterator[Line]:
    """What boxes around every command cost: an agent and a gate for each story, with and without."""
    stories = 40 if setting.quick else 200

    def prepare(folder: Path) -> None:
        workloads.repository(folder, 200, stories)
        (folder / "rad-engineer.toml").write_text('[gates]\ncheck = "true"\n')

    argv = [*rad_engineer(), "run", "prd.json", "--agent-command", "echo work > new-$RAD_STORY_ID.txt",
            "--allow-unverified", "--plain", "--yes", "-j", "2", "--sandbox"]  # fmt: skip
    candidates = [Candidate(level, [*argv, level], prepare) for level in ("off", "bubblewrap")]
    series = interleaved(setting.scratch, setting.few, candidates)
    beside = ", ".join(f"{level} {_each(series[level], stories):.0f} ms a story" for level in series)
    times = ratio(series["bubblewrap"], series["off"])
    yield reached(f"{stories} stories in bubblewrap against without", times, "x", 2, beside)


def _parts(setting: Setting, candidate: Candidate, files: int) -> Iterator[Line]:
    """Where the time of a story goes, as `--timings` has it: waiting counts, and stories run two at a time."""
    asked = Candidate("timings", [*candidate.argv, "--timings"], candidate.prepare)
    folder = interleaved(setting.scratch, 1, [asked])["timings"].runs[0].folder
    told = _report(folder)["timings"]
    for part in (*told["parts"], told["all_of_ours"]):
        beside = f"p95 {part['p95_ms']:.1f} ms"
        yield seen(f"    {part['part']}, median of a story, {files} files", part["median_ms"], "ms", beside)


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(next(folder.glob(".rad-engineer/runs/*/report.json")).read_text())
    return report


def _landed(folder: Path) -> int:
    return sum(story["commit"] is not None for story in _report(folder)["stories"])


def _worktree(setting: Setting, repository: Path) -> float:
    argv = ["git", "-C", str(repository), "worktree", "add", "-q", "--detach", "{folder}/tree"]
    series = interleaved(setting.scratch, 3, [Candidate("worktree", argv)])["worktree"]
    return series.median() * 1000


def schedule(setting: Setting) -> Iterator[Line]:
    """Stories that sleep: the schedule against what no schedule can beat."""
    count, width, jobs = (12, 4, 4) if setting.quick else (48, 8, 8)

    def prepare(folder: Path) -> None:
        (folder / "prd.json").write_text(workloads.prd(count, width))

    argv = [*rad_engineer(), "run", "prd.json", "--agent-command", "sleep 1", "--workspace", "shared", "--plain",
            "--yes", "-j", str(jobs)]  # fmt: skip
    series = interleaved(setting.scratch, setting.few, [Candidate("sleep", argv, prepare, codes=(4,))])[
        "sleep"
    ]
    bound = workloads.bound(workloads.layered(count, width), jobs, 1.0)
    spans = [_span(run.folder) for run in series.runs]
    beside = f"bound {bound:.0f} s, whole process {series.median() / bound:.3f} x"
    yield reached(f"{count} stories `sleep 1`, -j {jobs}: makespan against the bound", statistics.median(spans) / bound,
                  "x", 1.03, beside)  # fmt: skip


def _span(folder: Path) -> float:
    """Seconds from the first start to the last end, as the journal has them."""
    journal = next(folder.glob("**/journal.jsonl")).read_text().splitlines()
    events = [json.loads(line) for line in journal]
    times = [event["at"] for event in events if event["event"].startswith("story_")]
    return max(times) - min(times)


def plans(setting: Setting) -> Iterator[Line]:
    """`plan` of large PRDs."""
    for count, most in ((10_000, 0.8), (100_000, 4.0)):
        if setting.quick and count > 10_000:
            continue

        def prepare(folder: Path, count: int = count) -> None:
            (folder / "prd.json").write_text(workloads.prd(count, 100))

        candidate = Candidate("plan", [*rad_engineer(), "plan", "prd.json"], prepare)
        series = interleaved(setting.scratch, setting.rounds, [candidate])["plan"]
        yield reached(
            f"plan of {count} stories", series.median(), "s", most, f"{series.median('rss'):.0f} MB"
        )


def resumed(setting: Setting) -> Iterator[Line]:
    """A large run with one story left; and the coordinator's memory while it was large."""
    count = 1000 if setting.quick else 10_000
    first = _noop(count, 100, "--max-stories", str(count - 1))
    folder = setting.scratch.fresh("large")
    first.prepare(folder)
    yield reached(
        f"coordinator with {count} stories: peak memory", peak_memory(first.command(folder), folder), "MB", 80
    )

    def prepare(fresh: Path) -> None:
        subprocess.run(["cp", "-a", f"{folder}/.", str(fresh)], check=True)

    argv = [*rad_engineer(), "resume", "--plain", "--yes", "--agent-command", "touch {folder}/first"]
    candidate = Candidate("resume", argv, prepare, codes=(0, 4), touches="first")
    series = interleaved(setting.scratch, setting.few, [candidate])["resume"]
    yield reached(
        f"resume of {count} stories with one left: first child", series.median("first_child"), "s", 0.8
    )


def starting(setting: Setting) -> Iterator[Line]:
    """What a command costs before it does anything."""
    bare = Candidate("python -c pass", [sys.executable, "-c", "pass"])
    verbs = {"--version": 2.0, "--help": 8.0, "run --help": 8.0}
    ours = [Candidate(verb, [*rad_engineer(), *verb.split()]) for verb in verbs]
    series = interleaved(setting.scratch, setting.many, [bare, *ours])
    for verb, most in verbs.items():
        beside = f"{series[verb].median() * 1000:.0f} ms; `python -c pass` {series[bare.name].median() * 1000:.0f} ms"
        yield reached(
            f"{verb} against `python -c pass`", ratio(series[verb], series[bare.name]), "x", most, beside
        )
    shared = ("--workspace", "shared")
    for name, more, prepare in (("shared", shared, _one_story), ("slots", (), _one_story_in_git)):
        argv = [*rad_engineer(), "run", "prd.json", "--plain", "--yes", "--allow-unverified", "--agent-command",
                "touch {folder}/first", *more]  # fmt: skip
        candidate = Candidate(name, argv, prepare, codes=(0, 1, 4), touches="first")
        first = interleaved(setting.scratch, setting.many, [candidate])[name].median("first_child") * 1000
        times = first / 1000 / series[bare.name].median()
        yield reached(f"run to its first child, {name}", first, "ms", 250, f"{times:.0f} x `python -c pass`")


def _one_story(folder: Path) -> None:
    (folder / "prd.json").write_text(workloads.prd(1))


def _one_story_in_git(folder: Path) -> None:
    workloads.repository(folder, 50, 1)


CASES: dict[str, Callable[[Setting], Iterator[Line]]] = {
    "start": starting,
    "noop": noop,
    "syncs": durable,
    "isolated": isolated,
    "sandboxed": sandboxed,
    "sleep": schedule,
    "plan": plans,
    "resume": resumed,
}
