"""What import finds in small trees: each finding with the place that tells it, and what is never taken as a gate."""

import json
import os

import pytest

from rad_engineer.projects.allowed import refusal
from rad_engineer.projects.detection import detect
from rad_engineer.projects.tree import Tree


def package(scripts, **more):
    return json.dumps({"name": "x", "scripts": scripts, **more}, indent=1)


TESTED = "[tool.pytest.ini_options]\n"
MANIFEST = (
    '[project]\nname = "x"\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
)
CI = ".github/workflows/ci.yml"
FOUND = {
    "ruff, mypy and pytest of a pyproject": (
        {"pyproject.toml": f"{MANIFEST}{TESTED}[tool.ruff]\n[tool.mypy]\nfiles = 'src'\n"},
        ["test python3 -m pytest -q < pyproject.toml:6", "lint python3 -m ruff check . < pyproject.toml:7",
         "types python3 -m mypy < pyproject.toml:8", "build python3 -m build --no-isolation < pyproject.toml:3"],
    ),
    "a lock file says what starts programs": (
        {"pyproject.toml": f"{MANIFEST}{TESTED}", "uv.lock": "", "ruff.toml": ""},
        ["test uv run python -m pytest -q < pyproject.toml:6", "lint uv run ruff check . < ruff.toml",
         "build uv build --no-build-isolation --offline < pyproject.toml:3"],
    ),
    "CI says which paths a tool is given": (
        {"pyproject.toml": TESTED, "mypy.ini": "[mypy]\n", "shop/__init__.py": "", "tests/test_x.py": "",
         CI: "jobs:\n  a:\n    steps:\n      - run: |\n          pip install .\n          mypy shop tests\n"},
        ["test python3 -m pytest -q < pyproject.toml:1", f"types python3 -m mypy shop tests < mypy.ini {CI}:6"],
    ),
    "paths that are not there are not taken over": (
        {"pyproject.toml": TESTED, "mypy.ini": "[mypy]\n", "src/x.py": "", CI: "steps:\n  - run: mypy ${{ matrix.path }} lib\n"},
        ["test python3 -m pytest -q < pyproject.toml:1", f"types python3 -m mypy src < mypy.ini {CI}:2"],
    ),
    "tox, nox and pre-commit tell of tools": (
        {"tox.ini": "[tox]\nlabels = mypy\n[testenv]\ncommands = pytest\n[testenv:t]\ndeps = mypy\ncommands =\n    pyright\n",
         "noxfile.py": "def lint(session):\n    session.run('python', '-m', 'flake8', 'x')\n", "x/__init__.py": "",
         "tests/test_x.py": ""},
        ["test python3 -m pytest -q < tests tox.ini:4", "lint python3 -m flake8 x < noxfile.py:2",
         "types python3 -m pyright < tox.ini:8"],
    ),
    "a hook of pre-commit is a linter too, also where it fixes": (
        {"setup.py": "", "tests/test_x.py": "", ".pre-commit-config.yaml": "- repo: x\n  hooks:\n    - id: ruff\n      args: [--fix]\n"},
        ["test python3 -m pytest -q < tests", "lint python3 -m ruff check . < .pre-commit-config.yaml:3",
         "build python3 -m build --no-isolation < setup.py"],
    ),
    "scripts of the project with variables": (
        {"pyproject.toml": TESTED, "ruff.toml": "", "a/x.py": "", "b/x.py": "",
         "scripts/check": "#!/bin/sh -e\nexport PREFIX=''\nexport FILES=\"a b\"\n${PREFIX}ruff check $FILES\n"},
        ["test python3 -m pytest -q < pyproject.toml:1", "lint python3 -m ruff check a b < ruff.toml scripts/check:4"],
    ),
    "scripts of a package.json": (
        {"package.json": package({"test": "vitest run", "lint": "eslint .", "typecheck": "tsc --noEmit", "build": "vite build"}),
         "pnpm-lock.yaml": "", CI: "      - run: pnpm lint\n"},
        ["test pnpm run test < package.json:4", f"lint pnpm run lint < package.json:5 {CI}:1",
         "types pnpm run typecheck < package.json:6", "build pnpm run build < package.json:7"],
    ),
    "a linter that fixes is passed over for one that checks": (
        {"package.json": package({"test": "jest", "lint": "biome lint --write .", "lint:check": "biome lint ."})},
        ["test npm test < package.json:4", "lint npm run lint:check < package.json:6"],
    ),
    "what a test script does besides testing": (
        {"package.json": package({"test": "xo && tsc --noEmit && NODE_OPTIONS=x ava"})},
        ["test npm test < package.json:4", "lint npx --no-install xo < package.json:4",
         "types npx --no-install tsc --noEmit < package.json:4"],
    ),
    "members of a workspace whose top has no tests": (
        {"package.json": package({}, workspaces=["packages/*"]), "packages/a/package.json": package({"test": "jest"})},
        ["test npm run test --workspaces --if-present < package.json:4"],
    ),
    "a workspace of cargo, with clippy as CI calls it": (
        {"Cargo.toml": "[workspace]\nmembers = ['a']\n[package]\nname = 'x'\n",
         CI: "      - run: cargo clippy --all-targets -- -D warnings\n"},
        ["test cargo test --workspace < Cargo.toml",
         f"lint cargo clippy --workspace --all-targets -- -D warnings < {CI}:1", "build cargo build --workspace < Cargo.toml:1"],
    ),
    "go, with the linter that is configured": (
        {"go.mod": "module x\n", ".golangci.yml": "", CI: "      - uses: golangci/golangci-lint-action@v9\n"},
        ["test go test ./... < go.mod", f"lint golangci-lint run < .golangci.yml {CI}:1", "build go build ./... < go.mod:1"],
    ),
    "make where no language tells": (
        {"Makefile": "CC = gcc\ntest: x.c\n\t$(CC) x.c\n\t./a.out\nlint:\n\tclang-tidy x.c\n", "x.c": ""},
        ["test make test < Makefile:2", "lint make lint < Makefile:5"],
    ),
    "just where no language tells": (
        {"justfile": "test *args:\n  ./run-tests {{args}}\n"}, ["test just test < justfile:1"],
    ),
    "parts in folders of a top that is none": (
        {"web/package.json": package({"test": "jest", "lint": "eslint ."}), "api/go.mod": "module x\n", "README.md": ""},
        ["test cd api && go test ./... < api/go.mod", "test cd web && npm test < web/package.json:4",
         "lint cd web && npm run lint < web/package.json:5", "build cd api && go build ./... < api/go.mod:1"],
    ),
    "nothing at all": ({"README.md": "run `npm test`"}, []),
}  # fmt: skip


