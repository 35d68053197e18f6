"""Repositories and surroundings as careless users have them: a run works there, or says why it does not."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Project, Ran, agent, prd, story
from tests.sandboxes import needs_bubblewrap

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
FILES = {
    "prd.json": prd(story("A"), story("B", "A")),
    "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
}
HOOKS = (
    "pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "pre-push",
    "post-checkout", "post-merge", "post-rewrite", "update", "post-index-change",
)  # fmt: skip


def run(
    project: Project, *options: str, script: str = "", cwd: str = "", env: Mapping[str, str] | None = None
) -> Ran:
    return project.rad(
        "run", "prd.json", *agent(project, script + WRITE), "--yes", *options, cwd=cwd, env=env
    )


def hook(project: Project, name: str, script: str) -> None:
    path = project.folder / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_hooks_of_the_user_neither_run_nor_forbid(project: Project) -> None:
    """Landings are plumbing: what a hook checks belongs into a gate."""
    project.init(FILES)
    ran_hooks = project.folder.parent / "hooks"
    for name in HOOKS:
        hook(project, name, f"echo {name} >> {ran_hooks}; exit 1")
    assert run(project).code == 0
    assert project.landed("rad/demo") == ["A", "B"]
    assert not ran_hooks.exists()


def test_a_merge_at_the_end_runs_the_hooks_of_a_merge(project: Project) -> None:
    project.init(FILES)
    hook(project, "post-merge", f"touch {project.folder.parent}/merged")
    assert run(project, "--merge").code == 0
    assert (project.folder.parent / "merged").exists()


def test_signed_commits_are_asked_for(project: Project) -> None:
    project.init(FILES)
    for name, value in (("commit.gpgSign", "true"), ("gpg.program", "/bin/false"), ("user.signingKey", "X")):
        project.git("config", name, value)
    ran = run(project)
    assert ran.code == 0, ran.err
    assert "commit.gpgSign is set, but what lands is not signed: sign it when you merge it" in ran.err
    assert project.git("log", "--format=%G?", "main..rad/demo").split() == ["N", "N"]


@pytest.mark.parametrize("name", ["pre-commit", "post-commit"])
def test_a_run_that_a_git_hook_starts(project: Project, name: str) -> None:
    """Git gives its hooks GIT_INDEX_FILE and more; the commit that is being made is not touched."""
    project.init(FILES)
    options = " ".join(f"'{word}'" for word in (*agent(project, WRITE), "--yes"))
    said = project.folder.parent / "said"
    hook(project, name, f"env | grep -c ^GIT_INDEX_FILE= > {said}; rad-engineer run prd.json {options} >> {said} 2>&1; echo $? >> {said}")  # fmt: skip
    project.write({"mine.txt": "mine\n"})
    project.git("add", "mine.txt")
    project.git("commit", "-q", "-m", "mine")
    lines = said.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("1", "0"), lines
    assert project.landed("rad/demo") == ["A", "B"]
    assert project.git("show", "--format=", "--name-only", "HEAD").split() == ["mine.txt"]


def test_a_linked_work_tree_is_the_same_repository(project: Project) -> None:
    project.init(FILES)
    project.git("worktree", "add", "-q", "-b", "side", "../side")
    assert run(project, "--once", cwd="../side").code == 3
    assert not (project.folder.parent / "side" / ".rad-engineer").exists()
    assert run(project).code == 0
    assert project.landed("rad/demo") == ["A", "B"]
    assert project.rad("status", cwd="../side").out == project.rad("status").out


def test_sub_modules_stay_as_they_are(project: Project, tmp_path: Path) -> None:
    lib = Project(tmp_path / "lib") if (tmp_path / "lib").mkdir() is None else None
    assert lib is not None
    lib.init({"lib.py": "x = 1\n"})
    project.init(FILES)
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(lib.folder), "lib")
    project.commit("a sub-module")
    before = project.git("ls-tree", "HEAD", "lib")
    ran = run(project)
    assert (ran.code, project.git("ls-tree", "rad/demo", "lib")) == (0, before), ran.err
    assert "submodules stay as they are: stories see empty folders in their place" in ran.err


def test_large_files_without_their_program_are_refused(project: Project) -> None:
    project.init({**FILES, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    (project.folder.parent / "bin").mkdir()
    for name in ("git", "sh"):
        (project.folder.parent / "bin" / name).symlink_to(f"/usr/bin/{name}")
    ran = run(project, env={"PATH": str(project.folder.parent / "bin")})
    assert ran.code == 78
    assert "the repository keeps files in Git LFS, and git-lfs is not installed" in ran.err
    assert "hint: install git-lfs, then: git lfs install && git lfs pull" in ran.err


def test_a_shallow_clone_says_that_it_is_one(project: Project) -> None:
    project.init(FILES)
    project.write({"more": "more\n"})
    project.commit("more")
    project.git("clone", "-q", "--depth", "1", f"file://{project.folder}", "../clone")
    project.folder = project.folder.parent / "clone"
    ran = run(project)
    assert (ran.code, project.landed("rad/demo")) == (0, ["A", "B"]), ran.err
    assert "the repository is a shallow clone: stories see the history that is here" in ran.err


def test_a_repository_with_long_names(project: Project) -> None:
    project.git("init", "-q", "-b", "main", "--object-format=sha256")
    project.init(FILES)
    ran = run(project)
    assert (ran.code, project.landed("rad/demo")) == (0, ["A", "B"]), ran.err
    assert len(project.git("rev-parse", "rad/demo").strip()) == 64


def test_names_that_differ_only_in_case(project: Project) -> None:
    """Where the user's git takes them for one, they stay one."""
    project.init({**FILES, "Read.me": "one\n"})
    project.git("config", "core.ignoreCase", "true")
    ran = run(project, script="rm Read.me; echo two > READ.ME\n")
    assert ran.code == 0, ran.err
    names = project.git("ls-tree", "-r", "--name-only", "rad/demo").split()
    assert [name for name in names if name.lower() == "read.me"] in (["Read.me"], ["READ.ME"])


