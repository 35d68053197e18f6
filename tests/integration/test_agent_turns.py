"""Stories done by command-line agents: who goes on when one cannot, roles, reviews, and what is made simpler."""

import json
import os

import pytest

from tests import aimock, cli_streams, faulty_upstream, gateways
from tests.conftest import Project, prd, story
from tests.fake_cli import FakeCli, install
from tests.marks import TOKEN

CHECK = "test ! -e bad"


def said(text: str) -> str:
    """What claude prints when that is its whole answer."""
    events = cli_streams.GOOD["claude"]
    return cli_streams.text_of([events[0], {**events[-1], "result": text}])


class Shop:
    """A project with one gate, and installed agents."""

    def __init__(self, project: Project, *stories: dict[str, object], config: str = "") -> None:
        self.project = project
        files = {"prd.json": prd(*(stories or (story("A"),))), "check.sh": CHECK, "work.txt": "none"}
        project.init({**files, "rad-engineer.toml": f"[gates]\ncheck = 'sh check.sh'\n{config}"})

    def install(self, name: str, prints: str = "", **plan: object) -> FakeCli:
        fake = install(name, self.project.folder.parent)
        fake.plan(prints, **plan)
        return fake

    def run(self, *arguments: str, env: dict[str, str] | None = None):
        path = f"{self.project.folder.parent / 'bin'}{os.pathsep}{self.project.env['PATH']}"
        given = {"PATH": path, **(env or {})}
        return self.project.rad("run", "prd.json", "--yes", "--json", *arguments, env=given)

    def stages(self, ran) -> list[tuple[str, bool]]:
        return [(e["stage"], e["ok"]) for e in ran.events if e["event"] == "stage_finished"]

    def notes(self, ran) -> list[str]:
        return [e["text"] for e in ran.events if e["event"] == "note"]


def test_a_story_is_done_by_claude(project):
    shop = Shop(project)
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"})
    ran = shop.run("--agent", "claude", "--model", "claude-opus-5-5")
    assert ran.code == 0, ran.out + ran.err
    [asked] = claude.asked
    assert asked["prompt"].startswith("# Story A:\n\nText between <untrusted-")
    assert "Your role" not in asked["prompt"]
    assert asked["argv"][-2:] == ["--model", "claude-opus-5-5"]
    assert "--bare" not in asked["argv"]
    [told] = project.report()["stories"]
    assert (told["status"], told["stated_usd"], told["tokens"]) == ("passed", 0.00142, 247)
    assert (told["cost_usd"], told["unmetered"], told["agent_says"]["summary"]) == (None, True, "Done.")
    assert project.report()["totals"]["cost_usd"] is None
    for shown in (project.rad("status").out, project.rad("report").out, project.rad("explain", "A").out):
        assert "unmetered (the agent says 0.0014 USD)" in shown
        assert "Done." in shown
    assert "story_unmetered" in ran.kinds("A")


def test_what_nobody_counts_is_said_before_anybody_has_finished(project):
    shop = Shop(project)
    shop.install("claude", said("No."), code=1)
    ran = shop.run("--agent", "claude", "--attempts", "1")
    assert ran.code == 1
    [told] = project.report()["stories"]
    assert (told["cost_usd"], told["unmetered"], told["stated_usd"]) == (None, True, 0.00142)
    assert ran.kinds("A").index("story_unmetered") < ran.kinds("A").index("stage_finished", 3)


def test_who_is_at_its_limit_is_followed_by_the_next(project):
    shop = Shop(project)
    code, events = cli_streams.LIMITED["codex"]
    shop.install("codex", cli_streams.text_of(events), code=code, files={"bad": "half done"})
    shop.install("claude", said("Done."), files={"work.txt": "good\n"})
    ran = shop.run("--agent", "codex,claude")
    assert ran.code == 0, ran.out + ran.err
    assert "A: codex cannot go on (limit); claude does it" in shop.notes(ran)
    attempt = next((project.folder / ".rad-engineer/runs").glob("*/stories/*/attempt-1"))
    assert "usage limit" in (attempt / "agent-codex.log").read_text()
    assert (attempt / "agent.log").exists()
    assert "usage limit" not in (attempt / "agent.log").read_text()


