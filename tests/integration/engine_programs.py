"""Programs that answer as container engines do and write down what they were asked: for what needs no engine."""

import json
import stat
import sys
from pathlib import Path

_PROGRAM = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__)
words = sys.argv[1:]
with (here.parent / "asked.jsonl").open("a") as file:
    file.write(json.dumps([here.name, *words]) + "\\n")
for told in json.loads({answers!r}):
    if words[: len(told["words"])] == told["words"]:
        sys.stdout.write(told.get("out", ""))
        sys.stderr.write(told.get("err", ""))
        sys.exit(told.get("code", 0))
sys.stderr.write(here.name + ": unknown command: " + " ".join(words) + "\\n")
sys.exit(1)
"""

DOCKER = ({"words": ["--version"], "out": "Docker version 24.0.7, build afdd53b\n"},
          {"words": ["info"], "out": "24.0.7 Debian GNU/Linux 12 (bookworm)\n"})  # fmt: skip
ORBSTACK = (DOCKER[0], {"words": ["info"], "out": "27.1.1 OrbStack\n"})
DEAD = (DOCKER[0], {"words": ["info"], "out": "", "code": 1,
                    "err": "Cannot connect to the Docker daemon. Is the docker daemon running?\n"})  # fmt: skip
PODMAN = ({"words": ["--version"], "out": "podman version 4.3.1\n"}, {"words": ["version"], "out": "4.3.1\n"})
COMPOSE_2 = ({"words": ["compose", "version", "--short"], "out": "v2.24.5\n"},)
COMPOSE_1 = ({"words": ["version", "--short"], "out": "1.29.2\n"},)


def put(folder: Path, name: str, *answers: dict[str, object]) -> None:
    """Puts a program there that has these answers; the first that fits is given."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(_PROGRAM.format(python=sys.executable, answers=json.dumps(answers)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def asked(folder: Path) -> list[list[str]]:
    """What they were asked, in order."""
    path = folder / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
