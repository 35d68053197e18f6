"""Agents that turn their slot against its owner: every attack has its reason on the screen, nobody else is harmed."""

import os

import pytest

from tests.conftest import Project
from tests.e2e.hostile_project import WRITE, Hostile

# What an agent may do to the `.git` in its slot: its honest work lands all the same, and nothing of the rest is run.
TOY = {
    "hooks": """for name in pre-commit post-checkout reference-transaction post-index-change fsmonitor-watchman; do
    mkdir -p .git/hooks; ln -s "$OUTSIDE/trap" .git/hooks/$name; done\n""",
    "filter": """printf '[filter "p"]\\n\\tclean = %s\\n\\tsmudge = %s\\n' "$OUTSIDE/trap" "$OUTSIDE/trap" >> .git/config
    echo '* filter=p diff=p merge=p' > .gitattributes\n""",
    "fsmonitor": 'git config core.fsmonitor "$OUTSIDE/trap"; git config core.hooksPath "$OUTSIDE"\n',
    "worktree": 'git config core.worktree "$OUTSIDE/neighbour"\n',
    "linked-git": 'mv .git "$OUTSIDE/elsewhere"; ln -s "$PROJECT/.git" .git\n',
    "pipes-in-git": "for name in config HEAD index; do rm -f .git/$name; mkfifo .git/$name; done\n",
    "commits": 'git add -A; git commit -qm "$(printf "x\\n\\nRad-Run: x\\nRad-Story: honest-1\\nRad-Identity: y")"\n',
    "amends": "git commit -q --amend --allow-empty -m amended\n",
    "rebases": "git checkout -q --orphan other; git commit -qm root; git rebase -q --root\n",
    "checks-out": "git branch other; echo mine > stray; git add stray; git commit -qm stray; git checkout -q other\n",
    "hard-links": 'ln -f "$OUTSIDE/neighbour/precious.txt" README.md; ln -f "$OUTSIDE/neighbour/precious.txt" src/app.py\n',
    "replaces": "git replace HEAD $(git commit-tree -m x HEAD^{tree}); echo $(git rev-parse HEAD) > .git/info/grafts\n",
}


def test_what_an_agent_does_to_its_own_git_is_never_read(project: Project) -> None:
    hostile = Hostile(project, {name: WRITE + script for name, script in TOY.items()})
    ran = hostile.run()
    assert hostile.ended() == dict.fromkeys(hostile.ended(), "passed"), ran.out
    assert ran.code == 0
    hostile.nothing_else_happened()
    assert hostile.on_branch() == {*hostile.files, ".gitattributes"} | {
        f"out/{n}.txt" for n in hostile.ended()
    }
    authors = set(project.git("log", "--format=%an%n%cn", "main..rad/demo").split("\n")) - {""}
    assert authors == {"Ada Lovelace"}
    parents = project.git("log", "--format=%p", "main..rad/demo").split("\n")
    assert all(len(line.split()) == 1 for line in parents if line)


REFUSED = {
    "pipe": ("mkfifo x\n", "special-file", ": x"),
    "pipe-ignore": ("rm -f .gitignore; mkfifo .gitignore\n", "special-file", ": .gitignore"),
    "pipe-attributes": ("mkfifo .gitattributes\n", "special-file", ": .gitattributes"),
    "nested": (
        """mkdir -p vendor/x; git init -q vendor/x; echo '* filter=p' > vendor/x/.gitattributes
        printf '[filter "p"]\\n\\tclean = %s\\n' "$OUTSIDE/trap" >> vendor/x/.git/config; echo x > vendor/x/file\n""",
        "nested-git", ": vendor/x/.git",
    ),
    "GIT": ("mkdir .GIT; echo x > .GIT/config\n", "nested-git", ": .GIT"),
    "deep": (
        """python3 -c 'import os
for _ in range(250): os.mkdir("d"); os.chdir("d")'\n""",
        "too-deep", ": d/d/",
    ),
    "sparse": ("truncate -s 100G huge.bin\n", "too-large", "huge.bin (102,400 MB)"),
    "link-out": ('ln -s "$OUTSIDE/neighbour" neighbour\n', "symlink-escape", "neighbour -> "),
    "whole-slot": ('cd ..; rm -rf "$OLDPWD"; ln -s "$OUTSIDE/neighbour" "$OLDPWD"\n', "slot-gone", "replaced"),
    "long-ignore": ("yes xxxxxxx | head -c 70000 > .gitignore\n", "huge-ignore-file", ": .gitignore"),
    "judge": ("echo true > check.sh\n", "protected-path", "check.sh"),
    "rules": ("echo '[gates]' > rad-engineer.toml\n", "protected-path", "rad-engineer.toml"),
    "more-rules": (
        "printf '[tool.rad-engineer.gates]\\ncheck = \"true\"\\n' > pyproject.toml\n",
        "protected-path", "pyproject.toml (tool.rad-engineer)",
    ),
    "empties": ("find . -mindepth 1 -delete\n", "protected-path", "check.sh"),
    "attributes": ("echo '* working-tree-encoding=nonsense' > .gitattributes\n", "git-failed", "failed to encode"),
    "kills-worker": ("kill -9 $PPID; sleep 100\n", "worker-died", "the worker process died"),
    "shadows": ('cp "$OUTSIDE/trap" git; cp "$OUTSIDE/trap" sh; exit 3\n', "agent-failed", "exit code 3"),
    "nothing": ("git commit -q --allow-empty -m done\n", "no-change", "changed nothing"),
}  # fmt: skip


def test_what_must_not_land_is_refused_by_name(project: Project) -> None:
    hostile = Hostile(
        project, {name: ("" if name == "nothing" else WRITE) + row[0] for name, row in REFUSED.items()}
    )
    ran = hostile.run("--attempts", "2", PATH=f".:{project.env['PATH']}:")
    assert ran.code == 1
    for name, (_script, reason, said) in REFUSED.items():
        hostile.refused(ran, name, reason, said)
    hostile.nothing_else_happened()
    assert hostile.on_branch() == {*hostile.files, "out/honest-1.txt", "out/honest-2.txt"}


@pytest.mark.skipif("RAD_HOSTILE" not in os.environ, reason="takes minutes: set RAD_HOSTILE")
def test_a_hundred_thousand_files_and_a_very_deep_tree(project: Project) -> None:
    walk = "import os\nfor _ in range(4000): os.mkdir('d'); os.chdir('d')"
    make = "import os\nos.mkdir('many')\nfor n in range(100000): open(f'many/{n}', 'w').close()"
    hostile = Hostile(
        project, {"many": f'{WRITE}python3 -c "{make}"\n', "deep": f'{WRITE}python3 -c "{walk}"\n'}
    )
    ran = hostile.run()
    hostile.clear_away()
    hostile.refused(ran, "many", "too-many-files", "100,001 new files, 100,000 of them in many/")
    hostile.refused(ran, "deep", "too-deep", ": d/d/")
    hostile.nothing_else_happened()
    assert hostile.on_branch() == {*hostile.files, "out/honest-1.txt", "out/honest-2.txt"}
