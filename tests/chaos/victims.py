"""Who is who among the processes of a run, seen from outside, and how they are killed."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from rad_engineer.process.tree import children, descendants

VICTIMS = ("coordinator", "zygote", "worker", "agent", "git", "gate", "everything")
_OURS = " -m rad_engineer"
ENDING = ("coordinator", "git", "everything")  # after these a new start may be needed


def kill(victim: str, coordinator: int, chance: random.Random, spared: set[str]) -> int:
    """Kills what there is of that kind and returns how many it were; `spared` are stories whose agent stays."""
    chosen = {
        "coordinator": lambda: [coordinator],
        "zygote": lambda: zygotes(coordinator),
        "worker": lambda: _one(workers(coordinator), chance),
        "agent": lambda: _one([pid for pid in agents(coordinator) if story_of(pid) not in spared], chance),
        "git": lambda: _one(gits(coordinator), chance),
        "gate": lambda: _one(gates(coordinator), chance),
        "everything": lambda: _all(coordinator, chance),
    }[victim]()
    if victim == "agent":
        spared.update(story_of(pid) for pid in chosen)  # killed twice it would be the same failure twice
    return end(chosen)


def end(chosen: list[int]) -> int:
    """Kills them, and says how many they are."""
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(chosen)


def zygotes(coordinator: int) -> list[int]:
    """The zygote leads a session, in which its workers are, also when they have come up to the coordinator."""
    return [pid for pid in children(coordinator) if _is_ours(pid) and _session(pid) == pid]


def workers(coordinator: int) -> list[int]:
    """All workers, also those of a zygote that has been killed; not what they or the coordinator just fork."""
    above = zygotes(coordinator)
    below = [pid for parent in (coordinator, *above) for pid in children(parent)]
    strange = {_session(coordinator), 0}
    return [pid for pid in below if _is_ours(pid) and _session(pid) not in {*strange, pid}]


def agents(coordinator: int) -> list[int]:
    """The main processes of the agents."""
    below = [pid for worker in workers(coordinator) for pid in children(worker)]
    named = [(pid, _command(pid)) for pid in below]  # once: what is just being started changes its name
    return [pid for pid, command in named if "agent.sh" in command and _OURS not in command]


def gits(coordinator: int) -> list[int]:
    """Every git that we have started: agents have none."""
    return [pid for pid in descendants([coordinator]) if _command(pid).startswith("git -c core.hooksPath")]


def gates(coordinator: int) -> list[int]:
    """The main processes of the gates: in a copy that no agent has."""
    below = [pid for worker in workers(coordinator) for pid in children(worker)]
    return [pid for pid in below if "/gates/" in _folder(pid) and not _command(pid).startswith("git")]


def family(coordinator: int) -> list[str]:
    """All processes of a run that does not end: what they are, and what they do."""
    return [f"{pid} {_doing(pid)} {_command(pid)[:80]}" for pid in descendants([coordinator])]


def _doing(pid: int) -> str:
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return f"{parent[0]} of {parent[1]} in {Path(f'/proc/{pid}/wchan').read_text()}"
    except OSError:
        return "gone"


def _all(coordinator: int, chance: random.Random) -> list[int]:
    """Every git and gate too, but not what agents have left behind: that is for the next start to find."""
    found = [pid for pid in descendants([coordinator]) if "sleep 60" not in _command(pid)]
    chance.shuffle(found)
    return found


def _one(pids: list[int], chance: random.Random) -> list[int]:
    return [chance.choice(pids)] if pids else []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _folder(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def _is_ours(pid: int) -> bool:
    return _OURS in _command(pid)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def story_of(pid: int) -> str:
    """The story that an agent works at."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    names = [entry for entry in environment if entry.startswith(b"RAD_STORY_ID=")]
    return names[0].partition(b"=")[2].decode() if names else ""
