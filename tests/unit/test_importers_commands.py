"""What is a command and what is prose; by name, so that it is the same on every machine."""

import pytest

from rad_engineer.importers.command_text import is_command, leaves, masks_exit, proving, told


@pytest.mark.parametrize(
    "text",
    [
        "npm test",
        "cargo check && cargo clippy -- -D warnings && cargo test",
        "cd server && npm run build 2>&1 | tail -20; echo EXIT:$?",
        "FOO=1 BAR='a b' pytest -q tests/",
        "bash scripts/check.sh",
        "./run-tests.sh all",
        "scripts/verify.py --all",
        "node --check src/app.js",
        "npx tsc --noEmit",
        "test -f README.md && grep -q install README.md",
        "go test ./...",
        "python -c \"import json; json.load(open('x.json'))\"",
        "(cd web && yarn lint)",
        "timeout 60 pytest",
        "make",
        "make test",
        "find . -name '*.tmp'",
        "curl -fsS http://localhost:8080/healthz",
        "npm ci\nnpm test",
        "docker compose up -d",
    ],
)
def test_commands(text: str) -> None:
    assert is_command(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Typecheck passes",
        "cargo check && cargo test. In app: drag the slider",
        "npm run monitor shows formatted table",
        "tsc --noEmit (strict).",
        "make sure it works",
        "go to page",
        "test that login works",
        "find users by name",
        "git history clean",
        "sort order persists",
        "tofu fmt -check -recursive passes",
        "/api/apps",
        "'unclosed",
        "vitest + local test harness; all",
        "config.json loads portfolio positions",
        "npm test — and look at the output",
        "npm test\nthen look at it",
        "node 18 required",
        "src/app.ts",
        "2>&1",
    ],
)
def test_prose(text: str) -> None:
    assert not is_command(text)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("npm test", "npm test"),
        ("`npm run build` succeeds", "npm run build"),
        ("npm run lint passes", "npm run lint"),
        ("`cargo test` passes with no errors.", "cargo test"),
        ("Verify `make lint` passes", "make lint"),
        ("Run `pytest -q`", "pytest -q"),
        ("pytest passes", "pytest"),
        ("Typecheck passes", None),
        ("`npm test` fails without a token", None),
        ("Running `npm start` opens the window", None),
        ("npm run dev starts", None),
        ("Add `npm run lint` to package.json", None),
        ("`README.md`", None),
        ("`git push` succeeds", None),
        ("docker build succeeds", None),
        ("cd ~/elsewhere && npm test", None),
        ("Use make", None),
        ("", None),
    ],
)
def test_a_criterion_names_its_proof_only_where_that_is_plain(text: str, command: str | None) -> None:
    assert proving(text) == command


def test_verify_fields_may_say_run() -> None:
    assert told("Run npm run lint") == "npm run lint"
    assert told("`pytest`") == "pytest"
    assert told("Open the page and look") is None


@pytest.mark.parametrize(
    ("command", "masked"),
    [
        ("npm test 2>&1 | tail -20", True),
        ("npm test; echo EXIT:$?", True),
        ("npm test || true", True),
        ("npm test && echo ok", False),
        ("pytest -k 'a or b'", False),
    ],
)
def test_hidden_exit_codes(command: str, masked: bool) -> None:
    assert masks_exit(command) is masked


def test_commands_that_leave_the_work_tree() -> None:
    assert leaves("cd ~/projects/x && npm test")
    assert leaves("make && cd /srv/app; make test")
    assert not leaves("cd web && npm test")
