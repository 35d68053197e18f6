"""config set, edit, validate, show: the file keeps what it has, and never becomes one that cannot be read."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rad_engineer import cli

FILE = "rad-engineer.toml"
ODD = b"\xef\xbb\xbf# ours\r\n[limits] # few\r\njobs = 2 # for now\n\r\n[gates]\r\nlint = 'ruff check .'"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("RAD_JOBS", "RAD_SHARE", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(capsys, *argv):
    code = cli.main(["config", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_value_is_set_and_every_other_byte_stays(project, capsys):
    path = project / FILE
    path.write_bytes(ODD)
    path.chmod(0o640)
    assert run(capsys, "set", "limits.jobs", "4")[0] == 0
    assert run(capsys, "set", "gates.test", "pytest -q")[0] == 0
    expected = ODD.replace(b"jobs = 2", b"jobs = 4") + b'\r\ntest = "pytest -q"'
    assert path.read_bytes() == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_first_value_makes_a_file(project, capsys):
    assert run(capsys, "set", "agent.name", "claude,anthropic")[0] == 0
    assert (project / FILE).read_text() == '[agent]\nname = "claude,anthropic"\n'


def test_a_table_in_pyproject_is_the_file_where_there_is_one(project, capsys):
    (project / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.rad-engineer]\n\n[tool.other]\na = 1\n'
    )
    code, out, _ = run(capsys, "set", "limits.story_timeout", "15m")
    assert code == 0
    assert out == "pyproject.toml: limits.story_timeout is set\n"
    assert (
        (project / "pyproject.toml")
        .read_text()
        .endswith('[tool.other]\na = 1\n\n[tool.rad-engineer.limits]\nstory_timeout = "15m"\n')
    )
    assert not (project / FILE).exists()


def test_a_link_leads_to_the_file_that_is_changed(project, capsys):
    (project / "shared.toml").write_text("[limits]\njobs = 2\n")
    (project / FILE).symlink_to("shared.toml")
    assert run(capsys, "set", "limits.jobs", "3")[0] == 0
    assert (project / FILE).is_symlink()
    assert (project / "shared.toml").read_text() == "[limits]\njobs = 3\n"


@pytest.mark.parametrize(
    ("key", "value", "code", "told"),
    [
        ("limts.jobs", "3", 2, "unknown key `limts.jobs`\nhint: did you mean `limits.jobs`?"),
        ("job", "3", 2, "did you mean `limits.jobs`?"),
        ("limits.jobs", "many", 2, "limits.jobs: expected a whole number or auto, found `many`"),
        ("only", "US-1", 2, "it is given to a command: --only"),
        ("grants.credentials", "claude", 2, "cannot be set by a file"),
        ("agent.model", " ", 2, "a value is missing"),
        ("policy.severities.tests-removed", "warn", 78, "unknown key `severities`"),
        ("gates", "make", 2, "`gates` is not written as one value"),
        ("final_gates", "make", 78, "expected a table"),
        ("agent.name", "claude", 2, "written as one value on line 1"),
        ("limits.keep_going", "true", 78, "contradict each other"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_stays(project, capsys, key, value, code, told):
    before = 'agent = "mock"\n[limits]\nfail_fast = true\n[gates]\n'
    (project / FILE).write_text(before)
    ended, _, err = run(capsys, "set", key, value)
    assert told in err
    assert ended == code
    assert (project / FILE).read_text() == before


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("landing.batch", "off", "batch = false"),
        ("limits.jobs", "auto", 'jobs = "auto"'),
        ("protect", "a/**, b", 'protect = ["a/**", "b"]'),
        ("budget.run", "$2.50", "run = 2.5"),
        ("budget.run", "none", 'run = "none"'),
        ("policy.severity.tests-removed", "warn", 'tests-removed = "warn"'),
        ("gates.a b", "make", '"a b" = "make"'),
        ("gateway.prices.m", "{ input = 1, output = 2.0 }", "m = { input = 1, output = 2.0 }"),
    ],
)
def test_every_kind_of_value_can_be_set_and_is_read_again(project, capsys, key, value, line):
    code, _, err = run(capsys, "set", key, value)
    assert code == 0, err
    assert line in (project / FILE).read_text().splitlines()
    assert run(capsys, "validate")[:2] == (0, f"{FILE}: 1 setting\nvalid\n")


def test_a_variable_that_wins_is_told(project, capsys, monkeypatch):
    monkeypatch.setenv("RAD_JOBS", "7")
    assert "note: $RAD_JOBS is set here, and wins" in run(capsys, "set", "limits.jobs", "2")[2]
    assert json.loads(run(capsys, "show", "--json")[1])["settings"]["jobs"] == 7


def test_validate_tells_everything_that_is_wrong(project, capsys):
    (project / FILE).write_text('[limits]\njbos = 2\nstory_timeout = "soon"\n[gates]\ntest = "make"\n')
    (project / "pyproject.toml").write_text("[tool.rad-engineer]\nprotec = []\n")
    code, out, _ = run(capsys, "validate")
    assert code == 78
    for told in (
        f"{project / 'pyproject.toml'}:2: unknown key `protec`\n  hint: did you mean `protect`?",
        f"{project / FILE}:2: unknown key `limits.jbos`\n  hint: did you mean `limits.jobs`?",
        f"{project / FILE}:3: limits.story_timeout: `soon` is not a time",
        "3 problems\n",
    ):
        assert told in out
    document = json.loads(run(capsys, "validate", "--json")[1])
    assert (document["ok"], len(document["problems"])) == (False, 3)


def test_validate_looks_at_variables_and_at_files_together(project, capsys, monkeypatch):
    assert run(capsys, "validate")[:2] == (
        0,
        f"{project}: no configuration; every setting has its default\nvalid\n",
    )
    monkeypatch.setenv("RAD_JOBS", "x")
    assert run(capsys, "validate")[:2] == (78, "RAD_JOBS: expected a whole number or auto, found `x`\n  hint: "
        "`rad-engineer config reference` lists all settings\n" + f"{project}: no configuration; every setting has its "
        "default\n1 problem\n")  # fmt: skip


def editor(monkeypatch, script):
    monkeypatch.setenv(
        "EDITOR", f'{sys.executable} -c "import pathlib, sys; p = pathlib.Path(sys.argv[1]); {script}"'
    )


def test_edit_takes_over_what_is_valid(project, capsys, monkeypatch):
    (project / FILE).write_bytes(ODD)
    editor(monkeypatch, "p.write_bytes(p.read_bytes().replace(b'= 2', b'= 3'))")
    assert run(capsys, "edit")[0] == 0
    assert (project / FILE).read_bytes() == ODD.replace(b"= 2", b"= 3")
    editor(monkeypatch, "")
    assert run(capsys, "edit")[1] == f"{FILE}: nothing was changed\n"


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        (
            "p.write_text('[limits]\\njbos = 2\\n')",
            78,
            ":2: unknown key `limits.jbos`\nhint: did you mean `limits.jobs`?",
        ),
        ("p.write_bytes(b'\\xff')", 78, "not UTF-8 at byte 0"),
        ("p.write_text('a = 1'); sys.exit(3)", 1, "ended with 3"),
    ],
)
def test_edit_keeps_what_is_not_valid_and_says_where(project, capsys, monkeypatch, script, code, told):
    (project / FILE).write_bytes(ODD)
    editor(monkeypatch, script)
    ended, _, err = run(capsys, "edit")
    assert told in err
    assert ended == code
    kept = Path(err.partition("what you wrote is kept in ")[2].partition(";")[0])
    assert kept.name == FILE
    assert kept.read_bytes() != ODD
    assert (project / FILE).read_bytes() == ODD


def test_edit_refuses_what_somebody_else_has_changed_meanwhile(project, capsys, monkeypatch):
    (project / FILE).write_bytes(ODD)
    editor(monkeypatch, f"p.write_text(''); pathlib.Path('{FILE}').write_text('protect = []')")
    code, _, err = run(capsys, "edit")
    assert (code, "was changed meanwhile" in err) == (78, True)
    assert (project / FILE).read_text() == "protect = []"


def test_edit_without_an_editor_that_starts_says_what_to_set(project, capsys, monkeypatch):
    monkeypatch.setenv("EDITOR", "no-such-editor -w")
    code, _, err = run(capsys, "edit")
    assert (code, "EDITOR=nano" in err) == (2, True)
    assert not (project / FILE).exists()


def test_feature_flags_are_shown_with_their_origin(project, capsys, monkeypatch):
    (project / FILE).write_text("detect_gates = false\n")
    monkeypatch.setenv("RAD_SHARE", "1")
    lines = dict(
        line.split(" = ", 1) for line in run(capsys, "show", "--features", "--origin")[1].splitlines()
    )
    assert lines.keys() == {
        "agent.review", "agent.simplify", "gateway.cache", "gateway.share", "detect_gates", "landing.batch",
    }  # fmt: skip
    assert lines["detect_gates"].split() == ["false", "#", FILE]
    assert lines["gateway.share"].split() == ["true", "#", "RAD_SHARE"]
    assert lines["landing.batch"].split() == ["true", "#", "default"]


def test_of_two_who_change_the_file_at_once_none_loses_what_was_said_to_be_set(project):
    (project / FILE).write_text("")
    argv = [sys.executable, "-m", "rad_engineer", "config", "set"]
    for turn in range(3):
        names = [f"gates.g{turn}-{number}" for number in range(6)]
        started = [
            subprocess.Popen([*argv, name, "pytest"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name in names
        ]
        done = [name for name, child in zip(names, started, strict=True) if child.wait() == 0]
        text = (project / FILE).read_text()
        assert done
        assert [name for name in done if name.removeprefix("gates.") not in text] == []


@pytest.mark.parametrize("there", [True, False])
def test_import_writes_nothing_through_a_link_out_of_the_project(project, tmp_path_factory, there, capsys):
    outside = tmp_path_factory.mktemp("outside") / "file"
    if there:
        outside.write_text("")
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (project / FILE).symlink_to(outside)
    assert cli.main(["import", "--write"]) == (77 if there else 78)
    said = "leads out of the project" if there else "a link to a file that is not there"
    assert said in capsys.readouterr().err
    assert outside.exists() is there
    assert not there or outside.read_text() == ""


@pytest.mark.parametrize(("key", "value"), [("gates.a", "x\udcff"), ("gates.x\udcff", "a")])
def test_bytes_that_are_no_text_are_refused(project, capsys, key, value):
    code, _, err = run(capsys, "set", key, value)
    assert code == 2
    assert "not UTF-8" in err
    assert not (project / FILE).exists()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("script", ["os.mkfifo(p)", "p.symlink_to('/dev/zero')", "p.mkdir()"])
def test_an_editor_may_leave_what_is_no_file(project, capsys, monkeypatch, script):
    (project / FILE).write_bytes(ODD)
    editor(monkeypatch, f"import os; p.unlink(); {script}")
    code, _, err = run(capsys, "edit")
    assert code == 78
    assert "has left is no regular file\nhint: what you wrote is kept in " in err
    assert (project / FILE).read_bytes() == ODD


def test_what_cannot_be_written_back_is_kept_and_is_73(project, capsys, monkeypatch):
    (project / FILE).write_bytes(ODD)
    editor(
        monkeypatch, "import os; os.rename(os.environ['AT'], os.environ['AT'] + '.gone'); p.write_text('')"
    )
    (project / "real").mkdir()
    (project / FILE).rename(project / "real" / FILE)
    (project / FILE).symlink_to(project / "real" / FILE)
    monkeypatch.setenv("AT", str(project / "real"))
    code, _, err = run(capsys, "edit")
    assert (code, "\nwhat you wrote is kept in " in err) == (73, True), err


def test_a_link_to_nothing_is_no_configuration(project, capsys):
    (project / FILE).symlink_to("nowhere.toml")
    code, out, _ = run(capsys, "validate")
    told = f"{project}/{FILE}: a link to a file that is not there\n  hint: put a readable file in its place, or remove it\n"
    assert (code, out) == (78, f"{told}{FILE}: 0 settings\n1 problem\n")
    code, _, err = run(capsys, "set", "limits.jobs", "3")
    assert (code, "a link to a file that is not there" in err) == (78, True)
