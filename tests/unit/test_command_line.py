"""Command lines: the plain reading and Typer agree, and every verb is complete."""

import ast
import contextlib
import importlib.util
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rad_engineer import arguments, cli, command_line, commands
from rad_engineer.commands.config import document
from rad_engineer.errors import UsageError
from rad_engineer.settings_schema import SETTINGS

ROOT = Path(__file__).parents[2]
WORDS = st.sampled_from(["prd.json", "a b", "", "-", "x=y", "ü", "3", "auto"])


def both(verb, argv):
    with contextlib.redirect_stdout(io.StringIO()):
        return command_line.plain(verb, argv), arguments.values(verb, argv)


@st.composite
def command_lines(draw):
    verb = draw(st.sampled_from(commands.VERBS))
    argv = []
    for row in draw(st.lists(st.sampled_from(verb.told or (None,)), max_size=5)):
        if row is None:
            continue
        flag = draw(st.sampled_from(row.flags))
        if row.kind == "switch":
            argv.append([flag])
        elif flag.startswith("--") and draw(st.booleans()):
            argv.append([f"{flag}={draw(WORDS)}"])
        else:
            argv.append([flag, draw(WORDS)])
    argv += [[draw(WORDS)] for _ in range(draw(st.integers(0, 3)))]
    return verb, [word for part in draw(st.permutations(argv)) for word in part]


@given(command_lines())
@hypothesis_settings(max_examples=150, deadline=None)
def test_plain_reading_agrees_with_typer(line):
    verb, argv = line
    plain = command_line.plain(verb, argv)
    if plain is None:
        return
    assert {name: value or None for name, value in plain.items()} == {
        name: value or None for name, value in arguments.values(verb, argv).items()
    }


@pytest.mark.parametrize(
    "argv",
    [["run", "p.json", "-j", "4", "--once"], ["plan", "a", "b", "--format=json"], ["pass", "prd.json", "US-1"],
     ["status"], ["logs", "--attempt", "2", "X"], ["run", "--only", "A", "--only=B", "p"]],
)  # fmt: skip
def test_what_people_write_needs_no_typer(argv):
    verb, rest = commands.find(argv)
    plain, full = both(verb, rest)
    assert plain is not None
    assert plain == full


@pytest.mark.parametrize(
    "argv", [["-j4", "p"], ["--", "-p"], ["--help"], ["--job", "4", "p"], [], ["p", "--jobs"], ["--once=1", "p"],
             ["--no-write-back", "p"], ["--branch", "-x", "p"]],
)  # fmt: skip
def test_everything_else_is_left_to_typer(argv):
    assert command_line.plain(commands.find(["run"])[0], argv) is None


def test_values_get_their_type_and_settings_stay_apart():
    verb, rest = commands.find(["compact", "--max-age", "2h", "--keep", "1"])
    assert command_line.keywords(verb, rest) == {
        "max_age": 7200.0,
        "keep": 1,
        "dry_run": False,
        "json": False,
    }
    verb, rest = commands.find(["run", "p.json", "-j4", "--no-write-back", "--only", "A", "-v"])
    assert command_line.keywords(verb, rest) == {
        "prds": ["p.json"], "json": False, "plain": False, "verbose": True, "timings": False,
        "flags": {"jobs": "4", "write_back": False, "only": ["A"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["run", "p", "--job", "3"], "no such option: --job"),
        (["run"], "missing argument 'PRD'"),
        (["logs", "X", "--attempt", "last"], "--attempt: expected a whole number, found `last`"),
        (["plan", "p", "--format", "svg"], "--format: `svg` is none of text, json, mermaid, dot"),
        (["explain", "a", "b"], "got unexpected extra argument(s) (b)"),
    ],
)
def test_usage_errors_have_a_hint(argv, words):
    verb, rest = commands.find(argv)
    with pytest.raises(UsageError) as caught:
        command_line.keywords(verb, rest)
    assert words in str(caught.value)
    assert caught.value.hint.endswith(f"see `rad-engineer {verb.name} --help`")


def test_every_option_has_words_of_its_own():
    for verb in commands.VERBS:
        flags = [flag for row in verb.told for flag in row.flags]
        assert len(flags) == len(set(flags)), verb.name
        assert all(row.doc for row in verb.told)
        assert all(example.startswith(("rad-engineer ", "until ")) for example in verb.examples)
        assert set(verb.flags) <= set(SETTINGS)


def test_workers_are_started_for_exactly_these_verbs():
    assert tuple(verb.name for verb in commands.VERBS if verb.workers) == cli._STARTS_WORKERS


@pytest.mark.parametrize("verb", commands.VERBS, ids=lambda verb: verb.name)
def test_every_target_takes_what_it_is_called_with(verb):
    module, _, name = verb.target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    positional, keyword = function.args.args, function.args.kwonlyargs
    defaults = [None] * (len(positional) - len(function.args.defaults)) + function.args.defaults
    takes = {
        arg.arg: default
        for arg, default in zip((*positional, *keyword), (*defaults, *function.args.kw_defaults), strict=True)
    }
    given = {argument.name for argument in verb.arguments} | {row.name for row in verb.options}
    given |= {"flags"} if verb.flags else set()
    given |= {"early"} if verb.workers else set()
    assert given <= set(takes) or function.args.kwarg  # what is handed on is taken by whoever gets it
    assert {name for name, default in takes.items() if default is None} <= given


def test_configuration_page_is_up_to_date():
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == document()


def test_native_windows_is_refused_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("sys.platform", "win32")
    assert cli.main(["run", "prd.json"]) == 78
    assert capsys.readouterr() == (
        "",
        "rad-engineer: error: native Windows is not supported; rad-engineer works inside WSL\n",
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["projects", "remove", ""], ["init", "--name", "n", "--from", " "], ["status", "--run="], ["import", ""],
        ["test", "--verify", ""], ["metrics", "--output", ""], ["serve", "--token-file", ""], ["serve", "--host="],
        ["pass", "prd.json", ""], ["config", "set", "", "x"],
    ],
)  # fmt: skip
def test_an_empty_word_is_not_the_same_as_none(argv):
    verb, rest = commands.find(argv)
    with pytest.raises(UsageError, match="is empty") as refused:
        command_line.keywords(verb, rest)
    assert f"see `rad-engineer {verb.name} --help`" in refused.value.hint


def test_what_may_be_empty_is_left_to_whoever_takes_it():
    for argv in (
        ["config", "set", "k", ""],
        ["sandbox", "run", "--", "printf", ""],
        ["run", "a", "--model", ""],
    ):
        verb, rest = commands.find(argv)
        assert command_line.keywords(verb, rest) is not None
