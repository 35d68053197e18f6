"""Settings: precedence, merging, origins, and refusals that say where and what."""

import os
from pathlib import Path

import pytest

from rad_engineer import settings
from rad_engineer.errors import ConfigInvalid, NoAgent, RadError, UsageError
from rad_engineer.gateway.configuration import configured
from rad_engineer.settings_schema import GROUPS, SETTINGS
from rad_engineer.settings_values import BadValue, parse, seconds, time_text


def write(folder: Path, toml: str = "", pyproject: str = "") -> Path:
    if toml:
        (folder / "rad-engineer.toml").write_text(toml)
    if pyproject:
        (folder / "pyproject.toml").write_text(pyproject)
    return folder


def test_table_and_class_have_the_same_names():
    fields = set(settings.Settings.__dataclass_fields__) - {"adapts", "origins"}
    assert fields == set(SETTINGS)
    assert sum(len(rows) for rows in GROUPS.values()) == len(SETTINGS)


def test_keys_and_variables_are_unique():
    for attribute in ("key", "variable"):
        values = [value for row in SETTINGS.values() if (value := getattr(row, attribute))]
        assert len(values) == len(set(values))


def test_defaults_need_no_file(tmp_path):
    found = settings.load(tmp_path, {}, {})
    assert found.jobs >= 1
    assert (found.attempts, found.story_timeout, found.gate_timeout) == (3, 7200.0, 900.0)
    assert (found.workspace, found.write_back, found.gates) == ("slots", True, {})
    assert set(found.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("flags", "env", "toml", "pyproject", "jobs", "origin"),
    [
        ({"jobs": "5"}, {"RAD_JOBS": "4"}, "3", "2", 5, "--jobs"),
        ({}, {"RAD_JOBS": "4"}, "3", "2", 4, "RAD_JOBS"),
        ({"jobs": None}, {"RAD_JOBS": ""}, "3", "2", 3, "rad-engineer.toml"),
        ({}, {}, None, "2", 2, "pyproject.toml"),
    ],
)
def test_precedence(tmp_path, flags, env, toml, pyproject, jobs, origin):
    write(
        tmp_path,
        f"[limits]\njobs = {toml}\n" if toml else "",
        f"[project]\nname='x'\n[tool.rad-engineer.limits]\njobs = {pyproject}\n",
    )
    found = settings.load(tmp_path, flags, env)
    assert (found.jobs, found.origins["jobs"]) == (jobs, origin)


def test_tables_merge_per_name(tmp_path):
    write(
        tmp_path,
        '[gates]\ntest = "pytest -q"\n[limits]\nattempts = 5\n',
        '[tool.rad-engineer.gates]\ntest = "pytest"\nlint = "ruff check"\n[tool.rad-engineer.limits]\ngrace = "1m"\n',
    )
    found = settings.load(tmp_path, {}, {})
    assert found.gates == {"test": "pytest -q", "lint": "ruff check"}
    assert (found.attempts, found.grace) == (5, 60.0)
    assert found.origins["gates.lint"] == "pyproject.toml"
    assert found.origins["gates.test"] == "rad-engineer.toml"


