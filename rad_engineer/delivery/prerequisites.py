"""What rad-engineer needs of a machine and a repository, looked at one by one."""

import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rad_engineer import durable, gates, git, sandbox, settings, store
from rad_engineer.errors import RadError
from rad_engineer.launch import ground
from rad_engineer.process import capture
from rad_engineer.process import tree as process_tree
from rad_engineer.settings_schema import SETTINGS

_GIT_AT_LEAST = (2, 38)  # merge-tree --write-tree
_PYTHON_AT_LEAST = (3, 11)
_LITTLE_SPACE = 1024**3
_LARGEST = 10_000_000  # bytes of a file that may tell of gates
_OURS = frozenset({"RAD_PROMPT_FILE", "RAD_STORY_ID", "RAD_STORY_TITLE", "RAD_ATTEMPT", process_tree.MARK})


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `missing` means that nothing can run without it."""

    name: str
    status: Literal["ok", "warning", "missing"]
    detail: str
    hint: str = ""


def look(folder: Path, env: Mapping[str, str]) -> Iterator[Check]:
    """Looks at all of it."""
    yield _python()
    yield git_program(env)
    try:
        repository = git.discover(folder)
    except RadError as error:
        yield Check("repository", "missing", str(error), error.hint or "")
        top = ground.work_tree(folder) or folder
        home = top
    else:
        top, home = repository.top, repository.home
        yield Check(
            "repository", "warning" if repository.warnings else "ok", str(top), "; ".join(repository.warnings)
        )
        yield from _locks(repository.common_dir)
    yield from _space(home, env)
    yield from _configuration(top, env)
    yield _processes()
    yield _sandbox()
    yield from _runs(home)


def _python() -> Check:
    version = platform.python_version()
    if sys.version_info < _PYTHON_AT_LEAST:
        return Check("python", "missing", version, "rad-engineer needs Python 3.11 or newer")
    return Check("python", "ok", f"{version} ({sys.executable})")


def git_program(env: Mapping[str, str]) -> Check:
    """Git, new enough to merge without a work tree."""
    if shutil.which("git") is None:
        return Check("git", "missing", "not found", "install git, e.g. `sudo apt-get install git`")
    _, out, _ = capture(["git", "--version"], env=env, timeout=10)
    version = out.decode("utf-8", "replace").strip().removeprefix("git version ")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _GIT_AT_LEAST:
        return Check(
            "git", "missing", version, "rad-engineer needs git 2.38 or newer (merge-tree --write-tree)"
        )
    return Check("git", "ok", version)


def _space(home: Path, env: Mapping[str, str]) -> Iterator[Check]:
    places = {
        "project": home,
        "state folder": settings.state_home(env),
        "cache folder": settings.cache_home(env),
    }
    for name, wanted in places.items():
        place = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
        free = shutil.disk_usage(place).free
        detail = f"{wanted} ({free / 1024**3:.1f} GB free)"
        if not os.access(place, os.W_OK | os.X_OK):
            yield Check(name, "missing", f"{wanted} cannot be written", f"allow writing in {place}")
        elif free < _LITTLE_SPACE:
            yield Check(name, "warning", detail, "make room: a run keeps working copies and logs")
        else:
            yield Check(name, "ok", detail)


def _configuration(top: Path, env: Mapping[str, str]) -> Iterator[Check]:
    known = {setting.variable for setting in SETTINGS.values()}
    strangers = sorted(name for name in env if name.startswith("RAD_") and name not in known | _OURS)
    if strangers:
        yield Check("environment", "warning", f"no setting is called {', '.join(strangers)}",
                    "`rad-engineer config reference` lists all variables")  # fmt: skip
    try:
        found = settings.load(top, {}, env)
        agent = settings.resolve_agent(found, env)
    except RadError as error:
        yield Check("configuration", "missing", str(error), error.hint or "")
        return
    used = sorted({origin for origin in found.origins.values() if origin != "default"})
    yield Check("configuration", "ok", ", ".join(used) or "defaults")
    yield agent_of(agent, env)
    yield _gates(found, top)


def agent_of(agent: settings.AgentChoice, env: Mapping[str, str]) -> Check:
    """Who works, and whether that program is there."""
    if agent.name is None:
        return Check("agent", "warning", "none: `run` only rehearses",
                     'give --agent-command "…", or set `command` under [agent] in rad-engineer.toml')  # fmt: skip
    if agent.name == "mock":
        return Check("agent", "warning", f"mock (from {agent.origin}): `run` only rehearses")
    if agent.name != "command":
        return _chosen(agent, env)
    try:
        program = shlex.split(agent.command)[0]
    except (ValueError, IndexError):
        program = ""
    detail = f"{agent.command} (from {agent.origin})"
    if re.fullmatch(r"[\w./+-]+", program) and shutil.which(program, path=env.get("PATH")) is None:
        return Check("agent", "warning", detail, f"`{program}` is not found on PATH")
    return Check("agent", "ok", detail)


def _chosen(agent: settings.AgentChoice, env: Mapping[str, str]) -> Check:
    from rad_engineer.agents import choice  # noqa: PLC0415 - only where one is named

    try:
        found = choice.choose(agent, env, key=choice.has_key(env))
    except RadError as error:
        return Check("agent", "missing", str(error), error.hint or "")
    if found.rehearsal:
        return Check("agent", "warning", f"{found.sentence()}: `run` only rehearses",
                     "store a key with `rad-engineer login`, or install one of `rad-engineer agents`")  # fmt: skip
    return Check("agent", "warning" if found.warnings else "ok", found.sentence(), "; ".join(found.warnings))


def _gates(found: settings.Settings, top: Path) -> Check:
    if found.gates:
        return Check("gates", "ok", ", ".join(found.gates))
    detected = (
        gates.detect(
            lambda name: _content(top / name),
            [entry.name for entry in top.iterdir() if entry.is_file() or entry.is_dir()],
        )
        if found.detect_gates
        else []
    )
    if detected:
        return Check(
            "gates", "ok", "detected: " + ", ".join(f"{gate.name} ({gate.command})" for gate in detected)
        )
    return Check("gates", "warning", "none: stories without verify commands end as done-unverified",
                 'set one under [gates] in rad-engineer.toml, e.g. test = "pytest -q"')  # fmt: skip


def _content(path: Path) -> bytes | None:
    try:
        return durable.read_regular(path, _LARGEST)
    except OSError:
        return None


def _processes() -> Check:
    lacking = []
    if not Path("/proc/self/environ").exists():
        lacking.append("/proc")
    if not hasattr(os, "pidfd_open"):
        lacking.append("pidfd")
    if not process_tree.become_subreaper():
        lacking.append("subreaper")
    if lacking:
        return Check("processes", "warning", f"without {', '.join(lacking)}",
                     "an agent's detached processes can outlive a run that was killed")  # fmt: skip
    return Check("processes", "ok", "whole process trees end with their story, also after kill -9")


def _sandbox() -> Check:
    try:
        return Check("sandbox", "ok", sandbox.choose("auto").told)
    except RadError as error:
        return Check("sandbox", "warning", str(error), error.hint or "")


def _locks(common_dir: Path) -> Iterator[Check]:
    ours = [common_dir / "refs" / "heads" / "rad", common_dir / "refs" / "rad"]
    stale = [str(path) for folder in ours for path in folder.rglob("*.lock")]
    if stale:
        yield Check("locks", "warning", f"left by a killed run: {', '.join(stale)}",
                    "the next `rad-engineer run` or `resume` removes them")  # fmt: skip


def _runs(home: Path) -> Iterator[Check]:
    unfinished = []
    for run in store.runs(home):
        try:
            if store.load(run).state != "finished":
                unfinished.append(run.run)
        except RadError as error:
            yield Check("runs", "warning", str(error))
    if unfinished:
        yield Check("runs", "ok", f"unfinished: {', '.join(unfinished)}", "go on with `rad-engineer resume`")