def tree(top, files):
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    return top


@pytest.mark.parametrize(("files", "expected"), FOUND.values(), ids=FOUND)
def test_gates_are_found_with_their_places(tmp_path, files, expected):
    found = detect(tree(tmp_path, files))
    assert [
        f"{each.kind} {each.line} < {' '.join(map(str, each.sources))}" for each in found.gates
    ] == expected


REFUSED = {
    "curl": ({"package.json": package({"test": "curl -s x | sh"})}, "it runs `curl`"),
    "an install": ({"package.json": package({"test": "npm ci && jest"})}, "it runs `npm ci`"),
    "publishing, two scripts away": (
        {"package.json": package({"test": "npm run a", "a": "npm run b", "b": "npm publish"})}, "it runs `npm publish`"),
    "watching": ({"package.json": package({"test": "jest --watch"})}, "it does not end (`--watch`)"),
    "scripts in a circle": ({"package.json": package({"test": "npm run a", "a": "npm test"})}, "it leads too far to be followed"),
    "a recipe that asks for rights": ({"Makefile": "test: prepare\n\t./x\nprepare:\n\tsudo mount x\n"}, "it runs `sudo`"),
    "a recipe that fetches": ({"Makefile": "test:\n\t@go get -u x\n\t./x\n"}, "it runs `go get`"),
    "a recipe of just": ({"justfile": "test:\n  gh pr list\n"}, "it runs `gh`"),
    "an expression of CI": ({"package.json": package({"test": "jest ${{ matrix.x }}"})}, "it runs `${{`"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "why"), REFUSED.values(), ids=REFUSED)
def test_what_no_gate_may_do_is_refused_and_told(tmp_path, files, why):
    found = detect(tree(tmp_path, files))
    assert [each for each in found.gates if each.kind == "test"] == []
    assert [each.why for each in found.refused if each.kind == "test"] == [why]


@pytest.mark.parametrize("command", ["./run.sh", "bash -c 'make test'; rm -rf /", "terraform apply", ""])
def test_only_known_programs_are_gates(command):
    assert refusal(command, lambda _: None) == "it starts a program that is not known as a gate"


def test_ci_only_ranks_and_never_makes_a_gate(tmp_path):
    ci = "steps:\n  - run: make test\n  - run: cargo clippy\n  - run: npm run lint\n  - run: sudo pytest\n"
    assert (
        detect(tree(tmp_path, {CI: ci, ".gitlab-ci.yml": "a:\n  script:\n    - go vet ./...\n"})).gates == ()
    )


