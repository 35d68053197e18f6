"""What a setup command made judges every story: none of them may put anything of its own into it."""

from tests.conftest import Project
from tests.e2e.hostile_project import WRITE, Hostile

INSTALL = """set -e
echo run >> "$COUNTED"
mkdir -p deps/lib
pwd > deps/path
echo "GOOD = True" > deps/lib/judge.py
test ! -e package.json || sh "$(cat package.json)"
"""
# An editable install: the copy that is judged is found by the path that setup wrote down.
CHECK = """test -d out && test ! -e deps/lib/poison.py && test ! -e deps/owner &&
PYTHONPATH="deps/lib:$(cat deps/path)" python3 -c 'import app, judge; assert judge.GOOD and app.ANSWER == 42'
"""
TOML = '[gates]\nfirst = "sh touch.sh"\ncheck = "sh check.sh"\n[workspace]\nsetup = "sh install.sh"\n'

BREAK = "echo 'ANSWER = 41' > app.py\n"
ATTACKS = {
    "hidden-script": BREAK + "echo 'touch deps/owner' > post.sh\n",
    "postinstall": "echo 'touch deps/owner' > mine-too.sh; echo mine-too.sh > package.json\n",
    "tests-write": "echo 'echo BAD > deps/lib/poison.py; echo GOOD = False > deps/lib/judge.py' > mine.sh\n",
    "agent-writes": "echo GOOD = False > deps/lib/judge.py; touch deps/lib/poison.py; chmod -R 0 deps/lib\n",
    "broken": BREAK,
}


FILES = {
    "rad-engineer.toml": TOML, "install.sh": INSTALL, "check.sh": CHECK, "app.py": "ANSWER = 42\n",
    "touch.sh": "test ! -e mine.sh || sh mine.sh\n", "post.sh": "true\n", "package.json": "post.sh\n",
    ".gitignore": "deps/\n",
}  # fmt: skip


def test_nothing_of_a_story_stays_in_what_setup_made(project: Project) -> None:
    hostile = Hostile(project, {name: WRITE + script for name, script in ATTACKS.items()}, **FILES)
    ran = hostile.run("--attempts", "1", "-j", "2", COUNTED="/dev/null")
    assert ran.code == 1
    ended = hostile.ended()
    assert ended == {
        "postinstall": "gate-red", "hidden-script": "gate-red", "tests-write": "passed", "agent-writes": "passed",
        "broken": "gate-red", "honest-1": "passed", "honest-2": "passed",
    }, ran.out  # fmt: skip
    hostile.nothing_else_happened()


def test_a_script_that_is_no_manifest_is_run_as_the_branch_has_it(project: Project) -> None:
    """Setup is due again because of what has landed; the next story in the copy has another script."""
    attacks = {"bumps": "echo x > requirements.txt\n", "hidden-script": ATTACKS["hidden-script"], "plain": ""}
    hostile = Hostile(project, {name: WRITE + script for name, script in attacks.items()}, **FILES)
    counted = hostile.outside / "counted"
    ran = hostile.run("--attempts", "1", "-j", "1", COUNTED=str(counted))
    assert hostile.ended() == {
        "bumps": "passed", "hidden-script": "gate-red", "plain": "passed", "honest-1": "passed", "honest-2": "passed"
    }, ran.out  # fmt: skip
    hostile.nothing_else_happened()
    made = len(counted.read_text().split())
    assert made == 5, (
        "slot and gate copy at the start, the story with its own manifests, both copies on the new ones"
    )
