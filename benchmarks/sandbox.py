"""What a sandbox costs: a stage that starts in one, and a call in one that is open, beside the same without.

    python benchmarks/sandbox.py [ROUNDS]

Candidates take turns, so that whatever else the machine does meets all of them; ratios hold on a busy machine. A stage
begins when it asks for its box and has begun when its first command has ended. `opened` is a box that is opened then;
`ahead` one that was opened before, while other work was under way: what that hides from the stage is not saved, and the
processor time of a box is the same. How much a real run hides is told in the last line.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import workloads
from timing import environment, rad_engineer

from rad_engineer import process, sandbox
from rad_engineer.sandbox import Grants, Place
from rad_engineer.sandbox.bubblewrap import Bubblewrap
from rad_engineer.worker.ahead import Ahead

PROGRAMS = (
    ["true"], ["bash", "-c", "true"], ["git", "--version"], ["python3", "-I", "-S", "-c", "pass"],
    ["python3", "-c", "pass"],
)  # fmt: skip
CALLS = 30
HIDDEN = 0.1  # s of other work
STORIES, STAGES = 20, 3


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(sandbox.choose("bubblewrap").told)
    with tempfile.TemporaryDirectory() as folder:
        slot = Path(folder) / "slot"
        slot.mkdir()
        sandbox.hand_over(slot, sandbox.owner())
        place = Place(slot, "/src/demo", owner=sandbox.owner())
        env = {"PATH": os.environ["PATH"]}

        def bare(argv: list[str]) -> None:
            process.run(argv, cwd=slot, env=env)

        ahead = Ahead()

        def stage(argv: list[str]) -> float:
            began = time.perf_counter()
            with ahead.take("bubblewrap", place, Grants()) as box:
                box.run(argv, cwd=slot, env=env)
                return (time.perf_counter() - began) * 1000

        def stage_ahead(argv: list[str]) -> float:
            ahead.open("bubblewrap", place, Grants())
            time.sleep(HIDDEN)
            return stage(argv)

        print(
            f"{'program':28}{'bare':>8}{'opened':>8}{'/ bare':>8}{'ahead':>8}{'/ bare':>8}   ms, medians of {rounds}"
        )
        for argv in PROGRAMS:
            found = [(timed(partial(bare, argv)), stage(argv), stage_ahead(argv)) for _ in range(rounds)]
            times = [statistics.median(row[each] / row[0] for row in found) for each in (1, 2)]
            plain, opened, waited = (statistics.median(column) for column in zip(*found, strict=True))
            figures = f"{plain:8.2f}{opened:8.2f}{times[0]:8.1f}{waited:8.2f}{times[1]:8.1f}"
            print(f"{' '.join(argv):28}{figures}")
        parts(place, rounds)
        calls(place, env, rounds)
        stories(Path(folder), statistics.median(timed(partial(bare, ["true"])) for _ in range(rounds)))


def spent() -> float:
    """Seconds of a processor, of this process and of all that have ended below it."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def parts(place: Place, rounds: int) -> None:
    """What a stage cannot start without: bubblewrap with all its arguments, and an interpreter for the executor."""
    interpreter = [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"]

    def spawned(argv: list[str]) -> None:
        os.waitpid(os.posix_spawn(argv[0], argv, {}), 0)

    with Bubblewrap(place, Grants()) as box:

        def walls() -> None:
            passed: list[int] = []
            argv = box._command(passed)  # noqa: SLF001 -- all of it but what runs inside
            spawned([*argv[: argv.index("--") + 1], "/bin/true"])
            for descriptor in passed:
                os.close(descriptor)

        works: dict[str, Callable[[], None]] = {
            "a bare posix_spawn of true": partial(spawned, ["/bin/true"]),
            "bubblewrap around true": walls,
            "the interpreter": partial(spawned, interpreter),
        }
        found = [[timed(work) for work in works.values()] for _ in range(rounds)]
    before = spent()
    for _ in range(rounds):
        with Bubblewrap(place, Grants()) as box:
            box.ready()
    print(f"processor time of a box, from here to its end: {(spent() - before) * 1000 / rounds:.1f} ms")
    medians = (statistics.median(column) for column in zip(*found, strict=True))
    print(
        "of which: " + ", ".join(f"{name} {value:.2f} ms" for name, value in zip(works, medians, strict=True))
    )


def calls(place: Place, env: dict[str, str], rounds: int) -> None:
    with sandbox.open_box("bubblewrap", place) as box:

        def call() -> None:
            box.run(["true"], cwd=place.slot, env=env)

        call()
        each = sorted(timed(call) for _ in range(rounds * 10))
        print(
            f"a call in an open box: median {statistics.median(each):.2f} ms, 95 % {each[len(each) * 95 // 100]:.2f} ms"
        )

    def together() -> None:
        with sandbox.open_box("bubblewrap", place) as box:
            for _ in range(CALLS):
                box.run(["true"], cwd=place.slot, env=env)

    def apart() -> None:
        for _ in range(CALLS):
            with sandbox.open_box("bubblewrap", place) as box:
                box.run(["true"], cwd=place.slot, env=env)

    pairs = [(timed(together), timed(apart)) for _ in range(max(1, rounds // 5))]
    one, many = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{CALLS} calls: {one:.0f} ms in one box, {many:.0f} ms in a box each")


def stories(folder: Path, bare: float) -> None:
    """What the stages of a real run wait for: one story at a time, each an agent and two gates that are done at once."""
    top = folder / "project"
    workloads.repository(top, 200, STORIES)
    (top / "rad-engineer.toml").write_text('[gates]\none = "true"\ntwo = "true"\n')
    argv = [*rad_engineer(), "run", "prd.json", "--agent-command", "echo work > new-$RAD_STORY_ID.txt", "-j", "1",
            "--allow-unverified", "--plain", "--yes", "--timings", "--sandbox", "bubblewrap"]  # fmt: skip
    subprocess.run(argv, cwd=top, env=environment(top), check=True, capture_output=True)
    report = json.loads(next(top.glob(".rad-engineer/runs/*/report.json")).read_text())
    rows = {row["part"]: row["median_ms"] for row in report["timings"]["parts"]}
    waited = rows["box"] / STAGES
    print(
        f"in a run of {STORIES} stories a stage waits {waited:.2f} ms for its box, {waited / bare:.1f} bare spawns, "
        f"and {rows['agent'] + rows['gates']:.1f} ms a story are its {STAGES} commands, from the first word to the last"
    )


if __name__ == "__main__":
    main()
