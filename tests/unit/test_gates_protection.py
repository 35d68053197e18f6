"""What a story may not change because it judges the story."""

import json

import pytest

from rad_engineer import gates
from rad_engineer.gates.protection import matches

NAMES = {
    "check.sh", "ci/test.sh", "tools/check.py", "scripts/verify.mjs", "app.py", "manage.py", "tests/test_a.py",
    "Makefile", "web/package.json", "package.json", "web/check.js", "justfile",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("./check.sh --all", ("check.sh",)),
        ("bash ci/test.sh", ("ci/test.sh",)),
        ("bash -e ci/test.sh", ("ci/test.sh",)),
        ("cd ci && ./test.sh", ("ci/test.sh",)),
        ("sh -c './check.sh && python3 tools/check.py'", ("check.sh", "tools/check.py")),
        ("uv run python tools/check.py", ("tools/check.py",)),
        ("node scripts/verify.mjs", ("scripts/verify.mjs",)),
        ("source ci/test.sh; pytest", ("ci/test.sh",)),
        ("python -m pytest tests/test_a.py", ()),
        ("python tests/test_a.py", ()),
        ("pytest tests/test_a.py", ()),
        ("python manage.py test", ()),
        ("python app.py", ("app.py",)),
        ("./nowhere.sh", ()),
        ("python -c 'import app'", ()),
        ("just test", ("justfile",)),
        ("'broken", ()),
    ],
)
def test_scripts_of_a_command(command: str, found: tuple[str, ...]) -> None:
    assert gates.scripts(command, NAMES) == found


def test_a_storys_own_check_may_run_the_product() -> None:
    assert gates.scripts("python app.py | grep ok", NAMES, scope="story") == ()
    assert gates.scripts("python tools/check.py && ./check.sh", NAMES, scope="story") == (
        "tools/check.py",
        "check.sh",
    )


def test_what_make_and_npm_run() -> None:
    table = {
        "Makefile": b"all: build\n\techo\ntest: lint\n\t@./check.sh\nlint:\n\tpython tools/check.py\nother:\n\tbash ci/test.sh\n",
        "web/package.json": json.dumps({"scripts": {"test": "node check.js"}}).encode(),
    }
    assert gates.scripts("make test", NAMES, table.get) == ("Makefile", "check.sh", "tools/check.py")
    shells = ("web/.npmrc", "web/.yarnrc", ".npmrc", ".yarnrc")
    assert gates.scripts("cd web && npm test", NAMES, table.get) == (*shells, "web/check.js")
    assert gates.scripts("npm test", NAMES, table.get, scope="story") == (".npmrc", ".yarnrc")
    assert gates.scripts("make -f ci/other.mk x", NAMES, table.get) == ()


def test_violations() -> None:
    changed = ["src/a.py", "check.sh", "tests/acceptance/deep/test_x.py", "conf/x.lock", "GNUmakefile"]
    assert gates.violations(changed, ["check.sh"], ["tests/acceptance/**", "*.lock"]) == changed[1:4]
    assert gates.violations(changed, ["Makefile"]) == ["GNUmakefile"], "make would read it first"
    assert gates.violations(changed, []) == []


def test_overlay() -> None:
    assert gates.overlay(["a/b.lock", "c.py", "ci/x"], ["*.lock", "ci/"]) == ("a/b.lock", "ci/x")


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "x/y/a.py", True),
        ("*.py", "a.pyc", False),
        ("tests", "tests/a/b.py", True),
        ("tests/", "x/tests/b.py", True),
        ("tests/*", "tests/a.py", True),
        ("tests/*.py", "tests/x/a.py", False),
        ("tests/*.py", "x/tests/a.py", False),
        ("tests/**", "tests/x/a.py", True),
        ("**/a.py", "a.py", True),
        ("**/a.py", "x/y/a.py", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("/a.py", "a.py", True),
        ("./a/b", "a/b", True),
        ("?.py", "a.py", True),
        ("?.py", "ab.py", False),
        ("[ab].py", "a.py", True),
        ("[!ab].py", "a.py", False),
        ("a[.py", "a[.py", True),
        ("a+b(c).py", "a+b(c).py", True),
        ("", "a.py", False),
    ],
)
def test_globs(glob: str, path: str, *, expected: bool) -> None:
    assert matches(path, glob) is expected


