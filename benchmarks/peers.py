"""The same stories run by others: make, doit, a bare spawn loop, and that loop with the syncs of a durable run."""

import importlib.util
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from timing import Candidate
from workloads import layered, story_id

JOBS = 8
INSTALL_SECONDS = 90


def spawn(count: int, width: int, *, durable: bool) -> Candidate:
    """A loop that only spawns; durable: with the syncs of a run that can be resumed."""
    how = "durable" if durable else "plain"
    name = "spawn loop + syncs" if durable else "spawn loop"
    program = Path(__file__).with_name("spawn_loop.py")

    def prepare(folder: Path) -> None:
        (folder / "needs.json").write_text(json.dumps(layered(count, width)))

    return Candidate(name, [sys.executable, "-I", str(program), how, str(JOBS)], prepare)


def make(count: int, width: int) -> Candidate | None:
    """`make -j`: no record of anything."""
    if shutil.which("make") is None:
        return None

    def prepare(folder: Path) -> None:
        lines = [
            f".PHONY: all {' '.join(map(story_id, range(count)))}",
            f"all: {' '.join(map(story_id, range(count)))}",
        ]
        for number, needs in enumerate(layered(count, width)):
            lines += [f"{story_id(number)}: {' '.join(map(story_id, needs))}", "\t@true"]
        (folder / "Makefile").write_text("\n".join(lines) + "\n")

    return Candidate("make -j8", ["make", f"-j{JOBS}", "all"], prepare)


def doit(tools: Path, count: int, width: int) -> Candidate | None:
    """doit with threads; installed into a virtual environment of its own where that is possible."""
    program = shutil.which("doit") or _installed(tools, "doit")
    if program is None:
        return None

    def prepare(folder: Path) -> None:
        (folder / "dodo.py").write_text(
            f"NEEDS = {layered(count, width)!r}\n"
            "def task_story():\n"
            "    for number, needs in enumerate(NEEDS):\n"
            "        yield {'name': str(number), 'actions': [['true']], 'task_dep': [f'story:{n}' for n in needs]}\n"
        )

    return Candidate("doit -P thread", [program, "-n", str(JOBS), "-P", "thread", "-v", "0"], prepare)


def _installed(tools: Path, package: str) -> str | None:
    home = tools / package
    program = home / "bin" / package
    try:
        if not program.exists():
            venv.create(home, with_pip=True)
            subprocess.run([home / "bin" / "pip", "install", "-q", package], check=True, capture_output=True,
                           timeout=INSTALL_SECONDS)  # fmt: skip
    except (subprocess.SubprocessError, OSError):
        return None
    return str(program) if program.exists() else None


def heavy(count: int, width: int) -> list[Candidate]:
    """Workflow engines, where they are installed beside this interpreter."""
    found: list[Candidate] = []
    for module, write in (("snakemake", _snakemake), ("dbos", _dbos), ("prefect", _prefect)):
        if importlib.util.find_spec(module) is not None:
            found.append(write(count, width))
    return found


def _snakemake(count: int, width: int) -> Candidate:
    def prepare(folder: Path) -> None:
        rules = [f"rule all:\n    input: {[story_id(n) for n in range(count)]!r}\n"]
        for number, needs in enumerate(layered(count, width)):
            rules.append(
                f"rule:\n    input: {[story_id(n) for n in needs]!r}\n"
                f"    output: touch('{story_id(number)}')\n    shell: 'true'\n"
            )
        (folder / "Snakefile").write_text("".join(rules))

    return Candidate("snakemake", [sys.executable, "-m", "snakemake", "-q", "-j", str(JOBS)], prepare)


def _program(name: str, text: str, count: int, width: int) -> Candidate:
    def prepare(folder: Path) -> None:
        (folder / "flow.py").write_text(f"NEEDS = {layered(count, width)!r}\nJOBS = {JOBS}\n{text}")

    return Candidate(name, [sys.executable, "flow.py"], prepare)


def _dbos(count: int, width: int) -> Candidate:
    return _program("dbos", _DBOS, count, width)


def _prefect(count: int, width: int) -> Candidate:
    return _program("prefect", _PREFECT, count, width)


_DBOS = """
import asyncio
from dbos import DBOS, DBOSConfig

DBOS(config=DBOSConfig(name="benchmark", system_database_url="sqlite:///state.sqlite", run_admin_server=False))

@DBOS.step()
async def story():
    await (await asyncio.create_subprocess_exec("true")).wait()

@DBOS.workflow()
async def flow():
    gate, done = asyncio.Semaphore(JOBS), [asyncio.Event() for _ in NEEDS]
    async def one(number):
        for need in NEEDS[number]:
            await done[need].wait()
        async with gate:
            await story()
        done[number].set()
    await asyncio.gather(*map(one, range(len(NEEDS))))

DBOS.launch()
asyncio.run(flow())
"""
_PREFECT = """
import subprocess
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

@task
def story():
    subprocess.run(["true"], check=True)

@flow(task_runner=ThreadPoolTaskRunner(max_workers=JOBS), log_prints=False)
def everything():
    done = []
    for needs in NEEDS:
        done.append(story.submit(wait_for=[done[need] for need in needs]))
    for future in done:
        future.wait()

everything()
"""
