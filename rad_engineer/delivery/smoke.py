"""Smoke: a project is made, one is imported, agents work, and a run that is killed goes on; all in a home of its own.

The agent is the built-in one, and a recording answers for the model: nothing is spent and nobody is asked.
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rad_engineer import process, sandbox
from rad_engineer.errors import ExitCode, RadError
from rad_engineer.projects import examples

AGENT = "anthropic (built in), answered by the recording of examples/quickstart"
STORIES = ("PB-1", "PB-2", "PB-3", "PB-4", "PB-5")
_BRANCH = "rad/pocketbook"
_SECONDS = 600.0
_LANDING = re.compile(r'\{"event":"story_landed",.*?"story":"([^"]+)"')
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Result:
    """One of the tests, and what was seen."""

    name: str
    status: Literal["PASS", "FAIL", "SKIP"]
    evidence: str
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Failed(Exception):
    """What was expected did not happen."""


class LeftOut(Exception):
    """It cannot be tried here; why."""


def run(tests: "Mapping[str, Callable[[Home], str]] | None" = None) -> list[Result]:
    """Runs all of them, one after the other; each has a home of its own."""
    return [_result(name, test) for name, test in (TESTS if tests is None else tests).items()]


def passed(results: list[Result]) -> bool:
    """Whether nothing failed and nothing was left out."""
    return all(result.status == "PASS" for result in results)


def _result(name: str, test: "Callable[[Home], str]") -> Result:
    begun = time.monotonic()
    status: Literal["PASS", "FAIL", "SKIP"] = "PASS"
    try:
        with _home() as home:
            evidence = test(home)
    except LeftOut as why:
        status, evidence = "SKIP", str(why)
    except (Failed, RadError, OSError) as error:
        status, evidence = "FAIL", str(error)
    return Result(name, status, evidence, round(time.monotonic() - begun, 1))


@dataclass(frozen=True, slots=True)
class Home:
    """A temporary home: what happens in it touches nothing of the user's."""

    folder: Path
    env: Mapping[str, str]

    def rad(self, *arguments: str, cwd: Path | None = None) -> str:
        """Runs this rad-engineer; raises Failed where it does not end well."""
        code, out, err = process.capture(
            command(*arguments), env=self.env, cwd=cwd or self.folder, timeout=_SECONDS
        )
        if code != 0:
            raise Failed(f"`rad-engineer {arguments[0]}` ended with {code}: {_last(err or out)}")
        return out.decode("utf-8", "replace")

    def git(self, folder: Path, *arguments: str) -> str:
        """Asks git there."""
        code, out, err = process.capture(["git", *arguments], env=self.env, cwd=folder, timeout=60.0)
        if code != 0:
            raise Failed(f"`git {arguments[0]}` ended with {code}: {_last(err)}")
        return out.decode("utf-8", "replace")


def command(*arguments: str) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-P", "-m", "rad_engineer", *arguments]


