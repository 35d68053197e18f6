"""run: execute PRDs until everything that can land has landed."""

import os
from collections.abc import Mapping, Sequence

from rad_engineer import settings
from rad_engineer.commands import Early
from rad_engineer.errors import ExitCode, NoAgent
from rad_engineer.launch import ground, inputs, models


def run(
    *,
    prds: Sequence[str],
    json: bool,
    plain: bool,
    verbose: bool,
    timings: bool,
    flags: Mapping[str, object],
    early: Early,
) -> int:
    """Runs PRDs; returns the exit code of the run."""
    from rad_engineer.commands import showing  # noqa: PLC0415

    place = ground.find(prds, flags, os.environ)
    wanted = place.settings
    if wanted.dry_run:
        return _dry_run(prds, flags, place)
    found = inputs.read(prds, reading(place))
    agent, access = models.settle(
        settings.resolve_agent(wanted, os.environ), wanted, early.secrets, os.environ
    )
    screen = showing.Screen(json=json, plain=plain)
    screen.start(found, agent, access, place)
    from rad_engineer.launch import start  # noqa: PLC0415 - after everything that can refuse cheaply
    from rad_engineer.launch.order import Order  # noqa: PLC0415 - the same

    order = Order(
        place, found, tuple(prds), wanted, agent, access, screen.views, early.zygote, verbose, timings
    )
    with screen.closing(), screen.served(place):
        ended = start.launch(order)
    screen.finish(order.inputs.graph, ended, place)
    if not agent.agents and ended.exit_code == ExitCode.NO_AGENT:
        raise NoAgent(
            "no agent is configured: this was a rehearsal, nothing was implemented and nothing landed",
            hint="run with --agent-command 'your agent', or set [agent] command in rad-engineer.toml",
        )
    return showing.deployed(ended, place)


def reading(place: ground.Ground) -> inputs.Reading:
    """How this run reads its PRDs."""
    wanted = place.settings
    return inputs.Reading(
        root=place.top if place.repository is not None else None,
        stories_path=wanted.stories_path,
        tag=wanted.tag,
        parallel=wanted.parallel,
        allow_dangling=wanted.allow_dangling,
    )


def _dry_run(prds: Sequence[str], flags: Mapping[str, object], place: ground.Ground) -> int:
    from rad_engineer import trust  # noqa: PLC0415 - only here
    from rad_engineer.commands.plan import plan  # noqa: PLC0415
    from rad_engineer.launch import gate_plan  # noqa: PLC0415

    taken = {name: value for name, value in flags.items() if name in _PLAN_FLAGS}
    code = plan(prds=prds, format="text", json=False, flags=taken)
    agent, _access = models.settle(
        settings.resolve_agent(place.settings, os.environ), place.settings, {}, os.environ
    )
    commands = gate_plan.commands(place, inputs.read(prds, reading(place)), place.settings, agent)
    if agent.command and ("agent", agent.command) not in commands:
        commands.append(("agent", agent.command))
    print("\n".join(["", "A run would use these commands:", *(trust.shown(commands) or ["  none"])]))
    return code


_PLAN_FLAGS = ("stories_path", "tag", "parallel", "allow_dangling", "only", "wave")
