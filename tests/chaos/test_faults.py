"""The n-th call of a kind fails: a clear error or a failed story, never a wrong "passed", and the next run ends well.

RAD_FAULT_STRIDE=1 makes a campaign of it: n = 1, 2, 3 … in every kind of process, until a run passes untouched.
"""

import os
import shutil
from collections import Counter
from errno import EAGAIN, EINTR, EIO, EMFILE, ENOMEM, ENOSPC, EROFS
from pathlib import Path

import pytest

from tests.chaos.faults import COORDINATOR, GIT, WORKER, ZYGOTE, Fault, Trial, build_shim, calls, fresh
from tests.conftest import Project, agent, prd, story
from tests.required import needs

STRIDE = int(os.environ.get("RAD_FAULT_STRIDE", "0"))
KINDS = {
    "write": ((ENOSPC, "once"), (EIO, "once"), (0, "short"), (EINTR, "once"), (EROFS, "once")),
    "sync": ((EIO, "once"), (ENOSPC, "once"), (EROFS, "once")),
    "name": ((ENOSPC, "once"), (EIO, "once"), (EROFS, "once")),
    "open": ((EMFILE, "once"), (ENOSPC, "once"), (EROFS, "once"), (EIO, "once")),
    "fd": ((EMFILE, "once"), (ENOMEM, "once")),
    "spawn": ((EAGAIN, "once"), (ENOMEM, "once")),
    "start": ((ENOSPC, "once"), (0, "once")),
    "disk": ((ENOSPC, "on"), (EROFS, "on")),
    "memory": ((ENOMEM, "once"),),
    "read": ((EIO, "once"),),
    "remove": ((EIO, "once"), (EROFS, "once")),
}
INSIDE_GIT = ("write", "sync", "name", "open", "fd", "read", "remove", "disk")
EVERYWHERE = COORDINATOR | ZYGOTE | WORKER | GIT
CAMPAIGN = [
    *((role, kind) for role in (COORDINATOR, WORKER) for kind in ("write", "sync", "name", "open", "fd", "spawn")),
    (ZYGOTE, "spawn"),
    *((role, "memory") for role in (COORDINATOR, WORKER)),  # 20 000 points and 1 000
    *((GIT, kind) for kind in ("start", *INSIDE_GIT)),
    (EVERYWHERE, "disk"),
]  # fmt: skip
needs("gcc", shutil.which("gcc"))


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        (Fault(COORDINATOR, "write", 12, EIO), ("73", "healed")),
        (Fault(COORDINATOR, "spawn", 1, EAGAIN), ("73",)),
        (Fault(WORKER, "sync", 9, EIO), ("73", "healed")),
        (Fault(GIT, "start", 20, 0), ("73", "healed")),
        (Fault(GIT, "sync", 5, EIO), ("73",)),
        (Fault(GIT, "disk", 150, ENOSPC, "on"), ("73", "healed")),
        (Fault(EVERYWHERE, "disk", 150, ENOSPC, "on"), ("73",)),
        (Fault(ZYGOTE, "memory", 1500, ENOMEM), ("73",)),
        (Fault(WORKER, "memory", 2, ENOMEM), ("healed",)),
    ],
    ids=str,
)
def test_the_nth_call_fails(tmp_path: Path, shim: Path, fault: Fault, outcomes: tuple[str, ...]) -> None:
    seen = Trial(tmp_path / "trial", shim).fail(fault)
    assert seen.wrong == "", seen
    assert seen.outcome in outcomes, seen
    assert seen.hits


def test_a_landing_that_the_journal_could_not_take_is_not_landed_again(tmp_path: Path, shim: Path) -> None:
    """The PRD is marked only when the journal knows; what the branch holds counts whatever the PRD says."""
    for n in (35, 40):
        seen = Trial(fresh(tmp_path / "trial"), shim).fail(Fault(COORDINATOR, "write", n, EIO))
        assert seen.wrong == "", (n, seen)


