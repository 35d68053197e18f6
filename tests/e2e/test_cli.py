"""The installed command: what it prints where, its exit codes, and what it does when things go wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rad_engineer import cli
from rad_engineer.commands import VERBS
from rad_engineer.errors import ExitCode

PROGRAM = [sys.executable, "-m", "rad_engineer"]
VERSION = __import__("rad_engineer").__version__


@pytest.fixture
def env(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    state = tmp_path / "xdg"
    return {
        **kept,
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(state / "state"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COLUMNS": "80",
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def run(argv, **more):
    return subprocess.run(argv, check=more.pop("check", False), timeout=60, **more)


def call(*argv, env, cwd, **more):
    return run([*PROGRAM, *argv], env=env, cwd=cwd, capture_output=True, text=True, **more)


def git(folder, *argv):
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    run(["git", *who, *argv], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(folder):
    git(folder, "init")
    (folder / "README.md").write_text("hello\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_version(env, folder):
    ended = call("--version", env=env, cwd=folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"rad-engineer {VERSION}\n", "")


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_overview_lists_verbs_exit_codes_and_an_example(argv, env, folder):
    ended = call(*argv, env=env, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    for verb in VERBS:
        assert f"\n  {verb.name:18}{verb.doc}\n" in ended.stdout
    for code in ExitCode:
        assert f"\n  {int(code):<5}" in ended.stdout
    assert "Example:\n  rad-engineer " in ended.stdout


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example(verb, env, folder):
    ended = call(*verb.name.split(), "-h", env=env, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: rad-engineer {verb.name} ")
    for example in verb.examples:
        assert f"    {example}\n" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "stderr"),
    [
        (["rnu"], "error: no such command: rnu\nhint: did you mean `rad-engineer run`?\n"),
        (["config", "shwo"], "error: no such command: config shwo\nhint: did you mean `rad-engineer config show`?\n"),
        (["--verbose"], "error: no such option: --verbose\nhint: options follow the command; see `rad-engineer --help`\n"),
        (["plan"], "error: missing argument 'PRD'\nhint: see `rad-engineer plan --help`\n"),
        (["status", "--wach"], "error: no such option: --wach\nhint: did you mean --watch? see `rad-engineer status --help`\n"),
    ],
)  # fmt: skip
def test_usage_errors(argv, stderr, env, folder):
    ended = call(*argv, env=env, cwd=folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"rad-engineer: {stderr}")


def test_no_library_of_another_verb_is_imported(env, folder):
    for argv in (["--help"], ["run", "--help"], ["config", "show"], ["config", "--help"]):
        ended = run(
            [sys.executable, "-X", "importtime", "-m", "rad_engineer", *argv],
            env=env, cwd=folder, capture_output=True, text=True
        )  # fmt: skip
        modules = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
        heavy = modules & {"rich", "pydantic", "structlog", "markdown_it", "asyncio", "importlib.metadata"}
        assert not heavy, argv
        if argv != ["run", "--help"]:
            assert "typer" not in modules, argv


def test_what_only_looks_loads_nothing_that_waits_for_others_or_counts_days(env, folder):
    (folder / "prd.json").write_text('{"userStories": [{"id": "A", "title": "a", "passes": false}]}')
    slow = {"socket", "selectors", "subprocess", "calendar", "locale", "statistics", "tempfile", "logging"}
    for argv in (
        ["next", "prd.json"],
        ["plan", "prd.json"],
        ["status", "prd.json"],
        ["validate", "prd.json"],
    ):
        ended = run(
            [sys.executable, "-X", "importtime", "-m", "rad_engineer", *argv],
            env=env, cwd=folder, capture_output=True, text=True
        )  # fmt: skip
        assert ended.returncode in (0, 1), ended.stderr[-2000:]
        modules = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
        assert "rad_engineer.importers" in modules
        assert not modules & slow, argv


def test_config_show_and_its_origins(env, folder):
    (folder / "rad-engineer.toml").write_text('[limits]\njobs = 3\n[gates]\ntest = "pytest"\n')
    ended = call("config", "show", "--origin", env={**env, "RAD_GRACE": "90s"}, cwd=folder)
    lines = [line.split("  # ") for line in ended.stdout.splitlines()]
    shown = {left.strip(): origin for left, origin in lines}
    assert shown["limits.jobs = 3"] == "rad-engineer.toml"
    assert shown["limits.grace = 90s"] == "RAD_GRACE"
    assert shown['gates = { test = "pytest" }'] == "rad-engineer.toml"
    assert shown["limits.attempts = 3"] == "default"
    document = json.loads(call("config", "show", "--json", env=env, cwd=folder).stdout)
    assert document["schema_version"] == 1
    assert document["settings"]["gates"] == {"test": "pytest"}
    assert document["origins"]["jobs"] == "rad-engineer.toml"


def test_config_is_that_of_the_repository_in_any_folder_of_it(env, repository):
    (repository / "rad-engineer.toml").write_text("[limits]\njobs = 3\n")
    (repository / "a" / "b").mkdir(parents=True)
    assert "limits.jobs = 3\n" in call("config", "show", env=env, cwd=repository / "a" / "b").stdout


def test_bad_configuration_is_78(env, folder):
    (folder / "rad-engineer.toml").write_text("[limits]\njob = 3\n")
    ended = call("config", "show", env=env, cwd=folder)
    place = folder / "rad-engineer.toml"
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == (
        f"rad-engineer: error: {place}:2: unknown key `limits.job`\nhint: did you mean `limits.jobs`?\n"
    )


def test_a_reader_that_leaves_is_no_error(env, folder):
    for argv in (["config", "reference"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        ended = run([*PROGRAM, *argv], env=env, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("buffered", [True, False])
def test_output_that_cannot_be_written_is_73(env, folder, buffered):
    env = {**env, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = run(
            [*PROGRAM, "config", "reference"], env=env, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (
        73,
        (
            "rad-engineer: error: cannot write the output: No space left on device\n"
            "hint: make room where it goes, or send it elsewhere\n"
        ),
    )


def test_closed_standard_streams_do_no_harm(env, folder):
    command = f"{' '.join(PROGRAM)} config show >&- 2>&- <&-"
    assert run(command, shell=True, env=env, cwd=folder).returncode == 0


CRASHES = [
    ("raise RuntimeError('secret detail')", 70),
    ("raise KeyboardInterrupt", 130),
    ("raise OSError(28, 'No space left on device', '/x/journal.jsonl')", 73),
    ("raise OSError(30, 'Read-only file system', '/x')", 73),
    ("raise OSError(12, 'Cannot allocate memory', '/x')", 73),
    ("raise MemoryError", 73),
    ("raise NameError('an import was cut off') from MemoryError()", 73),
    ("raise BrokenPipeError(32, 'Broken pipe')", 70),
    ("from rad_engineer.errors import Locked; raise Locked('run X holds the lock', hint='wait')", 75),
]


@pytest.mark.parametrize(("statement", "code"), CRASHES)
def test_every_error_becomes_an_exit_code(statement, code, env, folder):
    program = (
        "import sys\nfrom rad_engineer import cli\nfrom rad_engineer.commands import config\n"
        f"def show(**_):\n    {statement}\n"
        "config.show = show\nsys.exit(cli.main(['config', 'show']))\n"
    )
    ended = run([sys.executable, "-c", program], env=env, cwd=folder, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("rad-engineer: ")
    assert "Traceback" not in ended.stderr
    logs = list(Path(env["XDG_STATE_HOME"]).glob("rad-engineer/crash-*.log"))
    assert len(logs) == (code == 70)
    if logs:
        text = logs[0].read_text()
        assert str(logs[0]) in ended.stderr
        assert "Traceback" in text
        assert f"rad-engineer {VERSION}" in text
        assert "secret detail" not in ended.stderr
        assert logs[0].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("where", ["cli.main", "platform.platform"])
def test_without_memory_even_for_the_words_it_is_73(where, env, folder):
    program = (
        "import platform, sys\nfrom rad_engineer import __main__, cli\nfrom rad_engineer.commands import config\n"
        "def starved(*_):\n    raise MemoryError\n"
        "def show(**_):\n    raise SystemError('an import was cut off')\n"
        f"config.show = show\n{where} = starved\nsys.argv[1:] = ['config', 'show']\nsys.exit(__main__.main())\n"
    )
    ended = run([sys.executable, "-c", program], env=env, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 73
    assert ended.stderr.startswith("rad-engineer: error: out of memory\nhint: free memory")


def test_a_crash_is_told_even_when_nothing_can_be_written(env, folder):
    program = (
        "import sys, tempfile\nfrom rad_engineer import cli\nfrom rad_engineer.commands import config\n"
        "tempfile.gettempdir = lambda: '/dev/null/x'\n"
        "def show(**_):\n    raise RuntimeError('why')\n"
        "config.show = show\nsys.exit(cli.main(['config', 'show']))\n"
    )
    ended = run(
        [sys.executable, "-c", program], env={**env, "XDG_STATE_HOME": "/dev/null"}, cwd=folder,
        capture_output=True, text=True
    )  # fmt: skip
    assert ended.returncode == 70
    assert "why" in ended.stderr


def test_interrupt_is_130_without_a_traceback(env, folder):
    program = (
        "import sys, time\nfrom rad_engineer import cli\nfrom rad_engineer.commands import config\n"
        "def show(**_):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "config.show = show\nsys.exit(cli.main(['config', 'show']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == "rad-engineer: interrupted\n"
    assert process.returncode == 130


def holders(word):
    """The processes that were started with this word in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile, or somebody else's
                continue
    return found


