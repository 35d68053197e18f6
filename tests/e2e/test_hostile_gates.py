"""Agents that want a gate to say yes: their work does not land, and nobody else's verdict is changed by it."""

import shutil
import sys

from tests.conftest import Project
from tests.e2e.hostile_project import WRITE, Hostile
from tests.required import needs

TESTS = "def test_base():\n    import app\n    assert app.ANSWER == 42\n\n\ndef test_more():\n    pass\n"
PYTEST = f'[gates]\ntests = "{sys.executable} -m pytest -q -p no:cacheprovider"\nlast = "sh check.sh"\n'
PYTEST += '[policy.severity]\ntests-skipped = "off"\n'  # the gates are to notice it by themselves
BREAK = "echo 'ANSWER = 41' > app.py\n"
HEAL = "def test_heal():\n    open('app.py', 'w').write('ANSWER = 42\\n')\n"
MOODY = """import pathlib


def test_moody():
    seen = pathlib.Path('seen')
    there, _ = seen.exists(), seen.touch()
    assert there
"""
RED = "tests (red)"
LOST = "missing: test_app.py::test_base"

FOOLING = {
    "exits": (BREAK + "printf 'import os\\nos._exit(0)\\n' > conftest.py\n", RED, "error: exit code 0, but pytest left no result"),
    "forges": (
        BREAK + """cat > conftest.py <<'X'
import os, shlex
where = next(w for w in shlex.split(os.environ["PYTEST_ADDOPTS"]) if w.startswith("--junitxml=")).partition("=")[2]
open(where, "w").write('<testsuites><testsuite>' + "".join(
    f'<testcase classname="test_app" file="test_app.py" name="{name}"/>' for name in ("test_base", "test_more")
) + '</testsuite></testsuites>')
os._exit(0)
X\n""", RED, "error: exit code 0, but pytest never came to its summary",
    ),
    "deselects": (BREAK + "printf '[pytest]\\naddopts = -k more\\n' > pytest.ini\n", RED, LOST),
    "ignores": (BREAK + "printf 'collect_ignore = [\"test_app.py\"]\\n' > conftest.py\n", RED, LOST),
    "hidden-runner": (
        BREAK + "mkdir -p build; echo 'ANSWER = 42' > build/app.py; echo 'exit 0' > build/pytest; chmod +x build/pytest\n",
        RED, "test_app.py::test_base",
    ),
    "bytecode": (
        BREAK + """echo 'ANSWER = 42' > good.py; python3 - <<'X'
import importlib.util, py_compile
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile("good.py", importlib.util.cache_from_source("app.py"), invalidation_mode=mode)
X
rm good.py\n""", RED, "test_app.py::test_base",
    ),
    "program": ("rm -rf out; for n in python3 sh; do echo 'exit 0' > $n; chmod +x $n; done\n", "last (red)", "last"),
    "heals": (BREAK + "cat > test_heal.py <<'X'\n" + HEAL + "X\n", RED, "test_app.py::test_base"),
    "moody": ("cat > test_moody.py <<'X'\n" + MOODY + "X\n", RED, "test_moody.py::test_moody"),
    "next-gate": (
        """rm -rf out; printf 'def test_it():\\n    open("check.sh", "w").write("exit 0")\\n' > test_next.py\n""",
        "last (red)", "last",
    ),
}  # fmt: skip


def test_no_gate_is_fooled(project: Project) -> None:
    files = {"app.py": "ANSWER = 42\n", "test_app.py": TESTS, "rad-engineer.toml": PYTEST}
    hostile = Hostile(project, {name: WRITE + row[0] for name, row in FOOLING.items()}, **files)
    ran = hostile.run(PATH=f".:{project.env['PATH']}:")
    assert ran.code == 1, ran.out
    for name, (_script, said, explained) in FOOLING.items():
        hostile.refused(ran, name, "gate-red", said, explained)
    hostile.nothing_else_happened()
    assert hostile.on_branch() == {*hostile.files, "out/honest-1.txt", "out/honest-2.txt"}


def test_a_story_does_not_choose_the_shell_of_package_scripts(project: Project) -> None:
    needs("node", shutil.which("npm"))
    shell = "printf '#!/bin/sh\\nexit 0\\n' > fake; chmod +x fake; echo 'script-shell=./fake' > .npmrc\n"
    package = '{"name": "demo", "scripts": {"test": "test ! -e out/bad"}}'
    files = {"package.json": package, "rad-engineer.toml": '[gates]\ntests = "npm test"\n'}
    hostile = Hostile(project, {"bad": WRITE + shell + "touch out/bad\n"}, **files)
    hostile.refused(hostile.run(), "bad", "protected-path", ": .npmrc")
    hostile.nothing_else_happened()
