"""Is what must be kept safe: the sandbox, keys and who may read them, trust, policy, the audit log."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rad_engineer import past_run, sandbox, settings, trust
from rad_engineer.audit import key, verification
from rad_engineer.audit.log import FOLDER, files_of, head_path
from rad_engineer.core.printable import several
from rad_engineer.delivery.finding import Fix, Seen, failed, passed, quoted, skipped, warned
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError, Refused

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def walls(scene: Scene) -> Seen:
    """The sandbox: a real box is made, and harm is tried in it."""
    if isinstance(scene.settings, RadError):
        return skipped("the settings cannot be read", because="security.settings")
    wanted, origin = scene.settings.sandbox, scene.settings.origins.get("sandbox", "")
    if wanted == "off":
        evidence = f"off (from {origin}): agents run with all your rights"
        return failed(evidence, scene.unset(origin), "set sandbox.level to auto")
    try:
        chosen = sandbox.choose(wanted)
    except RadError as error:
        return failed(str(error), advice=error.hint or "")
    return passed(chosen.told.removeprefix("sandbox: "))


def configuration(scene: Scene) -> Seen:
    """Whether the settings can be read at all: no unknown key, no contradiction."""
    found = scene.settings
    if isinstance(found, RadError):
        return failed(str(found), advice=found.hint or "")
    used = sorted({origin for origin in found.origins.values() if origin != "default"})
    return passed(", ".join(used) or "defaults")


def key_storage(scene: Scene) -> Seen:
    """Where the key for the API lies, and whether others may read it."""
    from rad_engineer.gateway import credentials  # noqa: PLC0415 - not every command asks for keys

    found = scene.key
    if isinstance(found, Refused):
        path = credentials.stored_path(scene.env)
        mine = path.is_file() and not path.is_symlink() and path.stat().st_uid == os.getuid()
        fix = Fix(f"chmod 600 -- {quoted([path])}") if mine else None
        return failed(
            str(found),
            fix,
            "who has read it can spend with it: better make a new one, and rad-engineer login",
        )
    if isinstance(found, RadError):
        return failed(str(found), advice=found.hint or "")
    return passed("no key is kept" if found is None else f"from {found.source}; no agent and no gate sees it")


def private_files(scene: Scene) -> Seen:
    """What decides what may run, and what seals the audit log, is in nobody else's hands."""
    open_files = list(_open_files(scene))
    if not open_files:
        return passed(f"{settings.state_home(scene.env)} is yours alone to change")
    mine = all(path.stat().st_uid == os.getuid() for path in open_files)
    fix = Fix(f"chmod go-rwx -- {quoted(open_files)}") if mine else None
    return failed(f"others may read or change {', '.join(map(str, open_files))}", fix)


def _open_files(scene: Scene) -> Iterator[Path]:
    from rad_engineer.gateway import credentials  # noqa: PLC0415 - not every command asks for keys

    state = settings.state_home(scene.env)
    allowed = {
        state: _OTHERS_WRITE,
        key.folder(scene.env): _OTHERS_WRITE,
        key.path(scene.env): _OTHERS,
        trust.path(scene.env): _OTHERS_WRITE,
        credentials.stored_path(scene.env).parent: _OTHERS_WRITE,
    }
    for path, forbidden in allowed.items():
        if path.exists() and (path.stat().st_mode & forbidden or path.stat().st_uid not in (os.getuid(), 0)):
            yield path


def trusted(scene: Scene) -> Seen:
    """Whether the commands that the project's files bring along may run: else the first run would refuse."""
    from rad_engineer.launch import gate_plan, inputs  # noqa: PLC0415 - only here

    place, agents = scene.place, scene.agents
    if isinstance(scene.settings, RadError) or place is None:
        return skipped("nobody knows which commands", because=scene.in_the_way)
    if isinstance(agents, RadError):
        return skipped("nobody knows which agent", because="agents.chosen")
    reading = inputs.Reading(
        place.top, scene.wanted.stories_path, scene.wanted.tag, parallel=True, allow_dangling=True
    )
    commands = gate_plan.commands(place, inputs.read([], reading), scene.wanted, agents[0])
    known = trust.known_of(trust.trusted(place.id, env=scene.env))
    strange = sorted({text for kind, text in commands if trust.meant(kind, text) not in known})
    if strange:
        what = f"{several(len(strange), 'command')} of this project's files not trusted yet: {', '.join(strange)}"
        return failed(what, Fix("rad-engineer trust", "asks"))
    return passed(f"{several(len(commands), 'command')} of this project's files, all trusted")


def policy(scene: Scene) -> Seen:
    """The policy can be read, and blocks what it blocks by default."""
    from rad_engineer.core.policy import rules  # noqa: PLC0415 - only here
    from rad_engineer.gates import policy as policies  # noqa: PLC0415 - the same

    try:
        table = policies.load(scene.top, scene.wanted.policy)
        found = policies.policy_of(table)
    except RadError as error:
        return failed(str(error), advice=error.hint or "")
    default = rules(policies.policy_of({}))
    weaker = [
        name for name, rule in rules(found).items()
        if name in default and default[name].severity == "block" and found.severity.get(name, "block") != "block"
    ]  # fmt: skip
    if weaker:
        return warned(
            f"does not block: {', '.join(sorted(weaker))}", advice="see [policy.severity], and policy/*.toml"
        )
    return passed(several(len(rules(found)), "rule"))


def audit(scene: Scene) -> Seen:
    """The audit log is kept, and every log of a run is as it was written."""
    if scene.wanted.audit == "off":
        evidence = "off: nobody can say afterwards what a run has done"
        return warned(evidence, scene.unset(scene.wanted.origins["audit"]), "set audit.log to plain")
    try:
        own = key.find(scene.env)
    except Refused as error:
        return skipped(str(error), because="security.private-files")
    if own is None or scene.place is None:
        return passed(f"{scene.wanted.audit}; no log yet")
    bad, records, runs = [], 0, 0
    for rundir in past_run.folders(scene.place):
        if not files_of(rundir.path / FOLDER) and not head_path(scene.env, rundir.run).exists():
            continue
        checked = verification.check(rundir.path / FOLDER, rundir.run, own, head_path(scene.env, rundir.run))
        runs, records = runs + 1, records + checked.records
        bad += [f"{rundir.run}: {damage}" for damage in checked.damage[:1]]
    if bad:
        return failed(
            "; ".join(bad),
            advice="`rad-engineer audit verify RUN` names every place; bring the files back from a copy, or keep the "
            "run's folder somewhere else, as it is",
        )
    return passed(f"{scene.wanted.audit}; {several(records, 'record')} of {several(runs, 'run')} as written")