@pytest.mark.parametrize(
    ("argv", "code"), [(["run", "none.json"], 66), (["run", "--nonsense"], 2), (["resume"], 66)]
)
def test_a_refused_run_leaves_no_process(argv, code, env, repository, tmp_path):
    word = f"MARK_OF_THIS_TEST={tmp_path}"
    ended = call(*argv, env={**env, "MARK_OF_THIS_TEST": str(tmp_path)}, cwd=repository)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("rad-engineer: error: ")
    assert "\nhint: " in ended.stderr
    assert holders(word) == []


def test_exit_codes_are_all_described():
    assert {code for code, _ in cli.EXIT_CODES} == set(ExitCode)


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [("rad-engineer pla", 1, {"plan"}), ("rad-engineer run --allow-d", 2, {"--allow-dangling"}),
     ("rad-engineer config ", 2, {"show", "set", "edit", "validate", "reference"})],
)  # fmt: skip
def test_completion(words, index, expected, env, folder):
    ended = call(
        env={**env, "_RAD_ENGINEER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)},
        cwd=folder,
    )
    assert ended.returncode == 0
    assert set(ended.stdout.split()) == expected


def test_show_completion(env, folder):
    named = {
        **env,
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }  # else the shell that runs the tests counts
    ended = call("--show-completion", "bash", env=named, cwd=folder)
    assert ended.returncode == 0
    assert "_RAD_ENGINEER_COMPLETE=complete_bash" in ended.stdout


def test_doctor_in_a_repository(env, repository):
    (repository / "Makefile").write_text("test:\n\ttrue\n")
    ended = call(
        "doctor",
        "--json",
        env={**env, "RAD_AGENT_COMMAND": "no-such-agent --x", "RAD_JOB": "3"},
        cwd=repository,
    )
    document = json.loads(ended.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert (ended.returncode, document["ok"], document["schema_version"]) == (0, True, 1)
    assert checks["repository"]["status"] == "ok"
    assert checks["agent"] == {
        "name": "agent", "status": "warning", "detail": "no-such-agent --x (from RAD_AGENT_COMMAND)",
        "hint": "`no-such-agent` is not found on PATH",
    }  # fmt: skip
    assert "RAD_JOB" in checks["environment"]["detail"]
    assert "make" in checks["gates"]["detail"]
    assert {"python", "git", "state folder", "cache folder", "processes", "sandbox"} <= set(checks)


def test_doctor_without_a_repository_is_78_and_says_how(env, folder):
    ended = call("doctor", env=env, cwd=folder)
    assert ended.returncode == 78
    line = next(line for line in ended.stdout.splitlines() if line.startswith("missing"))
    assert "repository" in line
    assert "git init" in ended.stdout


def test_trust_asks_lists_and_forgets(env, repository):
    (repository / "rad-engineer.toml").write_text('[gates]\ntest = "make test"\n')
    (repository / "prd.json").write_text(
        json.dumps({"userStories": [{"id": "US-1", "title": "One", "passes": False, "verify": "pytest -q"}]})
    )
    refused = call("trust", "prd.json", env=env, cwd=repository, stdin=subprocess.DEVNULL)
    assert (refused.returncode, refused.stdout) == (77, "")
    assert "make test" in refused.stderr
    assert "pytest -q" in refused.stderr
    assert "\nhint: " in refused.stderr
    assert call("trust", "prd.json", "--yes", env=env, cwd=repository).stdout == "trusted 2 commands\n"
    assert "make test" in call("trust", "--list", env=env, cwd=repository).stdout
    assert call("trust", "--revoke", env=env, cwd=repository).stdout == "forgot 1 list of commands\n"
    assert (
        call("trust", "--list", env=env, cwd=repository).stdout == "nothing is trusted in this repository\n"
    )


def test_trust_excludes_listing_and_revoking(env, repository):
    assert call("trust", "--list", "--revoke", env=env, cwd=repository).returncode == 2
