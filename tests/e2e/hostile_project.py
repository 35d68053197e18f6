"""A project whose agent does to its slot whatever the story's name says, and what must hold afterwards."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.conftest import Project, Ran, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
CHECK = "test -d out && test ! -e out/bad\n"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Hostile:
    """One run: every story is an attack, and two that do honest work must land beside them."""

    def __init__(self, project: Project, attacks: Mapping[str, str], **files: str) -> None:
        self.project = (
            project.unboxed()
        )  # the attacks lie outside, and so does what they aim at; test_escapes.py has the rest
        self.outside = project.folder.parent
        self.attacks = dict(attacks)
        self.neighbour = self.outside / "neighbour" / "precious.txt"
        self.neighbour.parent.mkdir()
        self.neighbour.write_text("precious\n")
        self.marks = self.outside / "marks"
        self.marks.mkdir()
        self._trap()
        scripts = self.outside / "attacks"
        scripts.mkdir()
        for name, script in {**self.attacks, "honest-1": WRITE, "honest-2": WRITE}.items():
            (scripts / name).write_text(script)
        gates = '[gates]\ncheck = "sh check.sh"\n'
        names = [story(name) for name in self.attacks]
        text = prd(*names, story("honest-1"), story("honest-2", "honest-1"))
        self.files = {
            "prd.json": text, "rad-engineer.toml": gates, "check.sh": CHECK, "README.md": "demo\n",
            "src/app.py": "app = 1\n", "out/.keep": "", ".gitignore": "build/\n__pycache__/\n", **files,
        }  # fmt: skip
        project.init(self.files)
        self.before = self._users_own()

    def _trap(self) -> None:
        trap = self.outside / "trap"
        trap.write_text(f"#!/bin/sh\ntouch {self.marks}/$$\ncat\n")
        trap.chmod(0o755)

    def _users_own(self) -> tuple[str, bytes, str]:
        """What no agent may change: where main stands, the configuration of the repository, the files."""
        git = self.project.git
        config = (self.project.folder / ".git" / "config").read_bytes()
        return git("rev-parse", "main"), config, git("status", "--porcelain", "--", ".", ":!prd.json")

    def run(self, *options: str, **env: str) -> Ran:
        """Every story has one attempt unless an option says otherwise; all of them start at once."""
        where = {"OUTSIDE": str(self.outside), "PROJECT": str(self.project.folder)}
        agent = f'sh -e "{self.outside}/attacks/$RAD_STORY_ID"'
        return self.project.rad(
            "run", "prd.json", "--agent-command", agent, "--yes", "--keep-going", "-j", "4",
            *(options or ("--attempts", "1")), env={**where, **env},
        )  # fmt: skip

    def ended(self) -> dict[str, str]:
        """How each story stands: `failed` ones by their reason."""
        stories = self.project.report()["stories"]
        return {found["id"]: found.get("reason") or found["status"] for found in stories}

    def refused(self, ran: Ran, name: str, reason: str, said: str, explained: str = "") -> None:
        """Every attempt ended for this reason, and both screens say so in words, `explain` with more of them."""
        ends = ("attempt_failed", "story_failed")
        found = [e["reason"] for e in self.journal() if e["event"] in ends and e["story"] == name]
        assert found, f"{name}: {ran.out}"
        assert set(found) <= {reason, "plateau"}, f"{name}: {found}"
        screens = ran.out, self.project.rad("explain", name).out
        for screen in screens:
            assert said in " ".join(screen.split()), f"{name}: {screen}"
        assert explained in " ".join(screens[1].split()), f"{name}: {screens[1]}"

    def nothing_else_happened(self) -> None:
        """Honest work has landed, no trap went off, and the user's own things are as they were."""
        assert {"honest-1", "honest-2"} <= set(self.project.landed("rad/demo"))
        assert list(self.marks.iterdir()) == []
        assert self.neighbour.read_text() == "precious\n"
        assert self._users_own() == self.before
        assert self.project.git("fsck", "--no-dangling").strip() == ""
        assert self.project.processes() == []

    def clear_away(self) -> None:
        """Removes what lies too deep for whoever else cleans up."""
        subprocess.run(["rm", "-rf", self.project.env["XDG_CACHE_HOME"]], check=True)

    def journal(self) -> list[dict[str, Any]]:
        """Everything that was written down."""
        newest = max((self.project.folder / ".rad-engineer" / "runs").iterdir())
        return [json.loads(line) for line in (newest / "journal.jsonl").read_text().splitlines()]

    def on_branch(self) -> set[str]:
        """All paths of the run branch."""
        asked = ["git", "ls-tree", "-r", "-z", "--name-only", "rad/demo"]
        listed = subprocess.run(asked, cwd=self.project.folder, capture_output=True, check=True).stdout
        return {os.fsdecode(name) for name in listed.split(b"\0") if name}
