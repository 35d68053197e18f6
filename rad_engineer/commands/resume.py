"""resume: go on with an unfinished run."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rad_engineer import durable, past_run, settings, store
from rad_engineer.commands import Early
from rad_engineer.commands.run import reading
from rad_engineer.errors import NoInput
from rad_engineer.launch import ground, inputs, known, models, records
from rad_engineer.settings import Settings
from rad_engineer.watch.output import Output


def resume(
    *,
    run: str | None,
    json: bool,
    plain: bool,
    verbose: bool,
    timings: bool,
    flags: Mapping[str, object],
    early: Early,
) -> int:
    """Goes on with the newest unfinished run, or with the one named; a finished one gives its report."""
    from rad_engineer.commands import showing  # noqa: PLC0415

    here = ground.look(os.environ)
    records.require_own(
        here, yes=bool(flags.get("yes")) or here.settings.yes, stdin=sys.stdin, stderr=sys.stderr
    )
    allowed = bool(flags.get("allow_unverified"))
    rundir = _choose(here, run, allowed=allowed)
    if not _goes_on(rundir, allowed=allowed):
        return _again(rundir, here, json=json)
    about = rundir.read_run()
    wanted = settings.with_flags(_of_now(Settings.from_json(about["settings"]), os.environ), flags)
    place = replace(here, settings=wanted)
    rules = about["rules"]
    if rules["workspace"] == "shared":
        place = replace(place, repository=None)
        if ground.is_at(Path(rules["top"]), None):
            top, home, cache = (Path(rules[name]) for name in ("top", "home", "cache"))
            place = replace(place, top=top, home=home, cache=cache)
    files = tuple(ground.moved(file, rules["home"], place.home) for file in about["files"])
    found = inputs.read(files, reading(place))
    agent, access = models.settle(_agent(about, wanted), wanted, early.secrets, os.environ)
    screen = showing.Screen(json=json, plain=plain)
    screen.start(found, agent, access, place)
    from rad_engineer.launch import start  # noqa: PLC0415 - after everything that can refuse cheaply
    from rad_engineer.launch.order import Order  # noqa: PLC0415 - the same

    order = Order(place, found, files, wanted, agent, access, screen.views, early.zygote, verbose, timings)
    with screen.closing(), screen.served(place):
        ended = start.launch(order, only=rundir)
    screen.finish(found.graph, ended, place)
    return showing.deployed(ended, place)


def _of_now(kept: Settings, env: Mapping[str, str]) -> Settings:
    """What a run was started with, but for being offline: that was said of the moment, not of the run."""
    if not kept.offline or kept.origins.get("offline", "").endswith(".toml"):
        return kept
    said = env.get("RAD_OFFLINE", "")
    return settings.with_flags(kept, {"offline": said or False})


def _goes_on(rundir: store.RunDir, *, allowed: bool) -> bool:
    """Whether a run has not ended, or has left work that may land now that it need not be verified."""
    if store.state(rundir) != "finished":
        return True
    records = store.load(rundir).stories.values() if allowed else ()
    return any(record.status == "done-unverified" and not record.landed for record in records)


def _choose(here: ground.Ground, name: str | None, *, allowed: bool) -> store.RunDir:
    runs = past_run.folders(here)
    if name is not None:
        for rundir in runs:
            if rundir.run == name or rundir.run.startswith(name):
                return rundir
        raise NoInput(f"there is no run {name}", hint="see `rad-engineer status`")
    for rundir in runs:
        try:
            if _goes_on(rundir, allowed=allowed) and (rundir is runs[0] or known.whole([rundir])):
                return rundir
        except durable.StateDamaged:
            if rundir is runs[0]:  # a damaged run that others came after is left alone
                raise
    past_run.complete(here)
    raise NoInput("there is no unfinished run here", hint="start one: rad-engineer run PRD")


def _agent(about: Mapping[str, Any], wanted: Settings) -> settings.AgentChoice:
    """The agent the run was started with, unless the command line names another."""
    if "--agent" in str(wanted.origins.get("agent", "")) or wanted.agent_command != about["settings"].get(
        "agent_command"
    ):
        return settings.resolve_agent(wanted, os.environ)
    rules = about["rules"]
    if rules["kind"] == "rehearsal":
        return settings.AgentChoice("mock" if wanted.agent == "mock" else None, "", f"run {about['run']}")
    name, *others = rules["agent"].split(",")
    return settings.AgentChoice(name, rules["agent_command"], f"run {about['run']}", tuple(others))


def _again(rundir: store.RunDir, here: ground.Ground, *, json: bool) -> int:
    """A finished run has nothing to go on with: its report, and its exit code."""
    from rad_engineer import past_run  # noqa: PLC0415 - only here

    found = past_run.report_text(rundir, here, json=json)
    if found is not None:
        Output(sys.stdout).write(found)
    return int(store.load(rundir).exit_code or 0)
