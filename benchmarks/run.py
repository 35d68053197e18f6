"""Prints one table: what rad-engineer costs, beside its peers and its targets, measured in the same minutes."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import record
from cases import CASES, Line, Setting
from timing import Scratch, rad_engineer

HEADER = Line("what", "measured", "target")


def main() -> int:
    """Runs the cases that were asked for."""
    wanted = _arguments()
    top = Path(tempfile.mkdtemp(prefix="rad-engineer-bench-", dir=wanted.scratch))
    setting = Setting(
        Scratch(top),
        Path(wanted.tools or top / "tools"),
        wanted.rounds,
        quick=wanted.quick,
        heavy=wanted.peers,
    )
    subprocess.run(
        [*rad_engineer(), "run", "--help"], check=True, stdout=subprocess.DEVNULL
    )  # bytecode is there now
    print(f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
          f"medians of {wanted.rounds} interleaved rounds; load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    earlier = record.read(wanted.compare) if wanted.compare else {}
    kept = record.Record(quick=wanted.quick, rounds=wanted.rounds)
    missed = 0
    _print(HEADER)
    try:
        for case in wanted.cases or CASES:
            for line in CASES[case](setting):
                _print(line)
                kept.add(line)
                missed += line.met is False
    finally:
        if wanted.json:
            kept.write(wanted.json)
        if not wanted.keep:
            shutil.rmtree(top, ignore_errors=True)
    print(f"{missed} targets missed" if missed else "every target reached")
    if earlier:
        print("\n".join(record.compared(earlier, kept.content())))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "cases", nargs="*", choices=[[], *CASES], help="only these (default: all)", metavar="CASE"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the size; its figures decide nothing"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of what does not take long")
    parser.add_argument(
        "--peers", action="store_true", help="also DBOS, snakemake and prefect, where installed"
    )
    parser.add_argument(
        "--scratch", help="where to work: the disk that is measured (default: the temporary folder)"
    )
    parser.add_argument("--tools", help="where peers are installed, to keep them between runs")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="print each figure against an earlier run's"
    )
    parser.add_argument("--keep", action="store_true", help="leave the directories for a look")
    return parser.parse_args()


def _print(line: Line) -> None:
    verdict = {True: "reached", False: "MISSED", None: ""}[line.met]
    print(
        f"{line.what:62} {line.measured:>12} {line.target:>12} {verdict:8} {line.beside}".rstrip(), flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