def test_every_key_of_the_layout_is_read(tmp_path):
    write(
        tmp_path,
        """
protect = ["tests/**"]
detect_gates = false
[gates]
test = "pytest -q"
[wave_gates]
smoke = "make smoke"
[final_gates]
build = "make build"
[workspace]
setup = "npm ci"
copy = [".env.test"]
keep = ["node_modules"]
root = "/var/tmp/slots"
mode = "shared"
history = 10
[agent]
name = "command"
command = "claude -p"
[limits]
jobs = "auto"
attempts = 1
story_timeout = "1h30m"
idle_timeout = "none"
gate_timeout = 30
deadline = "8h"
grace = 2.5
max_stories = 7
[landing]
branch = "feature/x"
base = "origin/main"
batch = false
merge = true
write_back = false
allow_unverified = true
allow_dangling = true
allow_protected_branch = true
""",
    )
    found = settings.load(tmp_path, {}, {})
    assert found.protect == ("tests/**",)
    assert (found.setup, found.copy, found.keep) == ("npm ci", (".env.test",), ("node_modules",))
    assert (found.root, found.workspace, found.history) == ("/var/tmp/slots", "shared", 10)
    assert (found.agent, found.agent_command) == ("command", "claude -p")
    assert (found.story_timeout, found.idle_timeout, found.gate_timeout) == (5400.0, None, 30.0)
    assert (found.deadline, found.grace, found.max_stories, found.attempts) == (28800.0, 2.5, 7, 1)
    assert (found.branch, found.base, found.batch, found.merge) == ("feature/x", "origin/main", False, True)
    assert found.allow_unverified
    assert found.allow_dangling
    assert found.allow_protected_branch
    assert not found.write_back
    assert not found.detect_gates
    assert (found.wave_gates, found.final_gates) == ({"smoke": "make smoke"}, {"build": "make build"})


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        ("[limits]\nattempts = 2\nstory_timout = 3\n", 3, "unknown key `limits.story_timout`"),
        ("[limit]\njobs = 2\n", 1, "unknown key `limit`"),
        ("\n\njobs = 2\n", 3, "unknown key `jobs`"),
        ("limits.jobs = 1.5\n", 1, "limits.jobs: expected a whole number or auto, found 1.5"),
        ("[limits]\njobs = true\n", 2, "found true"),
        ("[limits]\njobs = 0\n", 2, "at least 1"),
        ('[limits]\nattempts = "3"\n', 2, "expected a whole number, found `3`"),
        ('[limits]\ngrace = "soon"\n', 2, "`soon` is not a time"),
        ("[limits]\ngrace = -1\n", 2, "is not a time"),
        ('[workspace]\nmode = "slot"\n', 2, "`slot` is none of slots, shared"),
        ("[gates]\ntest = 3\n", 1, "gate `test`: expected a command, found 3"),
        ('[gates]\ntest = ""\n', 1, "gate `test`: expected a command"),
        ("[agent.roles]\nplanner = 1\n", 1, "role `planner`: expected a path.md, found 1"),
        ("gates = 3\n", 1, 'expected a table of NAME = "command"'),
        ('protect = "x"\n', 1, "expected a list of texts"),
        ("limits = 3\n", 1, "`limits` is a table"),
        ('[landing]\nmerge = "yes"\n', 2, "expected true or false"),
    ],
)
def test_refusals_name_file_and_line(tmp_path, toml, line, words):
    write(tmp_path, toml)
    with pytest.raises(ConfigInvalid) as caught:
        settings.load(tmp_path, {}, {})
    assert str(caught.value).startswith(f"{tmp_path / 'rad-engineer.toml'}:{line}: ")
    assert words in str(caught.value)
    assert caught.value.exit_code == 78
    assert caught.value.hint


@pytest.mark.parametrize(
    ("toml", "meant"),
    [
        ("[limits]\nstory_timout = 3\n", "limits.story_timeout"),
        ("jobs = 2\n", "limits.jobs"),
        ("[workspace]\nsetpu = 'x'\n", "workspace.setup"),
    ],
)
def test_unknown_keys_get_a_suggestion(tmp_path, toml, meant):
    with pytest.raises(ConfigInvalid) as caught:
        settings.load(write(tmp_path, toml), {}, {})
    assert caught.value.hint == f"did you mean `{meant}`?"


def test_pyproject_refusal_names_the_line_in_it(tmp_path):
    write(tmp_path, pyproject="[project]\nname = 'x'\n\n[tool.rad-engineer]\nprotekt = []\n")
    with pytest.raises(ConfigInvalid, match=r"pyproject\.toml:5: unknown key `protekt`"):
        settings.load(tmp_path, {}, {})


def test_broken_toml_is_refused_but_a_foreign_pyproject_is_not_read(tmp_path):
    write(tmp_path, pyproject="[broken\n")
    settings.load(tmp_path, {}, {})
    write(tmp_path, toml="[broken\n")
    with pytest.raises(ConfigInvalid, match="line 1"):
        settings.load(tmp_path, {}, {})


def test_bad_flags_are_usage_errors_and_bad_variables_configuration():
    with pytest.raises(UsageError, match=r"--jobs: expected a whole number or auto, found `many`"):
        settings.load(None, {"jobs": "many"}, {})
    with pytest.raises(ConfigInvalid, match=r"RAD_WRITE_BACK: expected true or false"):
        settings.load(None, {}, {"RAD_WRITE_BACK": "perhaps"})
    with pytest.raises(UsageError):
        settings.load(None, {"job": 3}, {})


def test_variables_of_agents_are_not_settings():
    env = {"RAD_STORY_ID": "US-1", "RAD_ATTEMPT": "2", "RAD_PROMPT_FILE": "/x"}
    assert set(settings.load(None, {}, env).origins.values()) == {"default"}


