"""Fixtures shared by all layers: a scratch project that real commands are run in."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rad_engineer import process
from tests import required

ROOT = Path(__file__).parents[1]

# To measure what children run doubles what a run costs. All that starts whole runs together reaches little more than these.
MEASURED = {
    "test_cli",
    "test_commands",
    "test_policy_stage",
    "test_run",
    "test_run_changes",
    "test_run_life",
    "test_sandboxed",
}


@pytest.fixture(autouse=True, scope="module")
def _children_of_whole_runs_are_not_measured(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in {"e2e", "chaos"} and request.path.stem not in MEASURED:
            for name in [name for name in os.environ if name.startswith("COVERAGE")]:
                patch.delenv(name)
        yield


def pytest_configure() -> None:
    required.wanted()


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def kinds(self, story: str | None = None) -> list[str]:
        return [e["event"] for e in self.events if story is None or e.get("story") == story]


class Project:
    """A git repository in a temporary folder, with caches and state of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "state"),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            # Agents and gates of many tests write beside their slots, so that it is seen: see `unboxed`.
            "RAD_SANDBOX": os.environ.get("RAD_SANDBOX", "off"),
            **{k: v for k, v in os.environ.items() if k.startswith("COVERAGE")},
        }
        (folder / "home").mkdir()

    def unboxed(self) -> "Project":
        """Whatever the environment says: agents and gates of this test read or write where a sandbox has nothing for them."""
        self.env["RAD_SANDBOX"] = "off"
        return self

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True, check=True
        ).stdout

    def init(self, files: Mapping[str, str]) -> "Project":
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Ada Lovelace")
        self.git("config", "user.email", "ada@example.org")
        self.write({".gitignore": "__pycache__/\n.pytest_cache/\n", **files})
        self.commit("init")
        return self

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "rad_engineer", *arguments]

    def rad(
        self, *arguments: str, cwd: str = "", env: Mapping[str, str] | None = None, timeout: float = 100
    ) -> Ran:
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.folder / cwd,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
        assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def report(self) -> dict[str, Any]:
        newest = max((self.folder / ".rad-engineer" / "runs").iterdir())
        found: dict[str, Any] = json.loads((newest / "report.json").read_text())
        return {name: value for name, value in found.items() if name != "~"}

    def statuses(self) -> dict[str, str]:
        return {story["key"]: story["status"] for story in self.report()["stories"]}

    def landed(self, branch: str) -> list[str]:
        """Story ids on the branch, oldest first."""
        out = self.git(
            "log",
            "--first-parent",
            "--reverse",
            "--format=%(trailers:key=Rad-Story,valueonly,separator=)",
            branch,
        )
        return [line for line in out.split("\n") if line]

    def prd(self, name: str = "prd.json") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def passes(self, name: str = "prd.json") -> list[str]:
        return [story["id"] for story in self.prd(name)["userStories"] if story["passes"]]

    def processes(self) -> list[str]:
        """Command lines of processes that carry this project's environment."""
        mark = f"XDG_CACHE_HOME={self.env['XDG_CACHE_HOME']}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(
                            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                        )
                except OSError:
                    continue
        return found


def story(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A story as prd.json files have it."""
    return {
        "id": name,
        "title": f"Story {name}",
        "acceptanceCriteria": [f"{name} is there"],
        "passes": False,
        "dependsOn": list(needs),
        **more,
    }


def prd(*stories: Mapping[str, Any], **more: Any) -> str:
    """A whole prd.json; its stories run in parallel because of their needs."""
    return json.dumps(
        {"project": "demo", "branchName": "rad/demo", **more, "userStories": list(stories)}, indent=2
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def agent(project: Project, script: str) -> Sequence[str]:
    """The option that makes a shell script the agent; one that names places beside the project is in no sandbox."""
    if str(project.folder.parent) in script:
        project.unboxed()
    path = project.folder.parent / "agent.sh"
    path.write_text(script)
    path.chmod(0o755)  # whatever the mask: started by root, a sandbox runs it as somebody else
    return ("--agent-command", f"sh {shutil.which('true') and path}")


@pytest.fixture
def childless() -> Iterator[None]:
    """A test leaves no child behind. One that opens a box here makes this process inherit orphans, also those of others."""
    before = set(process.children(os.getpid()))
    yield
    assert set(process.children(os.getpid())) <= before
