"""What follows from findings: ready or not, family by family, and what may be done about it."""

import subprocess

import pytest

from rad_engineer.commands import production
from rad_engineer.delivery import api, checks, integrations, remedies, resources, security, workers
from rad_engineer.delivery.finding import Finding, Fix, Seen, failed, passed, skipped, warned
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import UsageError
from rad_engineer.gateway.credentials import Secret


def finding(name: str, seen: Seen, family: str = "State", *, required: bool = True) -> Finding:
    return Finding(name, family, required, seen)


OPTIONAL = finding("index.connection", skipped("there is none"), "ESS Connection", required=False)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (passed("yes"), "READY"),
        (warned("nearly"), "READY"),
        (failed("no"), "NOT READY"),
        (skipped("not looked at"), "NOT READY"),
    ],
)
def test_ready_needs_no_failure_and_nothing_required_left_out(seen, words):
    asked = finding("api.call", passed("answered"), "API Connectivity")
    verdict = checks.production([asked, finding("state.runs", seen), OPTIONAL], offline=False)
    assert (verdict.words, verdict.ready) == (words, words == "READY")


@pytest.mark.parametrize(
    ("seen", "offline", "words"),
    [
        (skipped("not checked (--offline)"), True, "READY (offline: API not checked)"),
        (skipped("answers come from replay:x"), False, "NOT READY"),
        (failed("the key is refused"), True, "NOT READY"),
        (
            Seen("SKIP", "codex asks no model", needless=True),
            False,
            "READY (API not checked: codex asks no model)",
        ),
    ],
)
def test_without_a_call_it_is_said(seen, offline, words):
    assert checks.production([finding("api.call", seen)], offline=offline).words == words


def test_a_family_is_as_good_as_its_worst_check():
    rows = [
        finding("a", passed(""), "one"), finding("b", warned(""), "one"), finding("c", failed(""), "two"),
        finding("d", skipped(""), "two"), finding("e", passed(""), "three"), finding("f", skipped(""), "three", required=False),
        finding("g", passed(""), "four"), finding("h", skipped(""), "four"), OPTIONAL,
    ]  # fmt: skip
    assert [(name, status) for name, status, _ in checks.families(rows)] == [
        ("one", "WARN"), ("two", "FAIL"), ("three", "PASS"), ("four", "SKIP"), ("ESS Connection", "SKIP")]  # fmt: skip


def test_health_is_about_failures_alone():
    assert checks.healthy([OPTIONAL, finding("a", warned("")), finding("b", skipped(""))]).words == "HEALTHY"
    assert checks.healthy([finding("a", failed(""))]).words == "UNHEALTHY"


def test_every_check_has_a_name_of_its_own_and_a_family_that_stands_together():
    names = [check.id for check in checks.CHECKS]
    assert len(set(names)) == len(names)
    in_order = [check.family for check in checks.CHECKS]
    assert [family for at, family in enumerate(in_order) if family not in in_order[:at]] == [
        family for at, family in enumerate(in_order) if at == 0 or in_order[at - 1] != family]  # fmt: skip


def test_a_check_that_cannot_look_has_failed(tmp_path):
    def looks(_scene: object) -> Seen:
        raise PermissionError(13, "Permission denied", "/secret")

    check = checks.Check("a", "one", looks)
    (found,) = checks.examine(None, "quick", [check])  # type: ignore[arg-type]
    assert (found.status, found.seen.evidence) == ("FAIL", "/secret: Permission denied")


class Terminal:
    """Somebody at a keyboard."""

    def __init__(self, *answers: str, tty: bool = True) -> None:
        self.answers, self.tty, self.told = list(answers), tty, ""

    def isatty(self) -> bool:
        return self.tty

    def readline(self) -> str:
        return self.answers.pop(0)

    def write(self, text: str) -> int:
        self.told += text
        return len(text)

    def flush(self) -> None:
        pass