def test_text_values_of_every_kind():
    env = {
        "RAD_PROTECT": "a/**, b.py",
        "RAD_KEEP_GOING": "on",
        "RAD_STORY_TIMEOUT": "0",
        "RAD_GATE_TIMEOUT": "90",
    }
    found = settings.load(None, {"only": ["A", "B"], "write_back": False}, env)
    assert found.protect == ("a/**", "b.py")
    assert (found.keep_going, found.story_timeout, found.gate_timeout) == (True, None, 90.0)
    assert (found.only, found.write_back, found.origins["write_back"]) == (("A", "B"), False, "--write-back")


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("0.5s", 0.5),
     (" 2H ", 7200), ("500ms", 0.5), ("1 h 5 m", 3900)],
)  # fmt: skip
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "5x", "-1", "nan", "inf", "1h-5m", "h5", "5 minutes"])
def test_no_times(text):
    with pytest.raises(BadValue):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10.0), ("$0.50", 0.5), (3, 3.0), ("none", 0.0), ("0.000001", 1e-6), (" 1e3 ", 1000.0)],
)
def test_money(text, value):
    assert parse(SETTINGS["budget"], text, written=True) == value


@pytest.mark.parametrize("text", ["", "-1", "ten", "nan", "inf", "1000001", True])
def test_no_money(text):
    with pytest.raises(BadValue, match="US dollars"):
        parse(SETTINGS["budget"], text, written=True)


@pytest.mark.parametrize("nothing", ["0", 0, "0.0000001", "$0.00"])
def test_nothing_is_no_budget_and_does_not_mean_without_limit(nothing):
    with pytest.raises(BadValue, match="say none for no limit"):
        parse(SETTINGS["budget"], nothing, written=True)


def test_prices_are_tables_and_merge_per_model(tmp_path):
    toml = "[gateway.prices]\nown = { input = 1, output = 2.5, cache_read = 0 }\n"
    pyproject = "[tool.rad-engineer.gateway.prices]\n'o.ther' = { input = 3, output = 4 }\n"
    found = settings.load(write(tmp_path, toml, pyproject), {}, {})
    assert found.prices == {
        "own": {"input": 1.0, "output": 2.5, "cache_read": 0.0},
        "o.ther": {"input": 3.0, "output": 4.0},
    }


@pytest.mark.parametrize(
    "value", [1, {"m": 3}, {"m": {"input": 1}}, {"m": {"input": 1, "output": -1}},
              {"m": {"input": 1, "output": True}}, {"m": {"input": 1, "output": 2, "outptu": 3}}],
)  # fmt: skip
def test_no_prices(value):
    with pytest.raises(BadValue, match=r"input|MODEL"):
        parse(SETTINGS["prices"], value, written=False)


def test_rates_are_tables_and_reach_the_gateway_by_tier_and_model(tmp_path):
    toml = "[gateway]\nrequests_per_minute = 9\n[gateway.limits]\nsession = { requests = 3 }\n'm' = { tokens = 5 }\n"
    found = settings.load(write(tmp_path, toml), {}, {})
    assert configured(found).limits == {
        "global": {"requests": 9, "tokens": None},
        "session": {"requests": 3},
        "models": {"m": {"tokens": 5}},
    }


@pytest.mark.parametrize(
    "value", [1, {"m": 3}, {"m": {}}, {"m": {"requests": 0}}, {"m": {"requests": True}}, {"m": {"r": 1}}]
)
def test_no_rates(value):
    with pytest.raises(BadValue, match=r"requests"):
        parse(SETTINGS["rates"], value, written=False)


@pytest.mark.parametrize("value", [0.5, 1.0, 59.0, 60.0, 90.0, 3600.0, 5400.0, 86400.0, 604800.0])
def test_times_are_shown_as_they_are_read(value):
    assert seconds(time_text(value)) == value


def test_defaults_fit_their_kind():
    for row in SETTINGS.values():
        if row.default not in (None, ()):
            assert parse(row, row.default, written=False) == row.default


def test_json_form_survives(tmp_path):
    found = settings.load(tmp_path, {"jobs": 2, "only": ["A"], "story_timeout": "5m"}, {"RAD_AGENT": "mock"})
    assert settings.Settings.from_json(found.to_json()) == found
    later = settings.with_flags(
        settings.Settings.from_json({"jobs": 3, "only": ["A"]}), {"allow_unverified": True}
    )
    assert (later.jobs, later.only, later.allow_unverified, later.attempts) == (3, ("A",), True, 3)


