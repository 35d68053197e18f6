"""Installs a program that stands in for a command-line agent: its options, its prompt, its output, its exit code."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.agents.adapters import ADAPTERS

_PROGRAM = """#!{python} -SE
import json, os, sys, time
here = {here!r}
def opens(path, how=os.O_RDONLY):
    try:
        os.close(os.open(path, how))
        return True
    except OSError:
        return False
arguments = sys.argv[1:]
if "--version" in arguments:
    print({version!r}); raise SystemExit
if "--help" in arguments:
    print(open(here + "/help").read()); raise SystemExit
named = [a for a in arguments if a.endswith("prompt.md")]
prompt = open(named[0], encoding="utf-8").read() if named else sys.stdin.buffer.read().decode()
plan = json.load(open(here + "/plan.json"))
for rule in plan["by"]:
    if rule["when"] in prompt:
        plan.update(rule)
        break
asked = {{"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "prompt": prompt,
         "seen": [path for path in plan["looks"] if opens(path)],
         "state": {{n: os.listdir(os.environ[n]) for n in plan["folders"] if n in os.environ}}}}
kept = here if opens(here + "/asked.jsonl", os.O_WRONLY | os.O_CREAT) else os.environ["HOME"]
with open(kept + "/asked.jsonl", "a") as handle:
    handle.write(json.dumps(asked) + "\\n")
for name, text in plan["files"].items():
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write(text)
if plan["kills"] and not os.path.exists(plan["kills"]):
    open(plan["kills"], "w").close()
    os.kill(os.getppid(), 9)
    time.sleep(600)
if plan["asks"] and os.environ.get("ANTHROPIC_AUTH_TOKEN"):
    import urllib.error, urllib.request
    body = json.dumps({{"model": plan["asks"], "max_tokens": 9, "messages": [{{"role": "user", "content": "a"}}]}}).encode()
    headers = {{"x-api-key": os.environ["ANTHROPIC_AUTH_TOKEN"], "content-type": "application/json"}}
    asking = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body, headers)
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(asking)
    except urllib.error.HTTPError as error:
        time.sleep(int(error.headers["retry-after"]))  # as some agents do, be it days
sys.stdout.write(plan["prints"]); sys.stdout.flush()
if plan["echoes"]:
    print("environment:", sorted(os.environ.items())); sys.stdout.flush()
if plan["hangs"]:
    if os.fork() == 0:
        os.setsid()
    time.sleep(600)
raise SystemExit(plan["code"])
"""


@dataclass(frozen=True)
class FakeCli:
    """One installed program; `asked` is what it was started with, each time."""

    folder: Path
    bin: Path

    def plan(self, prints: str = "", code: int = 0, **more: Any) -> None:
        """What it does from now on."""
        plan = {
            "prints": prints,
            "code": code,
            "files": {},
            "hangs": False,
            "asks": "",  # this model through the gateway, and waits as long as it is told
            "echoes": False,
            "kills": "",  # its parent, the first time: then there is this file
            "folders": [],
            "looks": [],  # paths that it tries to see
            "by": [],
            **more,
        }
        (self.folder / "plan.json").write_text(json.dumps(plan))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Every start, but for questions about its version and its options."""
        return self.asked_in(self.folder)

    @staticmethod
    def asked_in(home: Path) -> list[dict[str, Any]]:
        """The same from the home folder that it had, where it could write nowhere else."""
        path = home / "asked.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def install(
    name: str,
    folder: Path,
    *,
    version: str = "1.2.3",
    unknown: Sequence[str] = (),
    package: str = "",
) -> FakeCli:
    """Puts the program of that agent into `folder/bin`; it knows all options but the unknown ones.

    With a package it is a link to there, and finds its plan beside itself.
    """
    adapter = ADAPTERS[name]
    place, bin_folder = folder / (package or f"fake-{name}"), folder / "bin"
    place.mkdir(parents=True)
    bin_folder.mkdir(exist_ok=True)
    flags = [option.flag for option in adapter.optional if option.flag not in unknown]
    (place / "help").write_text("Options:\n" + "".join(f"  {flag}  does it\n" for flag in flags))
    program = (place if package else bin_folder) / adapter.program
    if package:
        (bin_folder / adapter.program).symlink_to(program)
    python = Path(sys.executable).resolve()
    program.write_text(_PROGRAM.format(python=python, here=str(place), version=f"{name} {version}"))
    program.chmod(0o755)
    fake = FakeCli(place, bin_folder)
    fake.plan()
    return fake
