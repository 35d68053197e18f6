"""The contract of command-line agents: the same properties of every row, with programs that do as the real ones do."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rad_engineer import agents
from rad_engineer.agents import AgentWork, cli_agents
from rad_engineer.agents.adapters import ADAPTERS, Adapter
from rad_engineer.agents.reset_times import find
from rad_engineer.process import Limits
from tests import cli_streams
from tests.boxes import off
from tests.fake_cli import FakeCli, install
from tests.marks import MARKS

EVERY = sorted(name for name, row in ADAPTERS.items() if not row.acp)  # the others: test_acp_agents.py
METERED = [name for name in EVERY if ADAPTERS[name].metered]
PROMPT = "# Story S-1: Żółw 🐢\n\n" + 'Do what it says, `$HOME` and "quotes" and all.\n' * 3_000
TOKEN = "session-token-0123456789"
KEYS = {"ANTHROPIC_API_KEY": "sk-ant-planted-000", "OPENAI_API_KEY": "sk-planted-111", "CURSOR_API_KEY": "planted-222",
        "AMP_API_KEY": "planted-333", "GH_TOKEN": "planted-444", "GEMINI_API_KEY": "planted-555",
        "AWS_SECRET_ACCESS_KEY": "planted-666", "NPM_AUTH_TOKEN": "planted-777"}  # fmt: skip


class Place:
    """A slot, an attempt's folder and a home with logins."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.adapter = folder, ADAPTERS[name]
        self.slot, self.home, self.attempt = folder / "slot", folder / "home", folder / "story" / "attempt-1"
        for made in (self.slot, self.home, self.attempt):
            made.mkdir(parents=True)
        (self.attempt / "prompt.md").write_text(PROMPT)
        for path in self.adapter.credentials:
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text('{"login": "of the user"}')
        self.lines: list[str] = []
        self.started: list[int] = []
        self.finished = 0

    def work(self, metered: bool, **more: object) -> AgentWork:
        def on_finished(_result: object) -> None:
            self.finished += 1

        env = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8",
               "NO_PROXY": "example.org", **KEYS}  # fmt: skip
        given = {"base_url": "http://127.0.0.1:9/", "token": TOKEN} if metered else {}
        about = {"model": "some-model", "limits": Limits(seconds=60, grace=0.2), **given, **more}
        return AgentWork(
            story_id="S-1", title="Żółw", attempt=1, slot=self.slot, marks=MARKS, box=off(), prompt=self.attempt / "prompt.md",
            log=self.attempt / "agent.log", env=env, on_line=self.lines.append, on_started=self.started.append,
            on_finished=on_finished, **about,  # type: ignore[arg-type]
        )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.attempt / "agent.log").read_text()


def set_up(folder: Path, name: str) -> tuple[Place, FakeCli]:
    return Place(folder, name), install(name, folder)


def run(place: Place, work: AgentWork) -> agents.AgentResult:
    return agents.agent(place.adapter.name).run(work)