@pytest.mark.skipif(not os.environ.get("RAD_CAMPAIGN"), reason="waits until an agent has slept for long")
def test_who_sleeps_until_a_limit_of_the_key_ends_is_followed_by_one_with_its_own_account(project):
    shop = Shop(project)
    shop.install("claude", asks=gateways.MODEL, files={"bad": "half done"})
    codex = shop.install(
        "codex", cli_streams.text_of(cli_streams.GOOD["codex"]), files={"work.txt": "good\n"}
    )
    limited = faulty_upstream.says(
        429, "rate_limit_error", "your usage limit is reached", retry_after="86400"
    )
    env = {"ANTHROPIC_API_KEY": "sk-ant.test"}
    with faulty_upstream.serve(otherwise=limited) as upstream:
        ran = shop.run("--agent", "claude,codex", "--upstream", upstream.url, env=env)
        assert ran.code == 0, ran.out + ran.err
        assert len(upstream.seen) == 1
        assert "A: a usage limit of the key is reached; codex does it" in shop.notes(ran)
        assert len(codex.asked) == 1
        [told] = project.report()["stories"]
        assert (told["status"], told["attempts"], told["agent_says"]["agent"]) == ("passed", 1, "codex")
        project.write({"prd.json": prd(story("B"))})
        project.commit("another")
        alone = shop.run("--agent", "claude", "--branch", "rad/two", "--upstream", upstream.url, env=env)
    assert alone.code == 4, alone.out + alone.err
    [told] = [one for one in project.report()["stories"] if one["id"] == "B"]
    assert (told["status"], told["reason"]) == ("waiting", "limit")  # nobody else is there


def test_who_is_missing_is_said_and_the_next_one_works(project):
    shop = Shop(project)
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"})
    path = f"{project.folder.parent / 'bin'}{os.pathsep}{project.env['PATH']}"
    ran = project.rad("run", "prd.json", "--yes", "--plain", "--agent", "codex,claude", env={"PATH": path})
    assert ran.code == 0, ran.out + ran.err
    assert "codex: `codex` is not installed" in ran.err
    assert "claude (1.2.3) [unmetered], from --agent" in ran.err
    assert len(claude.asked) == 1
    refused = project.rad(
        "run", "prd.json", "--yes", "--agent", "claude", "--budget", "5", env={"PATH": path}
    )
    assert refused.code == 77
    assert "nobody counts what claude would spend" in refused.err


def test_a_limit_of_the_last_one_parks_the_story(project):
    shop = Shop(project)
    code, events = cli_streams.LIMITED["codex"]
    shop.install("codex", cli_streams.text_of(events), code=code)
    ran = shop.run("--agent", "codex")
    assert ran.code == 4, ran.out + ran.err
    [told] = project.report()["stories"]
    assert (told["status"], told["attempts"]) != ("failed", 3)
    code, events = cli_streams.LOGGED_OUT["codex"]
    shop.install("claude", cli_streams.text_of(cli_streams.LOGGED_OUT["claude"][1]), code=1)
    ran = shop.run("--agent", "claude", "--fresh")
    assert ran.code == 4, ran.out + ran.err
    assert [e["reason"] for e in ran.events if e.get("reason")] == ["login"]


def test_roles_of_stories_and_of_the_project(project):
    shop = Shop(
        project, story("A", agent="test-writer"), story("B", agent="frontend"), story("C", agent="poet"),
        config="[agent.roles]\npoet = 'poet.md'\n",
    )  # fmt: skip
    project.write({"poet.md": "You rhyme.\n"})
    project.commit("a role")
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"}, by=[
        {"when": "Story B", "files": {"b.txt": "b"}}, {"when": "Story C", "files": {"c.txt": "c"}}])  # fmt: skip
    ran = shop.run("--agent", "claude")
    assert ran.code == 0, ran.out + ran.err
    asked = {one["prompt"][8]: one["prompt"] for one in claude.asked}
    assert "## Your role\n\nYou write tests;" in asked["A"]
    assert "Your role" not in asked["B"]
    assert "## Your role\n\nYou rhyme.\n" in asked["C"]
    assert "B: agent `frontend` is not known here; it is only told to whoever works" in shop.notes(ran)