@pytest.mark.parametrize(
    ("flags", "env", "toml", "name", "origin"),
    [
        ({}, {}, "", None, "default"),
        ({"agent": "mock"}, {}, "", "mock", "--agent"),
        ({"agent": "claude,command"}, {"RAD_AGENT_COMMAND": "true"}, "", "claude", "--agent"),
        ({"agent_command": "true"}, {"RAD_AGENT": "claude"}, "", "command", "--agent-command"),
        ({}, {"RAD_AGENT": "auto"}, "agent = 'claude'\n", "auto", "RAD_AGENT"),
        ({}, {"USE_REAL_AGENTS": "false"}, "agent = 'claude'\n", "mock", "USE_REAL_AGENTS"),
        ({"agent_command": "true"}, {}, "", "command", "--agent-command"),
        ({"agent_command": "true"}, {"RAD_AGENT": "mock"}, "", "command", "--agent-command"),
        ({"agent": "mock", "agent_command": "true"}, {}, "", "mock", "--agent"),
        ({"agent": "mock"}, {"RAD_AGENT_COMMAND": "true"}, "", "mock", "--agent"),
        ({}, {"RAD_AGENT": "mock"}, "agent = 'command'\n", "mock", "RAD_AGENT"),
        ({}, {}, "[agent]\ncommand = 'true'\n", "command", "rad-engineer.toml"),
        ({}, {}, "agent = 'mock'\n", "mock", "rad-engineer.toml"),
        ({}, {"USE_REAL_AGENTS": "false"}, "[agent]\ncommand = 'true'\n", "mock", "USE_REAL_AGENTS"),
        ({}, {"USE_REAL_AGENTS": "False", "RAD_AGENT_COMMAND": "x", "RAD_AGENT": "command"}, "", "command", "RAD_AGENT"),
        ({"agent_command": "true"}, {"USE_REAL_AGENTS": "false"}, "", "command", "--agent-command"),
        ({}, {"USE_REAL_AGENTS": "true"}, "[agent]\nname = 'mock'\ncommand = 'true'\n", "command", "rad-engineer.toml"),
        ({}, {"USE_REAL_AGENTS": "true"}, "agent = 'mock'\n", None, "default"),
    ],
)  # fmt: skip
def test_agent_selection(tmp_path, flags, env, toml, name, origin):
    found = settings.load(write(tmp_path, toml), flags, env)
    choice = settings.resolve_agent(found, env)
    assert (choice.name, choice.origin) == (name, origin)
    assert bool(choice.command) == ("command" in choice.chain)


def test_several_agents_are_a_chain(tmp_path):
    found = settings.load(write(tmp_path, "[agent]\nname = ['claude', 'anthropic', 'claude']\n"), {}, {})
    choice = settings.resolve_agent(found, {})
    assert choice.chain == ("claude", "anthropic")
    assert settings.AgentChoice(None, "", "default").chain == ()
    with pytest.raises(UsageError, match=r"--agent: `clod` is none of auto, anthropic, claude"):
        settings.load(None, {"agent": "claude, clod"}, {})


def test_command_agent_without_command_is_refused():
    with pytest.raises(NoAgent) as caught:
        settings.resolve_agent(settings.load(None, {"agent": "command"}, {}), {})
    assert caught.value.exit_code == 69


def test_directories_follow_the_environment():
    env = {"HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative"}
    assert settings.state_home(env) == Path("/s/rad-engineer")
    assert settings.cache_home(env) == Path("/home/u/.cache/rad-engineer")


def test_unreadable_configuration_is_a_refusal(tmp_path):
    (tmp_path / "rad-engineer.toml").mkdir()
    with pytest.raises(RadError, match="Is a directory"):
        settings.load(tmp_path, {}, {})
    os.rmdir(tmp_path / "rad-engineer.toml")  # noqa: PTH106
    (tmp_path / "rad-engineer.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RadError, match="not UTF-8"):
        settings.load(tmp_path, {}, {})


def test_a_users_own_file_is_the_weakest(tmp_path):
    home, project = tmp_path / "home", tmp_path / "project"
    own = home / ".config" / "rad-engineer"
    own.mkdir(parents=True)
    project.mkdir()
    write(own, 'agent = "claude"\n[budget]\nrun = 3\nstory = 2\n', '[tool.rad-engineer]\nbranch = "x"\n')
    write(project, "[budget]\nrun = 4\n")
    found = settings.load(project, {}, {"HOME": str(home), "RAD_STORY_BUDGET": "1"})
    assert (found.agent, found.budget, found.story_budget, found.branch) == ("claude", 4.0, 1.0, None)
    assert found.origins["agent"] == "your own configuration"
    assert settings.load(project, {}, {}).agent is None
    write(project, '[agent]\ncommand = "mine"\n')
    wanted = settings.load(project, {}, {"HOME": str(home)})
    assert settings.resolve_agent(wanted, {}).chain == ("command",)
    alone = settings.load(tmp_path, {}, {"XDG_CONFIG_HOME": str(home / ".config")})
    assert settings.resolve_agent(alone, {}).chain == ("claude",)