@pytest.mark.parametrize("name", EVERY)
def test_a_story_is_done(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    fake.plan(cli_streams.text_of(cli_streams.GOOD[name]), files={"made.txt": "hi\n"})
    result = run(place, place.work(metered=name in METERED))
    assert (result.outcome, result.code, place.finished) == ("finished", 0, 1), result
    assert (place.slot / "made.txt").read_text() == "hi\n"
    [asked] = fake.asked
    assert asked["prompt"] == PROMPT
    assert not any("Story" in argument or "Żółw" in argument for argument in asked["argv"])
    assert asked["cwd"] == str(place.slot)
    assert result.session == cli_streams.SESSIONS[name]
    assert bool(place.started) == place.adapter.honest  # else nobody may believe its exit code
    assert result.tokens == 247
    assert "Story done." in place.log
    assert name == "aider" or result.summary == "Story done."
    assert result.cost_usd == (
        pytest.approx(0.00142, rel=0.05) if place.adapter.costs and name != "qwen" else 0
    )
    assert result.unmetered == (name not in METERED)
    assert place.lines
    assert not any(line.startswith("{") for line in place.lines)


@pytest.mark.parametrize("name", EVERY)
def test_what_it_may_know(tmp_path, name):
    """Through the gateway a session's token, else its own login, and never somebody else's; nothing of it is shown."""
    place, fake = set_up(tmp_path, name)
    metered = name in METERED
    fake.plan(cli_streams.text_of(cli_streams.GOOD[name]), echoes=True, folders=list(place.adapter.home))
    result = run(place, place.work(metered))
    [asked] = fake.asked
    env, own = asked["env"], set() if metered else set(place.adapter.variables)
    for key, value in KEYS.items():
        assert (value in env.values()) == (key in own), key
    everything = "\n".join([*asked["argv"], place.log, result.output, *place.lines])
    assert not [value for value in (*KEYS.values(), TOKEN) if value in everything]
    assert "environment:" in place.log
    for variable in ("NO_PROXY", "no_proxy"):
        assert {"127.0.0.1", "localhost", "::1"} <= set(env[variable].split(","))
    assert "example.org" in env["NO_PROXY"]
    if metered:
        assert any(TOKEN in value for value in env.values())
        assert any("http://127.0.0.1:9" in value for value in env.values())
    lent = {Path(target).parts[0] for target in place.adapter.credentials.values() if target}
    for found in asked["state"].values():
        assert set(found) == (set() if metered else lent)
    left = place.attempt.parent / f"agent-{name}"
    assert not [path for path in left.rglob("*") if path.is_symlink() or path.is_file()]


@pytest.mark.parametrize("name", EVERY)
def test_exit_codes_and_broken_output(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    fake.plan(
        '{"type": "result"\n{"type": 3}\n[1]\nnull\n{"type":"assistant","message":7}\nit broke\n{"cut', code=3
    )
    result = run(place, place.work(metered=True))
    assert (result.outcome, result.code, place.finished) == ("failed", 3, 0)
    assert "it broke" in result.output
    fake.plan("", code=127)
    assert run(place, place.work(metered=True)).outcome == "missing"


@pytest.mark.parametrize("name", EVERY)
def test_it_is_not_there(tmp_path, name):
    place = Place(tmp_path, name)
    work = place.work(metered=True)
    result = run(place, AgentWork(**{**_fields(work), "env": {**work.env, "PATH": str(tmp_path)}}))
    assert (result.outcome, result.code) == ("missing", 127)


def _fields(work: AgentWork) -> dict[str, object]:
    return {name: getattr(work, name) for name in AgentWork.__dataclass_fields__}


@pytest.mark.parametrize("name", EVERY)
def test_it_hangs_and_is_stopped_with_all_it_started(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    fake.plan(cli_streams.text_of(cli_streams.GOOD[name])[:-1], hangs=True)
    result = run(place, place.work(True, limits=Limits(seconds=0.5, grace=0.1)))
    assert (result.outcome, place.finished) == ("timeout", 0)
    mark = str(place.folder).encode()
    alive = [
        entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _command_of(entry)
    ]
    assert alive == []


def _command_of(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("name", ["claude", "opencode"])
def test_it_is_cancelled(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    fake.plan("on it\n", hangs=True)
    reader, writer = os.pipe()
    work = place.work(True, cancel=reader, limits=Limits(seconds=60, grace=0.1))
    object.__setattr__(work, "on_started", lambda _pid: os.write(writer, b"x"))
    try:
        assert run(place, work).outcome == "cancelled"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("name", EVERY)
def test_a_limit_parks_the_story(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    code, events = cli_streams.LIMITED[name]
    fake.plan(cli_streams.text_of(events), code=code)
    begun = time.time()
    result = run(place, place.work(metered=False))
    assert (result.outcome, place.finished) == ("later", 0), result
    assert result.retry_at is not None
    wanted = {"claude": 1795300000 - begun, "codex": 7500, "opencode": 120, "gemini": 66670, "cursor-agent": 259200,
              "amp": 1800, "aider": 60, "goose": 90, "copilot": 7200, "qwen": 45}[name]  # fmt: skip
    assert 0 <= result.retry_at - begun - wanted < 60


@pytest.mark.parametrize("name", EVERY)
def test_a_lost_login_parks_the_story_and_says_what_to_do(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    code, events = cli_streams.LOGGED_OUT[name]
    fake.plan(cli_streams.text_of(events), code=code)
    result = run(place, place.work(metered=False))
    assert (result.outcome, result.retry_at, place.finished) == ("later", None, 0), result
    assert f"{name} is not logged in: {place.adapter.login}" in result.output


def test_words_about_limits_in_a_story_that_is_done_mean_nothing(tmp_path):
    place, fake = set_up(tmp_path, "claude")
    fake.plan("warning: rate limit module loaded\n" + cli_streams.text_of(cli_streams.GOOD["claude"]))
    assert run(place, place.work(metered=True)).outcome == "finished"


@pytest.mark.parametrize("name", ["claude", "opencode", "codex"])
def test_a_trouble_that_passes_is_none(tmp_path, name):
    """Agents tell of their own retries as of errors; what counts is how it ends."""
    place, fake = set_up(tmp_path, name)
    fake.plan(cli_streams.text_of([*cli_streams.LIMITED[name][1], *cli_streams.GOOD[name]]))
    assert run(place, place.work(metered=True)).outcome == "finished"


@pytest.mark.parametrize("name", [name for name in EVERY if ADAPTERS[name].resume])
def test_it_goes_on_with_a_session(tmp_path, name):
    place, fake = set_up(tmp_path, name)
    fake.plan(cli_streams.text_of(cli_streams.GOOD[name]))
    run(place, place.work(metered=name in METERED, session="ses-42"))
    run(place, place.work(metered=name in METERED))
    first, second = (asked["argv"] for asked in fake.asked)
    assert any("ses-42" in argument for argument in first)
    assert not any(
        "resume" in argument or "session" in argument or "continue" in argument for argument in second[1:]
    )


@pytest.mark.parametrize("name", [name for name in EVERY if ADAPTERS[name].optional])
def test_an_old_version_gets_only_what_it_knows(tmp_path, name):
    adapter = ADAPTERS[name]
    lost = adapter.optional[0]
    place, fake = Place(tmp_path, name), install(name, tmp_path, unknown=[lost.flag])
    run(place, place.work(metered=True))
    [asked] = fake.asked
    assert lost.flag not in asked["argv"]
    assert f"{name} 1.2.3 has no {lost.flag}: {lost.loses}" in place.log


def test_the_version_is_asked_for_once(tmp_path):
    install("claude", tmp_path)
    env = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    first = cli_agents.probe(ADAPTERS["claude"], env)
    (tmp_path / "fake-claude" / "help").unlink()
    assert cli_agents.probe(ADAPTERS["claude"], env) is first
    assert first.version == "1.2.3"


@pytest.mark.parametrize("hangs", ["--version", "--help"])
def test_a_program_that_hangs_when_asked_keeps_all_its_options(tmp_path, monkeypatch, hangs):
    """Half a help names half of the options; and the next time it may be quicker."""
    monkeypatch.setattr(cli_agents, "_PROBE_SECONDS", 0.3)
    program = tmp_path / "claude"
    program.write_text(f'#!/bin/sh\necho 1.2.3\n[ "$1" = {hangs} ] && exec sleep 600\ntrue\n')
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    first = cli_agents.probe(ADAPTERS["claude"], env)
    assert (first.path, first.left_out, first.answered) == (str(program), (), False)
    assert cli_agents.probe(ADAPTERS["claude"], env) is not first


def test_a_program_that_does_not_say_its_version_is_used_with_a_warning(tmp_path):
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\nexit 4\n")
    program.chmod(0o755)
    found = cli_agents.probe(ADAPTERS["claude"], {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    assert found.path == str(program)
    assert found.warnings == ("claude: `claude --version` ended with 4: its version is not known",)


def test_a_renewed_login_goes_back_to_the_user(tmp_path):
    """Some replace the file, which would replace only our link; the user's own must not be the old one then."""
    place, fake = set_up(tmp_path, "codex")
    state = place.attempt.parent / "agent-codex"
    fake.plan(cli_streams.text_of(cli_streams.GOOD["codex"]), replaces=str(state / "auth.json"))
    program = fake.bin / "codex"
    program.write_text(program.read_text().replace(
        "raise SystemExit(plan", "os.unlink(plan['replaces']); open(plan['replaces'], 'w').write('new login')\nraise SystemExit(plan"
    ))  # fmt: skip
    assert run(place, place.work(metered=False)).outcome == "finished"
    assert (place.home / ".codex/auth.json").read_text() == "new login"
    assert (place.home / ".codex/auth.json").stat().st_mode & 0o777 == 0o600
    assert not (state / "auth.json").exists()


def test_a_flood_is_stopped_and_the_log_is_bounded(tmp_path):
    place, fake = set_up(tmp_path, "claude")
    fake.plan("x" * 200_000 + "\n" + "word " * 100_000)
    limits = Limits(seconds=60, grace=0.1, output_bytes=300_000, log_bytes=10_000)
    assert run(place, place.work(True, limits=limits)).outcome == "flooded"
    assert len(place.log) <= 10_000


@pytest.mark.parametrize("row", [ADAPTERS[name] for name in EVERY], ids=lambda row: row.name)
def test_rows_are_whole(row: Adapter):
    marks = {"{model}", "{optional}", "{resume}", "{way}"}
    assert row.prompt == "stdin" or "{prompt}" in row.argv
    assert "{optional}" in row.argv or not row.optional
    assert "{resume}" in row.argv or not row.resume
    assert "{way}" in row.argv or not (row.metered_way or row.own_way)
    assert "{model}" in row.argv or not row.model
    assert all(part in marks or "{token}" not in part for part in (*row.argv, *row.metered_way, *row.own_way))
    assert row.login
    assert not any(Path(path).is_absolute() or ".." in Path(path).parts for path in row.credentials)


def test_real_times_are_found_in_messages():
    now = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
    at = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    for text, hours in {
        "Claude usage limit reached|1795300000": (1795300000 - at) / 3600,
        "You've hit your limit · resets 3pm (UTC)": 39,
        "You've hit your limit · resets 5:30pm (UTC)": 17.5,
        "resets 9am (America/New_York)": 38,
        "resets Nov 24, 3pm (UTC)": 87,
        "resets Jan 2 at 10:00 (UTC)": 24 * 42 + 10,
        "Try again at Nov 22nd, 2026 3:05 PM.": 39 + 5 / 60,
        "Please retry in 12.5s.": 16 + 12.5 / 3600,
        "Your quota will reset after 18h31m10s.": 16 + 18 + 31 / 60 + 10 / 3600,
        "try again in 3 days 2 hours 5 minutes": 16 + 74 + 5 / 60,
        "resets 4pm (Nowhere/Land)": 40,
    }.items():
        assert find(text, now) == pytest.approx(at + hours * 3600, abs=1), text
    for text in (
        "",
        "resets soon",
        "try again",
        "resets 7",
        "resets 27:99",
        "reset after lunch",
        "resets Foo 3, 3pm",
    ):
        assert find(text, now) is None or text == "resets Foo 3, 3pm", text
