"""What tests of the built-in agent need: work in a slot, scripted answers, and a program whose children do the work."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rad_engineer.agents import AgentWork
from rad_engineer.core.prompt import Assignment
from rad_engineer.process import Limits
from tests.boxes import off
from tests.marks import MARKS, TOKEN, bare

EDITOR = "str_replace_based_edit_tool"
USAGE = {"input_tokens": 100, "output_tokens": 10}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool call as fixtures have it."""
    return {"name": tool, "arguments": arguments}


def says(
    *calls: dict[str, Any], when: dict[str, Any], text: str = "", usage: Any = USAGE, **more: Any
) -> dict:
    """An answer of the model, and when it is given."""
    response: dict[str, Any] = {"usage": usage, **more}
    if text or not calls:
        response["content"] = text
    if calls:
        response["toolCalls"] = list(calls)
    return {"match": when, "response": response}


def report(**more: Any) -> dict[str, Any]:
    """A call of `report` that is valid for a story without criteria."""
    good = {
        "token": TOKEN,
        "status": "done",
        "summary": "done",
        "files": [],
        "tests": [],
        "criteria": [],
        "errors": [],
        "next_steps": [],
    }
    return call("report", **{**good, **more})


def after(text: str) -> dict[str, Any]:
    """When the last message is the result of a tool that contains the text."""
    return {"toolResultContains": text}


def at(turn: int, **more: Any) -> dict[str, Any]:
    """When the conversation has had that many answers."""
    return {"turnIndex": turn, **more}


class Bench:
    """A slot, an attempt's folder, and the work of one story."""

    def __init__(self, folder: Path, url: str, files: dict[str, str] | None = None) -> None:
        self.slot = folder / "slots" / "0"
        self.attempt = folder / "runs" / "r-1" / "attempt-1"
        self.url = url
        for place in (self.slot, self.attempt):
            place.mkdir(parents=True, exist_ok=True)
        for name, text in (files or {}).items():
            (self.slot / name).parent.mkdir(parents=True, exist_ok=True)
            (self.slot / name).write_text(text)
        (self.attempt / "prompt.md").write_text("a story")

    def work(self, **more: Any) -> AgentWork:
        settings = more.pop("settings", {})
        about: dict[str, Any] = {
            "story_id": "S-1", "title": "a story", "attempt": 1, "slot": self.slot, "limits": Limits(seconds=60),
            "box": off(),
            "prompt": self.attempt / "prompt.md", "log": self.attempt / "agent.log",
            "env": {"PATH": os.environ["PATH"], "HOME": str(self.slot.parent)}, "base_url": self.url, "token": "t",
            "model": "claude-sonnet-5-5", "settings": settings, "folder": self.attempt, "bound": "b",
            "assignment": Assignment("S-1", "a story", "do it", MARKS, notes="a project"), "marks": MARKS,
        }  # fmt: skip
        return AgentWork(**{**about, **more})

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        lines = (self.attempt / "transcript.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [record for record in found if not kind or record["t"] == kind]

    def results(self) -> list[str]:
        return [bare(record["text"]) for record in self.records("result")]

    def read(self, name: str) -> str:
        return (self.slot / name).read_text()


def asked_again(bodies: list[bytes]) -> list[int]:
    """How often each request came that came more than once."""
    return [count for count in Counter(bodies).values() if count > 1]


class Program:
    """A process that has loaded the agent and forks for each work, as the zygote of workers does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("agent_program.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, folder: Path, url: str, **more: Any) -> dict[str, Any]:
        """Does the work of a Bench in that folder; `die` says where: the word, how often it has come, before or after."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "url": url, **more}) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
