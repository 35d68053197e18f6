"""What must hold after a run of the twelve has been killed and brought to its end."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from twelve import GOOD, NAMES, SHARED, Said, Twelve

Kill = tuple[float, float]
"""When it began and when it was over: on a busy machine that is not the same."""
LAST_WORD = 0.1  # s: so long it can take on a busy machine until who has said that it ends has ended
WINDOW = 0.25  # s: the same, and until that is written down; only where nobody is left to write


def violations(run: Twelve, kills: Sequence[Kill], window: float = LAST_WORD) -> dict[str, str]:
    """Which truths are broken, and how; `window`: so late a kill still undoes what an agent has done."""
    found = {name: check(run) for name, check in TRUTHS.items()}
    found["bought again"], found["in the window"] = bought_again(run.said(), kills, window)
    return {name: problem for name, problem in found.items() if problem}


def bought_again(said: Sequence[Said], kills: Sequence[Kill], late: float) -> tuple[str, str]:
    """Agents that were started although their work was done: and written down; or just not yet, when they were killed."""
    plain = [f"{line.story}: attempt {line.attempt}" for line in said if line.word == "paid"]
    window = []
    for name in NAMES:
        mine = [line for line in said if line.story == name and line.word in ("start", "end")]
        for before, after in pairwise(mine):
            if before.word != "end" or (before.attempt != after.attempt and _sent_back(said, before)):
                continue
            with_it = any(since - late < before.at < until + late for since, until in kills)
            (window if with_it else plain).append(f"{name}: attempt {before.attempt}, then {after.attempt}")
    return ", ".join(plain), ", ".join(window)


def _sent_back(said: Sequence[Said], end: Said) -> bool:
    """S08 is red once; of S02 and S03 one conflicts with the other, once."""
    if end.story == "S08":
        return end.attempt == 1
    ends = {
        (line.story, line.attempt) for line in said if line.word == "end" and line.story in ("S02", "S03")
    }
    return end.story in ("S02", "S03") and len(ends) <= 3


def _tree(run: Twelve) -> str:
    names = run.project.git("ls-tree", "-r", "--name-only", "rad/demo").split()
    wanted = sorted(
        [".gitignore", "prd.json", "rad-engineer.toml", "shared.txt", *(f"out/{n}.txt" for n in GOOD)]
    )
    if names != wanted:
        return f"the tree has {names}"
    shared = run.project.git("show", "rad/demo:shared.txt")
    return "" if shared == SHARED else f"shared.txt is {shared!r}"


def _landed_once(run: Twelve) -> str:
    branch = run.project.landed("rad/demo")
    told = Counter(event["story"] for event in _events(run) if event["event"] == "story_landed")
    once = sorted(branch) == GOOD and told == Counter(GOOD)
    return "" if once else f"on the branch: {branch}; told: {dict(told)}"


def _passes(run: Twelve) -> str:
    return "" if run.project.passes() == GOOD else f"marked: {run.project.passes()}"


def _events(run: Twelve) -> list[dict]:
    newest = max(path.parent for path in run.runs.glob("*/journal.jsonl"))
    return [json.loads(line) for line in (newest / "journal.jsonl").read_bytes().splitlines()]


def _journal(run: Twelve) -> str:
    numbers = [event["seq"] for event in _events(run)]
    return "" if numbers == list(range(1, len(numbers) + 1)) else f"sequence numbers {numbers}"


def _one_run(run: Twelve) -> str:
    names = sorted(path.name for path in run.runs.iterdir())
    return "" if len(names) == 1 else f"run directories: {names}"


def _overlap(run: Twelve) -> str:
    return ", ".join(f"{said.story} {said.attempt}" for said in run.said() if said.word == "overlap")


def _locks(run: Twelve) -> str:
    """Git's locks, and the notes that say whose they are; ours are files that stay."""
    git = run.project.folder / ".git"
    found = [*git.rglob("*.lock"), *git.glob("rad-engineer.refs.*")]
    found += (run.project.folder.parent / "cache").glob("rad-engineer/*/*/*.git/*.lock")
    return ", ".join(str(path) for path in found if path.name != "rad-engineer.lock")


def _refs(run: Twelve) -> str:
    names = run.project.git("for-each-ref", "--format=%(refname)", "refs/rad").split()
    stories = [name for name in names if name.split("/")[-1] not in ("base", "tip")]
    left = [name for name in stories if not name.startswith("refs/rad/rescue/")]
    return ", ".join(left)


def _debris(run: Twelve) -> str:
    changed = run.project.git("status", "--porcelain").split("\n")[:-1]
    left = [] if changed == [" M prd.json"] else changed
    left += [str(path) for path in run.project.folder.rglob("*.new")]
    left += [str(path) for path in (run.project.folder / ".git").rglob("tmp_obj_*")]
    return ", ".join(left)


def _whole(run: Twelve) -> str:
    ended = subprocess.run(
        ["git", "fsck", "--connectivity-only", "--no-dangling"], cwd=run.project.folder, env=run.project.env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.stdout + ended.stderr if ended.returncode else ""


def _told(run: Twelve) -> str:
    """`status` and `report` say what is so."""
    wanted = {name: "passed" if name in GOOD else "failed" for name in NAMES} | {"S10": "blocked"}
    for verb in ("status", "report"):
        ran = run.project.rad(verb, "--json")
        if ran.code:
            return f"{verb}: {ran.err}"
        report = json.loads(ran.out)
        found = {story["key"]: story["status"] for story in report["stories"]}
        if (report["exit_code"], report["state"], found) != (1, "finished", wanted):
            return f"{verb}: {report['state']}, exit code {report['exit_code']}, {found}"
    return ""


def left_after_a_second(run: Twelve) -> str:
    """What still runs one second after a coordinator's death."""
    until = time.monotonic() + 1
    while (left := run.project.processes()) and time.monotonic() < until:
        time.sleep(0.02)
    return ", ".join(left)


TRUTHS: dict[str, Callable[[Twelve], str]] = {
    "same tree": _tree,
    "landed once": _landed_once,
    "written back": _passes,
    "nobody beside": _overlap,
    "nothing left": left_after_a_second,
    "no lock": _locks,
    "no ref": _refs,
    "told": _told,  # first: what a kill at the very end has left half written, the next to ask for it mends
    "no debris": _debris,
    "one run": _one_run,
    "journal": _journal,
    "objects": _whole,
}
