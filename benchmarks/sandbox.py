"""What a sandbox costs: a stage that starts in one, and a call in one that is open, beside the same without.

    python benchmarks/sandbox.py [ROUNDS]

Candidates take turns, so that whatever else the machine does meets all of them; ratios hold on a busy machine.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rad_engineer import process, sandbox
from rad_engineer.sandbox import Grants, Place
from rad_engineer.sandbox.bubblewrap import Bubblewrap

PROGRAMS = (
    ["true"], ["bash", "-c", "true"], ["git", "--version"], ["python3", "-I", "-S", "-c", "pass"],
    ["python3", "-c", "pass"],
)  # fmt: skip
CALLS = 30


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

        def stage(argv: list[str]) -> None:
            with sandbox.open_box("bubblewrap", place) as box:
                box.run(argv, cwd=slot, env=env)

        print(f"{'program':34} {'bare':>8} {'stage':>8} {'stage/bare':>10}   ms, medians of {rounds}")
        for argv in PROGRAMS:
            pairs = [(timed(partial(bare, argv)), timed(partial(stage, argv))) for _ in range(rounds)]
            ratio = statistics.median(inside / outside for outside, inside in pairs)
            outside, inside = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{' '.join(argv):34} {outside:8.2f} {inside:8.2f} {ratio:10.1f}")
        parts(place, rounds)
        calls(place, env, rounds)


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


if __name__ == "__main__":
    main()