def test_a_batch_that_finds_the_disk_full_is_not_tried_for_ever(tmp_path: Path, shim: Path) -> None:
    """A and B are green on the same tip, so that one is merged a second time, by a batch; nothing can be made then."""
    trial = Trial(tmp_path / "trial", shim)
    (tmp_path / "gates").mkdir()
    wait = (
        f"i=0; until test $(ls {tmp_path}/gates | wc -l) -gt 2 -o $i -gt 999; do sleep 0.03; i=$((i+1)); done"
    )
    gate = f"test ! -e out || {{ touch {tmp_path}/gates/$$ {tmp_path}/gates/x; {wait}; }}"
    trial.project.write({"rad-engineer.toml": f"[gates]\ncheck = '{gate}'\n"})
    seen = trial.fail(Fault(WORKER, "merge", 3, ENOSPC, "on"))
    assert seen.wrong == "", seen
    assert (seen.outcome, bool(seen.hits)) == ("73", True), seen


def test_a_git_that_fails_once_while_it_stages_costs_no_second_agent(project: Project) -> None:
    """What git says then is in words of its own, which nobody can tell from a fault of the story."""
    box = project.folder.parent
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "test -e done"\n'})
    (box / "bin").mkdir()
    fail = f"test -e {box}/once || {{ touch {box}/once; echo 'fatal: cannot use exclude' >&2; exit 128; }}"
    script = f'#!/bin/sh\ncase "$*" in *" add "*) {fail};; esac\nexec {shutil.which("git")} "$@"\n'
    (box / "bin" / "git").write_text(script)
    (box / "bin" / "git").chmod(0o755)
    path = {"PATH": f"{box / 'bin'}{os.pathsep}{project.env['PATH']}"}
    options = agent(project, f"echo $RAD_ATTEMPT >> {box}/paid; touch done")
    ran = project.rad("run", "prd.json", *options, "--yes", env=path)
    assert (ran.code, (box / "once").exists()) == (0, True), ran.err
    assert (box / "paid").read_text() == "1\n"


@pytest.mark.parametrize("gone", ["project/.rad-engineer/runs", "project/.rad-engineer", "cache"])
def test_a_directory_vanishes_under_a_run(tmp_path: Path, shim: Path, gone: str) -> None:
    trial = Trial(tmp_path / "trial", shim)
    script = tmp_path / "agent.sh"
    (trial.folder / "agent.sh").rename(script)
    marked = (
        f"grep -c true {trial.project.folder}/prd.json"  # what is in no record is not believed of the branch
    )
    remove = f"until test $({marked}) -eq 2; do sleep 0.02; done; touch {tmp_path}/once; rm -rf {trial.folder}/{gone}"
    once = f"test $RAD_STORY_ID != C || test -e {tmp_path}/once || {{ {remove}; }}"
    (trial.folder / "agent.sh").write_text(f"{script.read_text()}{once}\n")
    ended = trial.start(trial.project.env)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 1, 73), ended.stderr
    assert "internal" not in ended.stderr + ended.stdout, ended
    again = trial.start(trial.project.env)
    assert again.returncode == 0, again.stderr
    (trial.folder / "paid-again").unlink(missing_ok=True)  # the slot with the work is what has vanished
    assert trial.wrong_state() == ""


@pytest.mark.skipif(not STRIDE, reason="a campaign: RAD_FAULT_STRIDE=1")
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("role", "kind"), CAMPAIGN)
def test_every_call_fails(tmp_path: Path, shim: Path, role: int, kind: str) -> None:
    """Prints a table: call, errno, outcome, how often."""
    table: Counter[tuple[str, str]] = Counter()
    wrong = []
    n, untouched = 1, 0
    while untouched < 2:
        number, mode = KINDS[kind][n // STRIDE % len(KINDS[kind])]
        folder = fresh(tmp_path / "trial")
        seen = Trial(folder, shim).fail(Fault(role, kind, n, number, mode))
        hit = calls(folder)[1]
        untouched = 0 if hit else untouched + 1
        if hit:
            table[f"{os.strerror(number) if number else 'killed or short'}, {mode}", seen.outcome] += 1
        wrong += [(str(Fault(role, kind, n, number, mode)), seen)] if seen.wrong else []
        n += STRIDE
    print(
        *(f"{role} {kind} | {about} | {outcome} | {count}" for (about, outcome), count in table.items()),
        sep="\n",
    )
    assert wrong == []
