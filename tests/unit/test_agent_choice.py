"""Who works: auto, chains, budgets, and what stories ask for."""

import os
from pathlib import Path

import pytest

from rad_engineer.agents import choice
from rad_engineer.agents.adapters import ADAPTERS
from rad_engineer.agents.choice import Choice, Hint
from rad_engineer.core.prd import Story
from rad_engineer.errors import NoAgent, Refused, UsageError
from rad_engineer.settings import AgentChoice
from rad_engineer.settings_schema import AGENTS

AGENTS_PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
ROLES = ("developer", "test-writer")


@pytest.fixture
def env(tmp_path):
    """A search path with these programs, and nothing else."""

    def made(*programs: str) -> dict[str, str]:
        for name in programs:
            (tmp_path / name).write_text(f"#!/bin/sh\necho {name} 9.9\n")
            (tmp_path / name).chmod(0o755)
        return {"PATH": os.pathsep.join([str(tmp_path)])}

    return made


def wanted(*names: str, command: str = "") -> AgentChoice:
    return AgentChoice(names[0] if names else None, command, "--agent", names[1:])


@pytest.mark.parametrize(
    ("names", "programs", "key", "agents", "unmetered"),
    [
        ((), (), True, (), ()),
        (("auto",), ("claude", "codex"), True, ("anthropic",), ()),
        (("auto",), ("codex", "claude"), False, ("claude",), ("claude",)),
        (("auto",), ("qwen",), False, ("qwen",), ("qwen",)),
        (("auto",), (), False, ("mock",), ()),
        (("claude", "anthropic"), ("claude",), True, ("claude", "anthropic"), ()),
        (("claude", "anthropic"), (), True, ("anthropic",), ()),
        (("claude", "anthropic"), ("claude",), False, ("claude",), ("claude",)),
        (("claude", "auto"), ("claude",), False, ("claude",), ("claude",)),
        (("codex", "opencode"), ("codex", "opencode"), True, ("codex", "opencode"), ("codex",)),
        (("codex", "command"), (), False, ("command",), ()),
        (("mock",), (), False, ("mock",), ()),
        (("command", "auto"), (), False, ("command",), ()),
        (("claude", "auto"), (), False, ("mock",), ()),
    ],
)
def test_choosing(env, names, programs, key, agents, unmetered):
    found = choice.choose(wanted(*names, command="x" if "command" in names else ""), env(*programs), key=key)
    assert (found.agents, found.unmetered) == (agents, unmetered)
    assert found.rehearsal == (agents in ((), ("mock",)))
    assert found.gateway == bool(key and set(agents) - set(unmetered) - {"mock", "command"})


def test_who_is_missing_is_said(env):
    found = choice.choose(wanted("claude", "gemini", "anthropic"), env("gemini"), key=False)
    assert found.agents == ("gemini",)
    assert found.warnings[:2] == ("claude: `claude` is not installed", "anthropic: there is no key for it")
    assert found.sentence() == "gemini (9.9) [unmetered], from --agent"
    with pytest.raises(
        NoAgent, match=r"claude: `claude` is not installed; anthropic: there is no key for it"
    ) as caught:
        choice.choose(wanted("claude", "anthropic"), env(), key=False)
    assert "rad-engineer login" in str(caught.value.hint)


def test_who_reads_is_counted_too(env):
    found = choice.choose(
        wanted("anthropic"), env("codex"), key=True, readers=("codex", "claude", "anthropic")
    )
    assert (found.agents, found.unmetered) == (("anthropic",), ("codex",))
    assert found.warnings == ("claude: `claude` is not installed",)
    with pytest.raises(Refused, match="codex"):
        choice.keep_budget(found, budget=True, allowed=False)


@pytest.mark.parametrize("names", [("mock", "anthropic"), ("anthropic", "mock")])
def test_nobody_rehearses_in_the_place_of_somebody_who_works(env, names):
    with pytest.raises(UsageError, match="only rehearses"):
        choice.choose(wanted(*names), env(), key=True)


def test_the_first_line_names_all():
    found = Choice(("claude", "command"), "sh x", "RAD_AGENT", versions=(("claude", "2.1"),))
    assert found.sentence() == "claude (2.1), else command (sh x), from RAD_AGENT"


def test_a_budget_that_could_not_be_kept_is_refused():
    loose = Choice(("codex",), "", "--agent", ("codex",))
    for budget, allowed in ((False, False), (True, True), (False, True)):
        choice.keep_budget(loose, budget=budget, allowed=allowed)
    choice.keep_budget(Choice(("anthropic",), "", "--agent"), budget=True, allowed=False)
    with pytest.raises(Refused, match="nobody counts what codex would spend") as caught:
        choice.keep_budget(loose, budget=True, allowed=False)
    assert caught.value.exit_code == 77
    assert "--allow-unmetered" in str(caught.value.hint)


def test_logins_are_lent_by_name_and_only_to_those_that_nobody_counts():
    found = choice.grants(Choice(("claude", "codex"), "", "--agent", ("codex",)), boxed=False)
    assert found == [("login codex", "~/.codex/auth.json, $CODEX_API_KEY, $OPENAI_API_KEY")]


@pytest.mark.parametrize(
    ("agents", "key", "agent", "model", "found"),
    [
        (("claude",), True, None, None, Hint()),
        (("claude",), True, "test-writer", None, Hint(role="test-writer")),
        (("claude",), True, "anthropic", "opus", Hint(agent="anthropic", model="claude-opus-5-5")),
        (("claude",), True, "opencode", None, Hint(agent="opencode")),
        (("codex",), False, "codex", "gpt-6", Hint(agent="codex", model="gpt-6")),
        (("anthropic",), True, None, "claude-haiku-5-5", Hint(model="claude-haiku-5-5")),
        (("anthropic",), True, None, "glm-5", Hint(model="glm-5")),
        (("anthropic",), True, None, "claude-9", Hint(told=("S: model `claude-9` is only told to anthropic",))),
        (("anthropic",), True, "developer", "sonnet", Hint(role="developer", model="claude-sonnet-5-5")),
        (("claude",), True, "codex", None, Hint(told=("S: agent `codex` may not work in this run; it is only told to whoever works",))),
        (("claude",), True, "frontend", None, Hint(told=("S: agent `frontend` is not known here; it is only told to whoever works",))),
        (("claude",), True, None, "gpt-6", Hint(told=("S: model `gpt-6` is only told to claude",))),
        (("amp",), False, None, "opus", Hint(told=("S: model `opus` is only told to amp",))),
        (("command",), True, None, "opus", Hint(told=("S: model `opus` is only told to command",))),
        ((), False, None, "--yolo; rm", Hint(told=("S: model `--yolo; rm` is only told to nobody",))),
    ],
)  # fmt: skip
def test_hints_of_stories(agents, key, agent, model, found):
    loose = tuple(name for name in agents if choice.unmetered(name, key=key))
    story = Story("S", "T", agent=agent, model=model)
    priced = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "glm-5")
    who = Choice(agents, "", "--agent", loose, priced=priced)
    assert choice.hint(story, who, ROLES, key=key) == found
    assert choice.hints([story], who, ROLES, key=key) == list(found.told)


def test_the_page_has_every_agent():
    rows = [line.split("|")[1:-1] for line in AGENTS_PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {cells[0].strip(" `"): [cell.strip() for cell in cells[2:]] for cells in rows if len(cells) == 4}
    assert {"auto", *told} == set(AGENTS)
    for name, row in ADAPTERS.items():
        assert told[name] == ["with a key" if row.metered else "never", row.checked or "its manual"]