def test_languages_package_managers_workspaces_and_setup_are_told_with_their_places(tmp_path):
    files = {
        "package.json": package({}, packageManager="pnpm@10.1.0"),
        "pnpm-workspace.yaml": "packages:\n  - packages/*\n",
        "pnpm-lock.yaml": "", "package-lock.json": "{}", "tsconfig.json": "{}",
        "pyproject.toml": "[project]\nname = 'x'\n[tool.uv.workspace]\nmembers = ['a', 'b']\n", "uv.lock": "",
    }  # fmt: skip
    found = detect(tree(tmp_path, files))
    assert [(part.name, str(part.source)) for part in found.languages] == [
        ("python", "pyproject.toml"), ("typescript", "tsconfig.json"),
    ]  # fmt: skip
    assert [(part.name, str(part.source)) for part in found.package_managers] == [
        ("uv", "uv.lock"), ("pnpm", "package.json:4"),
    ]  # fmt: skip
    assert [(part.name, str(part.source), part.more) for part in found.workspaces] == [
        ("node", "pnpm-workspace.yaml:1", ""), ("uv", "pyproject.toml:3", "a, b"),
    ]  # fmt: skip
    assert found.setup is not None
    assert found.setup.command == "uv sync --frozen && pnpm install --frozen-lockfile"
    assert found.setup.keep == (".venv", "node_modules")


def test_plans_and_instructions_are_found_and_read(tmp_path):
    story = {"id": "S-1", "title": "Cart", "acceptanceCriteria": ["works"], "passes": True}
    task = {"id": 1, "title": "a", "description": "b", "status": "pending", "dependencies": []}
    files = {
        "scripts/ralph/prd.json": json.dumps({"project": "x", "userStories": [story, {**story, "id": "S-2", "passes": False}]}, indent=1),
        ".taskmaster/tasks/tasks.json": json.dumps({"master": {"tasks": [task]}}),
        "specs/001-cart/tasks.md": "# Tasks\n\n- [x] T001 First\n- [ ] T002 Second\n- [ ] T003 Third\n",
        "prd/broken.prd.json": "{", "docs/notes.md": "- [ ] not a plan\n",
        "AGENTS.md": "", ".github/copilot-instructions.md": "", ".cursor/rules/a.mdc": "",
    }  # fmt: skip
    found = detect(tree(tmp_path, files))
    assert [(plan.file, plan.dialect, plan.stories, plan.done) for plan in found.plans] == [
        ("prd/broken.prd.json", "json", 0, 0),
        (".taskmaster/tasks/tasks.json", "task-master", 1, 0),
        ("scripts/ralph/prd.json", "ralph", 2, 1),
        ("specs/001-cart/tasks.md", "spec-kit", 3, 1),
    ]
    assert "prd/broken.prd.json:1" in found.plans[0].problem
    assert str(tmp_path) not in found.plans[0].problem
    assert found.instructions == ("AGENTS.md", ".github/copilot-instructions.md", ".cursor/rules/a.mdc")


def test_hostile_trees_are_read_without_harm(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "secret.json").write_text(package({"test": "jest"}))
    (top / "package.json").symlink_to("../secret.json")
    os.mkfifo(top / "pyproject.toml")
    (top / "Makefile").mkdir()
    (top / "tox.toml").write_text("a = " + "[" * 100_000)
    (top / "noxfile.py").write_text("(" * 100_000)
    (top / "go.mod").symlink_to("go.mod")
    with (top / "Cargo.toml").open("wb") as huge:
        huge.truncate(3_000_000_000)
    assert Tree(top)("package.json") is None
    assert Tree(top)("../secret.json") is None
    assert Tree(top)("tox.toml") is not None
    assert [each.language for each in detect(top).gates if "package.json" in str(each.sources)] == []


def test_what_is_no_file_of_the_project_tells_nothing(tmp_path):
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    (tmp_path / "outside.toml").write_text('[package]\nname = "x"\n')
    os.mkfifo(top / "go.mod")
    os.mkfifo(top / "package.json")
    (top / "Cargo.toml").symlink_to("../outside.toml")
    (top / "Gemfile").symlink_to("/dev/zero")
    (top / "composer.json").symlink_to("nowhere")
    (top / "inner" / "real").write_text("")
    (top / "CMakeLists.txt").symlink_to("inner/real")
    found = detect(top)
    assert [(part.name, str(part.source)) for part in found.languages] == [("c", "CMakeLists.txt")]
    assert (found.package_managers, found.workspaces, found.gates, found.refused) == ((), (), (), ())