@contextmanager
def _home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="rad-smoke-"))
    packages = [str(Path(__file__).parents[2]), *(part for part in sys.path if part)]
    env = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("COVERAGE")}
    for name in ("home", "config", "state", "cache"):
        (folder / name).mkdir(mode=0o700)
    env |= {"HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(packages), "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {f"XDG_{name.upper()}_HOME": str(folder / name) for name in ("config", "state", "cache")}
    try:
        yield Home(folder, env)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def creation(home: Home) -> str:
    """`init` makes a project with a first commit, a readable PRD and settings."""
    _needs_verb(home, "init")
    home.rad("init", "--name", "smoke-project", "--template", "blank", "--yes")
    project = home.folder / "smoke-project"
    commits = home.git(project, "rev-list", "--count", "HEAD").strip()
    plans = sorted(str(path.relative_to(project)) for path in (project / "prd").glob("*.json"))
    if not plans:
        raise Failed("the new project has no PRD")
    home.rad("validate", *plans, cwd=project)
    return f"template blank: {commits} commit, {', '.join(plans)} can be read"


def importing(home: Home) -> str:
    """`import` finds out how an existing project is judged, and writes nothing when it is not to."""
    _needs_verb(home, "import")
    project = home.folder / "pocketbook"
    examples.copy("quickstart", project)
    (project / "rad-engineer.toml").unlink()
    document = json.loads(home.rad("import", "--dry-run", "--json", cwd=project))
    if "pytest" not in json.dumps(document):
        raise Failed("`import` did not find the tests of the project")
    if (project / "rad-engineer.toml").exists():
        raise Failed("`import --dry-run` has written a file")
    return "an existing Python project: its tests are found, nothing is written"


def execution(home: Home) -> str:
    """A story is worked on by the agent, judged by gates, and lands."""
    project = _pocketbook(home)
    options = _options()
    home.rad("run", "prd.json", "--yes", "--plain", "--only", STORIES[0], *options, cwd=project)
    _check_landed(home, project, STORIES[:1])
    return f"{STORIES[0]} written, judged and landed{_said_of_the_sandbox(options)}"


def recovery(home: Home) -> str:
    """A run is killed with -9 after its first landing; `resume` ends it, and nothing is done or lands twice."""
    project = _pocketbook(home)
    options = _options()
    landed = _killed_after_a_landing(home, project, options)
    home.rad("resume", "--yes", "--plain", *options, cwd=project)
    _check_landed(home, project, STORIES)
    _check_once(project)
    return (
        f"killed with -9 after {landed} had landed; resumed: {len(STORIES)} stories landed once each, "
        f"no agent was asked again for what was done{_said_of_the_sandbox(options)}"
    )


TESTS: Mapping[str, Callable[[Home], str]] = {
    "Project Creation": creation,
    "Project Import": importing,
    "Agent Execution": execution,
    "Checkpoint/Recovery": recovery,
}
"""In this order; the names are those of the certificate."""


def _needs_verb(home: Home, name: str) -> None:
    code, _, _ = process.capture(command(name, "--help"), env=home.env, cwd=home.folder, timeout=60.0)
    if code == ExitCode.USAGE:
        raise LeftOut(f"this version has no `{name}`")


def _pocketbook(home: Home) -> Path:
    code, _, _ = process.capture(["python3", "-c", "import pytest"], env=home.env, timeout=60.0)
    if code != 0:
        raise LeftOut(
            "the python3 on PATH has no pytest, with which the example is judged: python3 -m pip install pytest"
        )
    project = home.folder / "pocketbook"
    examples.copy("quickstart", project)
    return project


def _options() -> tuple[str, ...]:
    """Where no sandbox works, the example runs without one: it is ours."""
    try:
        sandbox.choose("auto")
    except RadError:
        return ("--sandbox", "off")
    return ()


def _said_of_the_sandbox(options: tuple[str, ...]) -> str:
    return "; WITHOUT A SANDBOX, for none works here" if options else ""


def _killed_after_a_landing(home: Home, project: Path, options: tuple[str, ...]) -> str:
    """Kills the coordinator as soon as it tells of a landing; the name of that story."""
    landed: list[str] = []
    pids: list[int] = []

    def on_line(line: str) -> None:
        told = _LANDING.match(line)  # a long line comes cut off, so it is no document
        if told is not None and not landed:
            landed.append(told[1])
            os.kill(pids[0], signal.SIGKILL)

    ended = process.run(
        command("run", "prd.json", "--yes", "--json", *options), cwd=project, env=home.env,
        limits=process.Limits(seconds=_SECONDS), on_line=on_line, on_start=pids.append,
    )  # fmt: skip
    if not landed:
        raise Failed(f"nothing landed before the run ended with {ended.code}: {ended.last_line}")
    if ended.code != 128 + signal.SIGKILL:
        raise Failed(f"the run ended with {ended.code} before it was killed")
    return landed[0]


def _check_landed(home: Home, project: Path, wanted: tuple[str, ...]) -> None:
    log = ("log", "--first-parent", "--format=%(trailers:key=Rad-Story,valueonly,separator=)", _BRANCH)
    landed = sorted(line for line in home.git(project, *log).splitlines() if line)
    if landed != sorted(wanted):
        raise Failed(
            f"landed on {_BRANCH}: {', '.join(landed) or 'nothing'}; expected {', '.join(wanted)} once each"
        )
    stories = json.loads((project / "prd.json").read_text(encoding="utf-8"))["userStories"]
    marked = sorted(story["id"] for story in stories if story["passes"])
    if marked != sorted(wanted):
        raise Failed(
            f"marked as done in prd.json: {', '.join(marked) or 'nothing'}; expected {', '.join(wanted)}"
        )


def _check_once(project: Path) -> None:
    """No finished agent stage was bought again: told by the journal of the run."""
    journals = list((project / ".rad-engineer" / "runs").glob("*/journal.jsonl"))
    bought: Counter[str] = Counter()
    for journal in journals:
        for line in journal.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event.get("event") == "stage_finished" and event.get("stage") == "agent" and event.get("ok"):
                bought[event["story"]] += 1
    twice = sorted(story for story, times in bought.items() if times > 1)
    if len(journals) != 1 or twice:
        raise Failed(
            f"after the kill: {len(journals)} runs, agents were asked again for {', '.join(twice) or 'nothing'}"
        )


def _last(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
