"""validate --production: what is broken is what changes, and the command that is printed mends it."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rad_engineer.delivery import checks
from tests import readiness
from tests.readiness import World, flip

CAMPAIGN = "RAD_READINESS" in os.environ
OLD_GIT = "printf '#!/bin/sh\\necho git version 2.30.2\\n' > ~/bin/git; chmod +x ~/bin/git"
NEVER_PASS = {"integrations.webhook", "index.connection"}

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Fault:
    """What breaks a world as its user: by a change to it, or (`before`) in the shell that looks.

    Where no command mends it, the text `says` what to do, and `undo` does that by hand.
    """

    check: str
    status: str
    breaks: Callable[[World], object] | None = None
    before: str = ""
    says: str = ""
    undo: Callable[[World], object] | None = None


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in report["checks"]}


def row(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in report["checks"] if row["id"] == name)
    return found


def in_project(name: str, text: str) -> Callable[[World], object]:
    return lambda world: (world.project / name).write_text(text)


def rotate(world: World) -> None:
    world.api.key = readiness.OTHER_KEY


def credentials(world: World) -> Path:
    return world.home / ".config" / "rad-engineer" / "credentials"


def state(world: World) -> Path:
    return world.home / ".local" / "state" / "rad-engineer"


def stale_lock(world: World) -> None:
    lock = world.project / ".git" / "refs" / "heads" / "rad" / "x.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    world.who.moves_in()


def move(old: str, new: str) -> Callable[[World], object]:
    return lambda world: (world.home / old).rename(world.home / new)


def ours(severity: str) -> Callable[[World], object]:
    def write(world: World) -> None:
        (world.project / "policy").mkdir(exist_ok=True)
        text = f'[policy.severity]\ntests-removed = "{severity}"\n'
        (world.project / "policy" / "ours.toml").write_text(text)

    return write


def damage(world: World) -> None:
    journal = world.runs()[-1] / "journal.jsonl"
    flip(journal, journal.read_bytes().index(b"story_started"))


def flip_audit(world: World) -> None:
    flip(next((world.runs()[-1] / "audit").glob("*.jsonl")), 200)


def run(script: str) -> Callable[[World], object]:
    def ran(world: World) -> None:
        assert world.shell(script).code == 0, script

    return ran


def answers_again(world: World) -> None:
    world.api = readiness.Api(world.api.server_address[1])


def listens_no_more(world: World) -> None:
    world.collector.close()


def listens_again(world: World) -> None:
    world.collector = socket.create_server(world.collector_at)


FAULTS = [
    Fault("api.call", "FAIL", rotate),
    Fault("api.call", "FAIL", lambda world: world.api.close(),
          says="is the network there?", undo=answers_again),
    Fault("api.call", "SKIP", before="export RAD_UPSTREAM=mock"),
    Fault("api.call", "SKIP", before="export RAD_OFFLINE=1"),
    Fault("api.call", "FAIL", lambda world: credentials(world).unlink()),
    Fault("agents.chosen", "FAIL", before="export RAD_AGENT=mock"),
    Fault("agents.program", "FAIL", before="export RAD_AGENT=command RAD_AGENT_COMMAND=no-such-agent",
          says="`no-such-agent` is not found on PATH", undo=run("ln -s /bin/true ~/bin/no-such-agent")),
    Fault("resources.processors", "WARN", before="taskset -cp 0 $$ >/dev/null"),
    Fault("resources.memory", "WARN", before="ulimit -S -v 1000000"),
    Fault("resources.folders", "FAIL", lambda world: (world.home / ".cache" / "rad-engineer").chmod(0o500)),
    Fault("resources.descriptors", "FAIL", before="ulimit -S -n 200"),
    Fault("resources.processes", "WARN", before="ulimit -S -u 240"),
    Fault("security.settings", "FAIL", in_project("rad-engineer.toml", readiness.SETTINGS + "[limitz]\nx = 1\n"),
          says="limits", undo=in_project("rad-engineer.toml", readiness.SETTINGS + "[limits]\n")),
    Fault("security.sandbox", "FAIL", before="export RAD_SANDBOX=off"),
    Fault("security.key-storage", "FAIL", lambda world: credentials(world).chmod(0o644)),
    Fault("security.private-files", "FAIL", lambda world: state(world).chmod(0o777)),
    Fault("security.private-files", "FAIL", lambda world: (state(world) / "audit" / "key").chmod(0o644)),
    Fault("security.trust", "FAIL", in_project("rad-engineer.toml", readiness.SETTINGS + 'other = "true"\n')),
    Fault("security.policy", "WARN", ours("off"), says="see [policy.severity], and policy/*.toml", undo=ours("block")),
    Fault("security.audit", "FAIL", flip_audit, says="bring the files back from a copy", undo=flip_audit),
    Fault("security.audit", "WARN", before="export RAD_AUDIT=off"),
    Fault("integrations.git", "FAIL", run(OLD_GIT),
          says="needs git 2.38 or newer", undo=run("ln -sf /usr/bin/git ~/bin/git")),
    Fault("integrations.repository", "FAIL", run("git update-ref -d HEAD"),
          says="git add -A && git commit -m 'First commit'", undo=run("git add -A && git commit -m 'First commit'")),
    Fault("integrations.identity", "WARN", lambda world: world.who.git("config", "--unset", "user.email"),
          says="git config user.email MAIL", undo=run("git config user.email grace@example.org")),
    Fault("integrations.remote", "WARN", move("remote.git", "gone.git"),
          says="see `git remote get-url origin`", undo=run('mv ~/gone.git "$(git remote get-url origin)"')),
    Fault("integrations.engine", "WARN", lambda world: (world.home / "bin" / "stopped").touch(),
          says="start it", undo=lambda world: (world.home / "bin" / "stopped").unlink()),
    Fault("integrations.collector", "WARN", listens_no_more, says="start the collector", undo=listens_again),
    Fault("state.locks", "FAIL", stale_lock),
    Fault("state.runs", "FAIL", damage),
    Fault("state.growth", "WARN", lambda world: readiness.old_runs(world, 55)),
]  # fmt: skip
BY_HAND = ["resources.disk", "resources.watches", *(fault.check for fault in FAULTS if fault.says)]


def first(report: dict[str, Any], name: str) -> list[str]:
    """The checks that have to be mended before this one, the nearest first."""
    cause = row(report, name)["because"]
    return [cause, *first(report, cause)] if cause else []


def assert_only(clean: dict[str, Any], broken: dict[str, Any], fault: Fault) -> None:
    """This check has changed, and no other one that does not wait for it."""
    before, after = statuses(clean), statuses(broken)
    changed = {name for name in before if before[name] != after[name]}
    waits = {name for name in changed if fault.check in first(broken, name)}
    assert (changed - waits, after[fault.check]) == ({fault.check}, fault.status), broken


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with readiness.world(tmp_path) as made:
        yield made


def test_a_world_without_a_fault_is_ready_and_what_is_safe_is_mended(world: World) -> None:
    clean = world.look()
    assert (clean["verdict"], world.api.calls) == ("READY", 1), clean
    assert {name for name, status in statuses(clean).items() if status != "PASS"} == NEVER_PASS
    assert {check.id for check in checks.CHECKS if check.when != "full"} == set(statuses(clean))

    faults = [
        fault
        for fault in FAULTS
        if fault.check in ("resources.folders", "security.key-storage", "state.locks", "state.runs")
    ]
    for fault in faults:
        assert fault.breaks is not None
        fault.breaks(world)
    broken = world.look()
    assert [row(broken, fault.check)["status"] for fault in faults] == ["FAIL"] * 4
    assert broken["verdict"] == "NOT READY"
    mended = world.look(more="--fix --yes")
    assert statuses(mended) == statuses(clean)


def test_the_screen(world: World) -> None:
    ran = world.shell("rad-engineer validate --production")
    assert ran.out == (
        "✓ API Connectivity: PASS\n✓ Agent Programs: PASS\n✓ Resource Availability: PASS\n✓ Security Configuration: PASS\n"
        "✓ Integration Health: PASS\n- ESS Connection: SKIP (this version asks no index service)\n✓ State: PASS\n"
        "\nProduction Readiness: READY\n"
    )
    ran = world.shell(
        "rad-engineer validate --production --offline --report ~/report.json; rad-engineer health"
    )
    assert "\nProduction Readiness: READY (offline: API not checked)\n" in ran.out
    assert ran.out.endswith("✓ State: PASS\n\nHealth: HEALTHY\n")
    report = json.loads((world.home / "report.json").read_text())
    assert (report["ready"], row(report, "api.call")["status"]) == (True, "SKIP")
    assert world.api.calls == 1


@pytest.mark.skipif(not CAMPAIGN, reason="takes minutes: set RAD_READINESS")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_exactly_this_check_changes_and_what_it_says_mends_it(world: World, fault: Fault) -> None:
    clean = world.look()
    assert clean["verdict"] == "READY", clean
    if fault.breaks is not None:
        fault.breaks(world)
    broken = world.look(fault.before)
    assert_only(clean, broken, fault)
    found = row(broken, fault.check)
    assert (found["fix"] is None) is bool(fault.says), found
    if fault.undo is not None:
        assert fault.says in found["advice"], found
        fault.undo(world)
        mended = world.look(fault.before)
    elif found["fix_kind"] == "shell":
        mended = world.look(f"{fault.before}\n{found['fix']}")
    else:
        world.fix(found["fix"])
        mended = world.look()
    assert statuses(mended) == statuses(clean), json.dumps(mended)


@pytest.mark.skipif(not CAMPAIGN, reason="takes minutes: set RAD_READINESS")
def test_a_disk_that_is_full(world: World) -> None:
    """A small file system under the cache, filled by the user."""
    cache = world.home / ".cache"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2g,mode=0777", "tmpfs", str(cache)], check=False
    ).returncode:
        pytest.skip("NO EVIDENCE: no file system can be mounted here")
    try:
        clean = world.look()
        assert clean["verdict"] == "READY"
        subprocess.run(["mount", "-o", "remount,size=8m", str(cache)], check=True)
        world.shell("head -c 16M /dev/zero > ~/.cache/full")
        assert_only(clean, world.look(), Fault("resources.disk", "FAIL"))
        (cache / "full").unlink()
        subprocess.run(["mount", "-o", "remount,size=2g", str(cache)], check=True)
        assert statuses(world.look()) == statuses(clean)
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True)


@pytest.mark.skipif(not CAMPAIGN, reason="takes minutes: set RAD_READINESS")
def test_watches_that_others_of_the_user_hold(world: World) -> None:
    clean = world.look()
    hold = (
        "import ctypes, time\nlibc = ctypes.CDLL(None)\nwhile libc.inotify_init1(0) >= 0: pass\n"
        "print('held', flush=True)\ntime.sleep(500)"
    )
    with world.who.popen("bash", "-c", f'ulimit -n 4096; exec {world.who.python} -c "{hold}"') as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert_only(clean, world.look(), Fault("resources.watches", "WARN"))
        finally:
            holder.send_signal(signal.SIGKILL)
    assert statuses(world.look()) == statuses(clean)


@pytest.mark.skipif(not CAMPAIGN, reason="takes minutes: set RAD_READINESS")
def test_every_check_has_been_seen_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(
            f"\n{len(BY_HAND)} of {len(FAULTS) + 2} faults are mended by hand: {', '.join(sorted(BY_HAND))}"
        )
    tried = {fault.check for fault in FAULTS} | {"resources.disk", "resources.watches"}
    assert {check.id for check in checks.CHECKS if check.when != "full"} - tried == NEVER_PASS
