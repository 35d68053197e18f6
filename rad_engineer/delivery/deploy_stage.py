"""The deploy stage: once everything of a run is green, its commit is deployed by the project's own command, and once only.

`deploy.jsonl` in the run directory says what was begun and how it ended, each line on disk before what follows from it. A
deployment that was cut off is never simply done again: its health decides.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import durable, git, locks, past_run, process, store
from rad_engineer.errors import ExitCode, NoInput, Refused
from rad_engineer.launch.ground import Ground

_LEFT_OUT = ("ANTHROPIC_", "RAD_DEPLOY_")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Due:
    """A run whose end may be deployed."""

    place: Ground
    rundir: store.RunDir
    commit: str
    branch: str

    @property
    def mark(self) -> str:
        """What processes of its deployment carry in their environment."""
        return f"{self.rundir.run}-deploy"


def due(place: Ground, name: str | None = None) -> Due:
    """The run of that name, else the newest one that landed something; raises where it may not be deployed."""
    if not place.settings.deploy_command:
        raise NoInput("no deployment is configured", hint="set `command` under [deploy] in rad-engineer.toml")
    for rundir in past_run.folders(place):
        if name is not None and not rundir.run.startswith(name):
            continue
        known = store.load(rundir)
        if name is None and (known.kind != "real" or not known.head):
            continue
        return _gated(place, rundir, known.kind, known.exit_code, (known.head, known.branch))
    raise NoInput("there is no run to deploy" if name is None else f"there is no run {name}",
                  hint="see: rad-engineer status")  # fmt: skip


def _gated(
    place: Ground, rundir: store.RunDir, kind: str, code: int | None, ends: tuple[str | None, str | None]
) -> Due:
    """The gate: all of the run is green, and its branch is where the run has left it."""
    commit, branch = ends
    if kind != "real" or code != ExitCode.OK or commit is None or branch is None or place.repository is None:
        raise Refused(
            f"run {rundir.run} is not to be deployed: it has not ended with everything green",
            hint=f"see: rad-engineer report {rundir.run}",
        )
    with suppress(NoInput):  # merged and deleted is fine
        tip = git.resolve(place.repository, f"refs/heads/{branch}")
        if tip != commit:
            raise Refused(f"{branch} has moved since run {rundir.run}: {tip[:12]} was judged by nobody",
                          hint="run the PRD again, or deploy that yourself")  # fmt: skip
    return Due(place, rundir, commit, branch)


def carry_out(one: Due, tell: Tell, *, execute: bool, again: bool = False) -> ExitCode:
    """Says what would be done; with `execute` does it, unless it has been done. Exit code 4: somebody has to look."""
    settings = one.place.settings
    if not execute:
        tell(f"deploy: {one.commit[:12]} of {one.branch} would be deployed by `{settings.deploy_command}`")
        tell("hint: rad-engineer deploy run --execute")
        return ExitCode.OK
    with locks.acquire(one.rundir.path / "deploy.lock", 0.0, process.describe_self("deploy")):
        before = "" if again else _before(one)
        if before == "deployed":
            tell(f"deploy: {one.commit[:12]} is deployed already")
            return ExitCode.OK
        if before == "begun":
            process.sweep(one.mark)  # what it has left running
            return _recover(one, tell)
        _note(one, "deploy_started", command=settings.deploy_command)
        tell(f"deploy: {one.commit[:12]} of {one.branch} by `{settings.deploy_command}`")
        if _run(one, "deploy", str(settings.deploy_command), tell) and _is_healthy(one, tell):
            return _ended(one, tell, "deployed")
        return _roll_back(one, tell)


def _recover(one: Due, tell: Tell) -> ExitCode:
    """Goes on after a deployment that was cut off: it is done, undone, or for a person to look at."""
    tell(f"deploy: the deployment of {one.commit[:12]} was cut off; it is not done a second time")
    if one.place.settings.deploy_health and _is_healthy(one, tell):
        return _ended(one, tell, "deployed")
    if one.place.settings.deploy_rollback:
        return _roll_back(one, tell)
    tell("hint: see what is deployed; `rad-engineer deploy run --execute --again` deploys once more")
    return ExitCode.WAITING


def _roll_back(one: Due, tell: Tell) -> ExitCode:
    command = one.place.settings.deploy_rollback
    if not command:
        return _ended(one, tell, "failed")
    tell(f"deploy: going back by `{command}`")
    return _ended(one, tell, "rolled-back" if _run(one, "rollback", command, tell) else "rollback-failed")


def _is_healthy(one: Due, tell: Tell) -> bool:
    command = one.place.settings.deploy_health
    return not command or _run(one, "health", command, tell)


def _ended(one: Due, tell: Tell, outcome: str) -> ExitCode:
    _note(one, "deploy_finished", outcome=outcome)
    tell(f"deploy: {outcome}; output in {one.rundir.path / 'deploy'}")
    return ExitCode.OK if outcome == "deployed" else ExitCode.FAILED


def _run(one: Due, what: str, command: str, tell: Tell) -> bool:
    """One command in the user's own checkout: not in a copy that agents wrote."""
    folder = one.rundir.path / "deploy"
    with durable.writing(folder):
        folder.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    env |= {"RAD_DEPLOY_COMMIT": one.commit, "RAD_DEPLOY_BRANCH": one.branch, "RAD_DEPLOY_RUN": one.rundir.run,
            process.MARK: one.mark}  # fmt: skip
    limits = process.Limits(seconds=one.place.settings.deploy_timeout)
    ended = process.run(
        process.shell(command), cwd=one.place.top, env=env, log=folder / f"{what}.log", limits=limits,
        keep=what != "health",  # what it starts is what is deployed
    )  # fmt: skip
    well = ended.code == 0 and ended.reason == "exited"
    _note(one, f"{what}_ended", ok=well, code=ended.code, reason=ended.reason)
    if not well:
        tell(f"deploy: `{command}` failed: {process.plain(ended.last_line) or ended.reason}")
    return well


def _before(one: Due) -> str:
    """What is known of this commit, from all runs: deployed, begun and not ended, or nothing that counts."""
    found = ""
    for rundir in past_run.folders(one.place):
        for line in events(rundir.path):
            if line.get("commit") == one.commit:
                outcome = str(line.get("outcome", ""))
                found = {"deploy_started": "begun", "deploy_finished": outcome}.get(str(line["event"]), found)
        if found in ("deployed", "begun"):
            return found
    return ""


def events(folder: Path) -> list[Mapping[str, Any]]:
    """The lines of a run's deployments; one that a crash cut off never happened."""
    try:
        lines = (folder / "deploy.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(plain) for line in lines if (plain := durable.unseal(line)) is not None]


def _note(one: Due, event: str, **more: Any) -> None:
    line = {"schema_version": durable.SCHEMA_VERSION, "event": event, "commit": one.commit, **more}
    path = one.rundir.path / "deploy.jsonl"
    with durable.writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            durable.write_all(handle, (b"\n" if torn else b"") + durable.seal(durable.dump(line)) + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        durable.sync_folder(path.parent)
