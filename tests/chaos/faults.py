"""Runs in which the n-th call of a kind fails, and the question whether everything is right again after the next run."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.errors import NoInput
from tests.conftest import Project, agent, prd, story

HERE = Path(__file__).parent
COORDINATOR, ZYGOTE, WORKER, GIT = 1, 2, 4, 8
STORIES = ("A", "B", "C")
_LIMIT = 60  # seconds, after which a run counts as hanging
_AGENT = """
checkpoint="$(dirname "$RAD_PROMPT_FILE")/../checkpoint.json"
grep -qs "\\"attempt\\":$RAD_ATTEMPT,\\"stage\\":" "$checkpoint" && echo "$RAD_STORY_ID $RAD_ATTEMPT" >> {paid}-again
echo "$RAD_STORY_ID $RAD_ATTEMPT" >> {paid}
mkdir -p out
echo "work $RAD_STORY_ID" > out/$RAD_STORY_ID.txt
"""


@dataclass(frozen=True)
class Fault:
    """The n-th call of a kind in these processes; `number` 0 is a kill for git, `mode` once, on or short."""

    roles: int
    kind: str
    n: int
    number: int
    mode: str = "once"

    def __str__(self) -> str:
        return f"{self.roles}:{self.kind}:{self.n}:{self.number}:{self.mode}"


@dataclass(frozen=True)
class Seen:
    """What came of a faulty run: `hits` are the calls that failed; `wrong` is empty where all is as promised."""

    code: int | str
    hits: str
    out: str
    err: str
    runs: int
    wrong: str

    @property
    def outcome(self) -> str:
        if self.wrong:
            return "violation"
        return {0: "healed", 1: "failed story", 73: "73"}.get(self.code, f"exit {self.code}")  # type: ignore[call-overload]


def build_shim(folder: Path) -> Path:
    """Compiles the shim."""
    library = folder / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library


class Trial:
    """A small project of three stories, and the shim in every process of a run of it."""

    def __init__(self, folder: Path, shim: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.shim = shim
        self.project = Project(folder)
        files = {"prd.json": prd(story("A"), story("B"), story("C", "A")), "progress.txt": "# Progress\n"}
        self.project.init({**files, "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n'})
        options = agent(self.project, _AGENT.format(paid=folder / "paid"))
        self.command = ["run", "prd.json", *options, "--yes", "-j", "2", "--json"]

    def environment(self, extra: dict[str, str]) -> dict[str, str]:
        """The environment of a run with the shim; git gets it by a wrapper, because it inherits nothing from us."""
        extra = {**extra, "LD_PRELOAD": str(self.shim)}
        folder = self.folder / "wrapper"
        folder.mkdir(exist_ok=True)
        real = shutil.which("git", path=self.project.env["PATH"])
        words = " ".join(f"{name}='{value}'" for name, value in extra.items())
        (folder / "git").write_text(f'#!/bin/sh\n{words} SHIM_GIT=1 exec {real} "$@"\n')
        (folder / "git").chmod(0o755)
        return {**self.project.env, **extra, "PATH": f"{folder}:{self.project.env['PATH']}"}

    def start(self, env: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "rad_engineer", *(command or self.command)], cwd=self.project.folder, env=env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=_LIMIT,
        )  # fmt: skip

    def fail(self, fault: Fault) -> Seen:
        """One faulty run, then plain ones until all is done."""
        state = self.folder / "shim"
        env = self.environment(
            {
                "SHIM_STATE": str(state),
                "SHIM_FAULT": str(fault),
                "SHIM_FAST": "1",
                "SHIM_PREFIX": str(self.folder),
            }
        )
        code: int | str
        try:
            ended = self.start(env)
            code, out, err = ended.returncode, ended.stdout, ended.stderr
        except subprocess.TimeoutExpired as error:
            code, out, err = "hangs", str(error.stdout), str(error.stderr)
        hits = state.with_name("shim.hits")
        told = hits.read_text() if hits.exists() else ""
        wrong = self._wrong_end(code, out, err)
        command = ("resume",) if code == 73 else ()
        runs = 0
        while not wrong and runs < 3:
            runs += 1
            again = self.start(self.project.env, *command)
            if again.returncode == 0:
                break
            never_begun = bool(command) and again.returncode == NoInput.exit_code
            wrong = "" if again.returncode == 1 or never_begun else f"then {again.returncode}: {again.stderr}"
            command = ()
        return Seen(code, told, out, err, runs, wrong or self.wrong_state() or self._paid_twice(fault))

    def _paid_twice(self, fault: Fault) -> str:
        """A fault in git is no story's fault: no agent is started a second time for it."""
        paid = (self.folder / "paid").read_text().splitlines()
        return f"paid: {paid}" if fault.roles == GIT and len(paid) > len(STORIES) else ""

    def _wrong_end(self, code: int | str, out: str, err: str) -> str:
        refused = (
            code in (66, 78) and '"event":"run_started"' not in out
        )  # git cannot read, so it finds nothing
        if "Traceback" in err + out or (code not in (0, 1, 73) and not refused):
            return f"ended with {code}"
        landed = sum('"event":"story_landed"' in line for line in out.splitlines())
        if code == 0 and landed != len(STORIES):
            return f"exit 0 with {landed} landed"
        if code == 1 and '"event":"story_failed"' not in out:
            return "exit 1 without a failed story"
        if "internal-error" in out:
            return "a fault is called an internal error"
        if code == 73 and "hint: " not in err:
            return "exit 73 without saying what to do"
        return ""

    def wrong_state(self) -> str:
        """What is not as it should be when all is done."""
        project = self.project
        landed = sorted(project.landed("rad/demo"))
        if landed != list(STORIES):
            return f"landed: {landed}"
        tree = project.git("ls-tree", "-r", "--name-only", "rad/demo").split()
        if [name for name in tree if name.startswith("out/")] != [f"out/{name}.txt" for name in STORIES]:
            return f"tree: {tree}"
        if any(project.git("show", f"rad/demo:out/{name}.txt") != f"work {name}\n" for name in STORIES):
            return "content of the tree"
        if project.passes() != list(STORIES):
            return f"marked: {project.passes()}"
        again = self.folder / "paid-again"
        if again.exists():
            return f"bought again: {again.read_text()}"
        left = [path.name for path in project.folder.iterdir() if path.name.startswith(".rad-engineer-")]
        return f"left in the work tree: {left}" if left else self._refs_left()

    def _refs_left(self) -> str:
        """What keeps alive what has not landed, when everything has; a run that was given up keeps its own."""
        newest = max((self.project.folder / ".rad-engineer" / "runs").iterdir()).name
        refs = self.project.git("for-each-ref", "--format=%(refname)", "refs/rad").split()
        mine = [ref for ref in refs if newest in ref and "/rescue/" not in ref]
        left = [ref for ref in mine if ref.split("/")[-1] not in ("base", "tip")]
        return f"refs: {left}" if left else ""


def calls(folder: Path) -> tuple[int, int]:
    """How many calls of the kind were seen, and how many failed."""
    path = folder / "shim"
    data = path.read_bytes() if path.exists() else b""
    return (int.from_bytes(data[:8], sys.byteorder), int.from_bytes(data[8:16], sys.byteorder))


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def quiet_environment() -> None:
    """Byte code is written, as it is for users."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