def test_a_review_sends_its_findings_back_once(project):
    shop = Shop(project, config="[agent]\nreviewer = 'codex'\n")
    claude = shop.install("claude", said("Done."), files={"work.txt": "good but wrong\n"}, by=[
        {"when": "A reviewer read your change", "files": {"work.txt": "good and right\n"}}])  # fmt: skip
    answer = "MUST-FIX: work.txt:1: it is wrong\nNOTE: work.txt:1: short"
    events = [*cli_streams.GOOD["codex"][:1],
              {"type": "item.completed", "item": {"type": "agent_message", "text": answer}},
              *cli_streams.GOOD["codex"][-1:]]  # fmt: skip
    codex = shop.install("codex", cli_streams.text_of(events), files={"spy.txt": "what the reviewer did\n"})
    ran = shop.run("--agent", "claude", "--review")
    assert ran.code == 0, ran.out + ran.err
    assert project.git("show", "rad/demo:work.txt") == "good and right\n"
    assert "spy.txt" not in project.git("ls-tree", "--name-only", "rad/demo")
    assert shop.stages(ran) == [("prepare", True), ("agent", True), ("commit", True), ("review", True), ("mend", True),
                                ("commit", True), ("verify", True)]  # fmt: skip
    [question] = codex.asked
    assert "+good but wrong" in question["prompt"]
    assert "1. A is there" in question["prompt"]
    assert "You review a change" in question["prompt"]
    assert "work.txt:1: it is wrong" in claude.asked[1]["prompt"]
    assert claude.asked[1]["argv"][-2:] == ["--resume", "7ed9eac8-eeec"]
    [told] = project.report()["stories"]
    assert told["tokens"] == 3 * 247


def test_the_built_in_agent_reviews_what_a_command_has_written(project, tmp_path):
    """Through the gateway, and on the story's account."""
    shop = Shop(project, config="[agent]\nreviewer = 'anthropic'\n")
    project.write(
        {"agent.sh": "echo good > work.txt\ngrep -q 'it is wrong' && echo better > work.txt\ntrue\n"}
    )
    project.commit("an agent")
    report = {
        "token": TOKEN,
        "status": "done",
        "summary": "MUST-FIX: work.txt:1: it is wrong",
        "criteria": [],
    }
    answer = {
        "toolCalls": [{"name": "report", "arguments": report}],
        "usage": {"input_tokens": 70, "output_tokens": 7},
    }
    with aimock.serve(tmp_path / "mock", [{"match": {}, "response": answer}]) as mock:
        told = ["--agent-command", "sh agent.sh", "--review", "--upstream", mock.url]
        ran = shop.run(*told, env={"ANTHROPIC_API_KEY": "sk-ant-planted"})
    assert ran.code == 0, ran.out + ran.err
    assert project.git("show", "rad/demo:work.txt") == "better\n"
    assert "the review by anthropic wants 1 of its findings mended" in "".join(shop.notes(ran))
    [told] = project.report()["stories"]
    assert told["tokens"] == 77


@pytest.mark.parametrize(
    ("answer", "code", "note"),
    [
        ("REVIEW: CLEAN", 0, ""),
        (
            "looks good to me",
            0,
            "A: the review by codex names no findings and does not say that there are none",
        ),
        ("", 1, "A: the review by codex came to nothing (failed)"),
    ],
)
def test_a_review_decides_nothing(project, answer, code, note):
    shop = Shop(project, config="[agent]\nreviewer = 'codex'\n")
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"})
    events = [{"type": "item.completed", "item": {"type": "agent_message", "text": answer}}]
    shop.install("codex", cli_streams.text_of(events), code=code)
    ran = shop.run("--agent", "claude", "--review")
    assert ran.code == 0, ran.out + ran.err
    assert len(claude.asked) == 1
    assert [text for text in shop.notes(ran) if "review" in text] == ([note] if note else [])


@pytest.mark.parametrize(
    ("files", "kept", "note"),
    [
        ({"work.txt": "good, simply\n"}, "good, simply\n", ""),
        ({"bad": "x"}, "good\n", "A: simplifying is left out: gate-red, check (failed)"),
        ({}, "good\n", ""),
    ],
)
def test_what_is_green_is_made_simpler_or_stays(project, files, kept, note):
    shop = Shop(project)
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"},
                          by=[{"when": "make it simpler", "files": files}])  # fmt: skip
    ran = shop.run("--agent", "claude", "--simplify")
    assert ran.code == 0, ran.out + ran.err
    assert project.git("show", "rad/demo:work.txt") == kept
    assert len(claude.asked) == 2
    assert project.landed("rad/demo") == ["A"]
    assert [text.partition(" (")[0] for text in shop.notes(ran) if "simplif" in text] == (
        [note.partition(" (")[0]] if note else []
    )


def test_a_broken_role_is_refused_before_anything_starts(project):
    Shop(project, config="[agent.roles]\npoet = 'nowhere.md'\n")
    ran = project.rad("run", "prd.json", "--yes", "--agent-command", "true")
    assert ran.code == 78
    assert "nowhere.md: there is no such file for the role poet" in ran.err
    assert not json.loads((project.folder / "prd.json").read_text())["userStories"][0]["passes"]