def test_changed_package_scripts() -> None:
    before = {
        "test": "npm run unit && npm run lint",
        "unit": "jest",
        "lint": "eslint .",
        "dev": "vite",
        "pretest": "tsc",
    }

    def changed(**scripts: str) -> list[str]:
        after = {**before, **scripts}
        return gates.changed_scripts(
            json.dumps({"scripts": before}).encode(),
            json.dumps({"scripts": after, "version": "2"}).encode(),
            ["npm test"],
        )

    assert changed() == []
    assert changed(dev="vite --port 3") == []
    assert changed(test="true") == ["test"]
    assert changed(unit="jest --passWithNoTests") == ["unit"]
    assert changed(pretest="") == ["pretest"]
    assert changed(postunit="true") == ["postunit"]
    assert gates.changed_scripts(b'{"scripts": {"test": "jest"}}', None, ["npm test"]) == ["test"]
    assert gates.changed_scripts(b'{"scripts": {"test": "jest"}}', b"{}", ["make test"]) == []


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (None, b"[project]\n", False),
        (b"[tool.ruff]\n", b"[tool.ruff]\nline-length = 99\n", False),
        (None, b"[tool.rad-engineer]\ndetect_gates = false\n", True),
        (b"[tool.rad-engineer]\njobs = 2\n", b"tool = 3\n", True),
        (b"[tool.rad-engineer]\njobs = 2\n", b"\xff[", True),
        (b"\xff[", b"[project]\n", False),
    ],
)
def test_settings_in_pyproject(before: bytes | None, after: bytes, *, changed: bool) -> None:
    assert gates.changes_settings(before, after) == changed


DISGUISED = {
    "if sh check.sh; then exit 0; else exit 1; fi": ("check.sh",),
    "! sh check.sh": ("check.sh",),
    "stdbuf -o0 sh check.sh": ("check.sh",),
    "timeout -k 5 10 sh check.sh": ("check.sh",),
    "echo check.sh | xargs sh": ("check.sh",),
    "cat check.sh | sh": ("check.sh",),
    "sh < check.sh": ("check.sh",),
    "find . -name check.sh -exec sh {} ;": ("check.sh",),
    "for f in checks/*.sh; do sh $f || exit 1; done": ("checks/a.sh", "checks/b.sh"),
    "python3 -m tools.check": ("tools/check.py",),
    "python3 -m checks": ("checks/__main__.py",),
    "python3 -m tox -q": ("tox.ini",),
    "uvx tox": ("tox.ini",),
    "nox -s tests": ("noxfile.py",),
    "sh ci/link.sh": ("ci", "tools/link.sh", "tools/real.sh"),
    "sh first.sh": ("first.sh", "lib/one.sh", "lib/two.sh", "tools/real.sh"),
    "make -C web t": ("web/Makefile", "web/rules.mk", "web/own.mk"),
    "ruff check . app.py": (),
    "python -m app": (),
    "python -m": (),
    "python -c 'print(1)' app.py": (),
    "cat notes.txt | python -c 'import sys'": (),
    "then": (),
}
TREE = {
    "check.sh": "exit 0\n", "checks/a.sh": "a\n", "checks/b.sh": "b\n", "checks/notes/x.txt": "", "checks/__main__.py": "", "tools/check.py": "",
    "tox.ini": "", "noxfile.py": "", "ci": "tools", "tools/link.sh": "real.sh", "tools/real.sh": ". ./first.sh\n", "app.py": "", "app/__main__.py": "",
    "first.sh": '#!/bin/sh\n. "$(dirname "$0")/lib/one.sh"\nsh tools/real.sh\nsh app.sh\nbash -c true\n', "app.sh": "exit 0\n",
    "lib/one.sh": ". ${HERE}/two.sh\n", "lib/two.sh": "source lib/one.sh\n", "notes.txt": "",
    "web/Makefile": "include rules.mk $(MORE) *.d\n-include own.mk # later\nt:\n\ttrue\n", "web/rules.mk": "", "loop": "loop", "web/deep": "../loop",
}  # fmt: skip


@pytest.mark.parametrize("command", DISGUISED)
def test_what_judges_is_found_however_it_is_started(command: str) -> None:
    files = {name: text.encode() for name, text in TREE.items()}
    assert sorted(gates.scripts(command, files.keys(), files.get)) == sorted(DISGUISED[command])


def test_links_that_lead_round_end() -> None:
    files = {name: text.encode() for name, text in TREE.items()}
    assert set(gates.scripts("sh loop/x.sh; sh web/deep", files.keys(), files.get)) == {"loop", "web/deep"}
