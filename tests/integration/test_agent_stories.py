"""Stories that the built-in agent works on: in slots, judged by real gates; killed, and gone on with in the same slot."""

from dataclasses import replace

import pytest
from agent_bench import Program, after, asked_again, call, report, says
from project_repo import git, make_repo

from rad_engineer import git as rad_git
from rad_engineer.rules import GateRule, Rules
from rad_engineer.store import RunDir
from rad_engineer.story_files import violations
from tests.aimock import serve, tap

FILES = {"notes": "base\n", "check": "sum() { :; }\ntest -e bad && exit 1 || exit 0\n"}


class Stories:
    """A repository, and stories of it that are worked on one after the other."""

    def __init__(self, folder, program, url):
        self.folder, self.program, self.url = folder, program, url
        self.rundir = folder / "run"
        (self.rundir / "stories").mkdir(parents=True)
        self.top = make_repo(folder / "project", FILES)
        repo = rad_git.discover(self.top)
        self.base = rad_git.head(repo)
        self.rules = Rules(
            run="r1", kind="real", workspace="slots", top=str(self.top), home=str(self.top),
            cache=str(folder / "cache"), repository=repo.to_json(), branch="rad/toy", base=self.base,
            agent="anthropic", agent_command="", gates=(GateRule("check", "sh check", "project", "opaque"),),
        )  # fmt: skip

    def job(self, name, *checks, **more):
        return {
            "attempt": 1, "resume": False, "base": self.base, "slot": 0, "lane": 0, "models": {"url": self.url, "token": "t"},
            "story": {"key": name, "id": name, "identity": name * 4, "title": f"story {name}", "text": name,
                      "criteria": [{"text": f"{name} is there", "command": None}],
                      "checks": [{"name": command, "command": command} for command in checks]},
            "context": {"notes": "a project"}, **more,
        }  # fmt: skip

    def run(self, job, **more):
        story = {
            "home": str(self.folder),
            "rundir": str(self.rundir),
            "rules": self.rules.to_json(),
            "job": job,
        }
        return self.program.run(self.folder, self.url, story=story, **more)

    def slot(self, number=0):
        return self.folder / "cache" / "slots" / str(number)

    def attempt(self, name):
        return RunDir(self.rundir).story(name, name * 4) / "attempt-1"


@pytest.fixture(scope="module")
def program():
    found = Program()
    yield found
    found.close()


def met(name, place):
    return report(criteria=[{"criterion": f"{name} is there", "met": True, "evidence": [place]}])


ONE = [
    says(call("bash", command="echo line >>log; echo appended"), when={"hasToolResult": False}),
    says(call("bash", command="cat log; echo counted"), when=after("appended")),
    says(
        call("bash", command="test -e log || echo line >>log; echo counted"), when=after("in part or in full")
    ),
    says(call("bash", command="cat log; echo counted"), when=after("not carried out")),
    says(met("A", "log:1"), when=after("counted")),
]


@pytest.fixture
def stories(tmp_path, program):
    with serve(tmp_path / "mock", ONE) as mock, tap(mock.url) as seen:
        yield Stories(tmp_path, program, seen.url), seen


@pytest.mark.parametrize(
    ("point", "asked"),
    [(("begun", 1, "after"), 3), (("result", 1, "after"), 4), (("answer", 2, "before"), 5)],
)  # fmt: skip
def test_a_slot_whose_transcript_is_open_is_not_cleaned(stories, point, asked):
    at, seen = stories
    assert at.run(at.job("A"), die=point)["status"] == -9
    (at.slot() / "left").write_text("by hand")
    ended = at.run(at.job("A", resume=True))["outcome"]
    assert ended["kind"] == "verified"
    assert git(at.top, "show", f"{ended['commit']}:log") == "line"
    assert git(at.top, "show", f"{ended['commit']}:left") == "by hand"
    assert len(seen.exchanges) == asked
    assert len(asked_again([exchange.body for exchange in seen.exchanges])) <= 1


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_slot_that_is_lost_begins_the_attempt_anew(stories, how):
    at, seen = stories
    assert at.run(at.job("A"), die=("result", 1, "after"))["status"] == -9
    if how == "removed":
        at.slot().rename(at.folder / "gone")
    else:
        assert at.run(at.job("B"), die=("start", 1, "before"))["status"] == -9
    ended = at.run(at.job("A", resume=True))["outcome"]
    assert ended["kind"] == "verified"
    assert git(at.top, "show", f"{ended['commit']}:log") == "line"
    assert [len(exchange.data["messages"]) for exchange in seen.exchanges] == [1, 1, 3, 5]


def test_an_attempt_that_finished_is_not_gone_on_with_but_judged(stories):
    at, seen = stories
    assert at.run(at.job("A"))["outcome"]["kind"] == "verified"
    asked = len(seen.exchanges)
    assert at.run(at.job("A", resume=True))["outcome"]["kind"] == "verified"
    assert len(seen.exchanges) == asked


@pytest.mark.parametrize(("severity", "kind"), [("warn", "verified"), ("block", "failed")])
def test_a_citation_of_what_does_not_exist_is_noticed(tmp_path, program, severity, kind):
    wrong = [*ONE[:4], says(met("A", "log:99"), when=after("counted"))]
    with serve(tmp_path / "mock", wrong) as mock, tap(mock.url) as seen:
        at = Stories(tmp_path, program, seen.url)
        at.rules = replace(at.rules, policy={"severity": {"citation": severity}})
        ended = at.run(at.job("A"))["outcome"]
    [found] = violations(at.attempt("A"))
    assert (found["rule"], found["severity"]) == ("citation", severity)
    assert "log:99 is not in the file, which has 1 lines, cited for: A is there" in found["message"]
    assert ended["kind"] == kind
    assert ("log:99" in ended.get("feedback", "")) == (severity == "block")