def test_each_remedy_is_asked_for(tmp_path):
    rows = [
        finding("a", failed("", Fix("touch a"))), finding("b", failed("", Fix("touch b"))), finding("c", warned("", Fix("false"))),
        finding("d", failed("", Fix("touch d", "shell"))), finding("e", failed("", Fix("touch e", "asks"))),
    ]  # fmt: skip
    keyboard = Terminal("y\n", "\n", "yes\n")
    told = list(
        remedies.carry_out(
            remedies.safe(rows), tmp_path, {"PATH": "/usr/bin:/bin"}, yes=False, streams=(keyboard, keyboard)
        )
    )  # type: ignore[arg-type]
    assert told == ["a: done", "b: left as it is", "c: ended with 1: "]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert keyboard.told.count("Run it? [y/N]") == 3
    assert "touch d" not in keyboard.told


def test_nobody_to_ask_is_no_yes(tmp_path):
    rows = [finding("a", failed("", Fix("touch a")))]
    nobody = Terminal(tty=False)
    with pytest.raises(UsageError):
        list(remedies.carry_out(remedies.safe(rows), tmp_path, {}, yes=False, streams=(nobody, nobody)))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "looks"),
    [
        ("RAD_AGENT", "mock", workers.chosen),
        ("RAD_SANDBOX", "off", security.walls),
        ("RAD_AUDIT", "off", security.audit),
        ("RAD_UPSTREAM", "mock", api.call),
        ("RAD_OFFLINE", "1", api.call),
    ],
)
def test_a_variable_that_is_in_the_way_is_named_with_what_takes_it_back(tmp_path, variable, value, looks):
    env = {"HOME": str(tmp_path), "RAD_AGENT": "anthropic", variable: value}
    taken = {"ANTHROPIC_API_KEY": Secret(b"a planted key")}
    found = looks(Scene(tmp_path, env, taken, offline=False))
    assert found.status != "PASS"
    assert found.fix == Fix(f"unset {variable}", "shell")
    name = {"RAD_AGENT": "agent.name", "RAD_SANDBOX": "sandbox.level", "RAD_AUDIT": "audit.log"}.get(variable)
    if name is not None:
        table, key = name.split(".")
        (tmp_path / "rad-engineer.toml").write_text(f'[{table}]\n{key} = "{value}"\n')
        del env[variable]
        found = looks(Scene(tmp_path, env, taken, offline=False))
        assert (found.status != "PASS", found.fix) == (True, None)


def test_a_collectors_password_is_not_shown(tmp_path):
    env = {"HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://grace:" + "hopper@127.0.0.1:1/v1"}
    found = integrations.collector(Scene(tmp_path, env, {}, offline=False))
    assert (found.status, "http://127.0.0.1:1/v1" in found.evidence) == ("WARN", True)
    assert "hopper" not in str(found)
    env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://grace:" + "hopper@[::1"
    assert "hopper" not in str(integrations.collector(Scene(tmp_path, env, {}, offline=False)))


def test_what_is_no_folder_is_not_made_writable(tmp_path):
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": "/dev/null"}
    found = resources.folders(Scene(tmp_path, env, {}, offline=False))
    assert (found.status, found.evidence, found.fix) == ("FAIL", "no folder: /dev/null", None)


def test_no_chmod_is_offered_for_a_file_system_that_is_read_only(tmp_path):
    tmpfs = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if subprocess.run(tmpfs, check=False, capture_output=True).returncode:
        pytest.skip("NO EVIDENCE: no file system can be mounted here")
    try:
        found = resources.folders(Scene(tmp_path, {"HOME": str(tmp_path)}, {}, offline=False))
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert (found.status, found.fix, "read-only" in found.advice) == ("FAIL", None, True)


def test_names_break_no_line_and_hide_nothing_of_a_command():
    seen = failed("others may read /a\nAPI Connectivity: PASS\x1b[2J", Fix("chmod go-rwx -- '/a\u202e\nb'"))
    told = list(production.lines([finding("a", seen)], verbose=False))
    assert told[1].endswith("others may read /a API Connectivity: PASS")
    assert len(told) == 3
    assert not {"\u202e", "\x1b"} & set("".join(told))
    assert told[2] != "        fix: chmod go-rwx -- '/ab'"