def test_line_endings_of_the_user_stay_in_the_work_tree(project: Project) -> None:
    project.init({**FILES, "text.txt": "one\n"})
    project.git("config", "core.autocrlf", "true")
    script = "grep -c \"$(printf '\\r')\" text.txt > out.seen; printf 'one\\r\\ntwo\\r\\n' > text.txt\n"
    ran = run(project, "--once", script=script)
    assert ran.code == 3, ran.err
    assert project.git("show", "rad/demo:out.seen").strip() == "1", "the agent sees what the user would"
    assert project.git("show", "rad/demo:text.txt") == "one\ntwo\n"


def test_a_repository_of_somebody_else(project: Project) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    project.init(FILES)
    subprocess.run(["chown", "-R", "1", str(project.folder)], check=True)
    ran = run(project)
    assert ran.code == 78
    assert f"the repository {project.folder} belongs to another user, and git does not trust it" in ran.err
    advice = next(line for line in ran.err.splitlines() if line.startswith("hint: "))
    subprocess.run(advice.removeprefix("hint: ").split(), env=project.env, check=True)
    assert run(project).code == 0


@pytest.mark.parametrize("sandbox", ["off", "bubblewrap"])
def test_a_mask_that_lets_nobody_else_read(project: Project, sandbox: str) -> None:
    if sandbox != "off":
        needs_bubblewrap()
    project.init({**FILES, "run.sh": "#!/bin/sh\n"})
    (project.folder / "run.sh").chmod(0o755)
    project.commit("executable")
    before = os.umask(0o077)
    try:
        ran = run(project, "--sandbox", sandbox)
    finally:
        os.umask(before)
    assert ran.code == 0, ran.err
    modes = {
        line.split()[-1]: line.split()[0] for line in project.git("ls-tree", "-r", "rad/demo").splitlines()
    }
    assert (modes["run.sh"], modes["out/A.txt"]) == ("100755", "100644")


def test_the_user_collects_garbage_while_stories_run_and_between(project: Project) -> None:
    project.init(FILES)
    said = project.folder.parent / "said"
    collect = f"git -C {project.folder} gc --prune=now 2>> {said}\n"
    assert run(project, "--once", script=collect).code == 3
    assert "gc is already running on machine" in said.read_text()
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    assert run(project, script=collect).code == 0
    assert project.landed("rad/demo") == ["A", "B"]
    assert "missing" not in project.git("fsck", "--full")


def test_a_green_story_that_was_pruned_runs_again(project: Project) -> None:
    """Whoever removes our refs and prunes takes the work with them: it is made again, not stumbled over."""
    project.init(FILES)
    sit = f"git -C {project.folder} checkout -q -b rad/demo 2>/dev/null || git -C {project.folder} checkout -q rad/demo\n"
    assert run(project, script=sit).code == 4, "green, and it may not land"
    project.git("checkout", "-q", "main")
    for ref in project.git("for-each-ref", "--format=%(refname)", "refs/rad").split():
        project.git("update-ref", "-d", ref)
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    resumed = project.rad("resume", "--agent-command", f"sh -c '{WRITE.strip()}'")
    assert resumed.code == 0, resumed.err
    assert "A runs again: its commit was removed from the repository" in resumed.err
    assert project.landed("rad/demo") == ["A", "B"]
