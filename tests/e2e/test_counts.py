"""What a story costs in things that can be counted: git processes and syncs. No clock is looked at."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rad_engineer import git as rad_git
from rad_engineer.slots.pool import Pool
from tests.conftest import Project, agent, prd, story
from tests.sandboxes import needs_bubblewrap

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
FEW, MANY = 2, 6


def git_calls(project: Project, stories: int, *flags: str) -> Counter[str]:
    """How often each git command was started by a run of so many stories, one after another."""
    project.init({"prd.json": prd(*(story(f"S{number}") for number in range(stories)))})
    seen = project.folder.parent / "calls"
    folder = project.folder.parent / "bin"
    folder.mkdir()
    words = 'while [ "$1" = -c ] || [ "$1" = --literal-pathspecs ]; do [ "$1" = -c ] && shift; shift; done'
    real = shutil.which("git")
    beside = f'grep -aqs bwrap $(printf "/proc/%s/cmdline " $(cat /proc/$PPID/task/*/children)) && echo "$1" >> "{seen}.beside"'
    counting = f'#!/bin/sh\ncase "$1" in -c) (\n{words}\necho "$1" >> "{seen}"\n{beside}) ;; esac\nexec {real} "$@"\n'
    (folder / "git").write_text(counting)
    (folder / "git").chmod(0o755)
    project.env["PATH"] = f"{folder}{os.pathsep}{project.env['PATH']}"
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "-j", "1", *flags)
    assert ran.code == 0, ran.err
    return Counter(seen.read_text().split())


def test_boxes_are_opened_while_git_is_at_work(project: Project) -> None:
    """The agent's while its slot is moved, the first gate's before the commit, the second one's before the copy is moved."""
    needs_bubblewrap()
    project.write({"rad-engineer.toml": '[gates]\none = "true"\ntwo = "true"\n'})
    calls = git_calls(project, FEW, "--allow-unverified", "--sandbox", "bubblewrap")
    beside = Counter((project.folder.parent / "calls.beside").read_text().split())
    assert calls["write-tree"] == beside["write-tree"] == FEW
    assert 3 * (FEW - 1) <= beside["read-tree"] <= 3 * FEW <= calls["read-tree"]


@pytest.mark.parametrize("gate", [False, True])
def test_git_processes_of_a_story(
    project: Project, tmp_path_factory: pytest.TempPathFactory, gate: bool
) -> None:
    other = Project(tmp_path_factory.mktemp("other"))
    flags = ("--allow-unverified",)
    for each in (project, other) if gate else ():
        each.write({"rad-engineer.toml": '[gates]\ncheck = "true"\n'})
    more = git_calls(other, MANY, *flags)
    more.subtract(git_calls(project, FEW, *flags))
    each = {name: count / (MANY - FEW) for name, count in more.items() if count}
    copies = 2.0 if gate else 1.0
    handed_over = project.env["RAD_SANDBOX"] != "off" and os.geteuid() == 0  # to whoever works in them
    assert each == {
        "read-tree": copies, "add": 1.0, "write-tree": 1.0, "diff-tree": 1.0, "update-ref": 1.0,
        **({"update-index": copies} if handed_over else {}),
    }  # fmt: skip


def test_a_merge_with_a_tip_that_has_moved_starts_one_git_and_syncs_each_thing_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.init({"a/one.txt": "1\n", "b/two.txt": "2\n"})
    repo = rad_git.discover(project.folder)
    pool = Pool(repo, project.folder.parent / "pool", "r1")
    base = rad_git.head(repo)
    rad_git.update_refs(repo, [("refs/rad/r1/base", base, None)])
    commits = []
    for number, path in enumerate(("a/one.txt", "b/two.txt")):
        slot, quarantine = pool.slot("slot", number), project.folder.parent / f"q{number}"
        pool.move(slot, base, base)
        (slot.path / path).write_text("changed\n")
        staged = pool.stage(slot, base, quarantine)
        commits.append(pool.commit(staged, base, "story\n", quarantine))
        pool.adopt(quarantine)
    synced: list[str] = []
    started: list[str] = []
    fsync, spawn = os.fsync, os.posix_spawn

    def counted_fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def counted_spawn(path: str, argv: list[str], *rest: object, **more: object) -> int:
        started.extend(
            word
            for word in argv
            if word in ("merge-tree", "cat-file", "diff-tree", "update-ref", "commit-tree")
        )
        return spawn(path, argv, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", counted_fsync)
    monkeypatch.setattr(os, "posix_spawn", counted_spawn)
    with pool.quarantined() as quarantine:
        merged = pool.merge(commits[0], commits[1], parent=base, quarantine=quarantine)
        assert synced == []
        made = pool.candidate(commits[0], commits[1], str(merged.tree), parent=base, quarantine=quarantine)
        pool.keep_candidates({"refs/rad/r1-candidates/x": made}, quarantine)
    assert [word for word in started if word != "cat-file"] == ["merge-tree"]
    files = [path for path in synced if not Path(path).is_dir()]
    # the merged tree, its commit, the ref; and each folder that has a new name in it, once
    assert len(files) == 3, synced
    assert len(synced) == len(set(synced))
    assert {str(repo.common_dir / "refs/rad"), str(repo.common_dir / "refs/rad/r1-candidates")} <= set(synced)
    assert len(synced) <= 3 + 2 + 1 + 2
