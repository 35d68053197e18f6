"""The built-in agent against a mock of the Messages API that somebody else wrote, every request held against the vendor's types."""

import itertools
import json
import os
import re
from contextlib import contextmanager

import pytest
from agent_bench import EDITOR, Bench, after, at, call, report, says

from rad_engineer import agents
from rad_engineer.core.prompt import Assignment
from rad_engineer.process import Limits, children
from tests.aimock import serve, tap
from tests.marks import MARKS, TOKEN, bare


@contextmanager
def playing(folder, fixtures, files=None):
    """A bench before a mock with these answers; whatever is sent is lawful."""
    before = children(os.getpid())
    with serve(folder / "mock", fixtures) as mock, tap(mock.url) as seen:
        yield Bench(folder, seen.url, files), seen
    assert seen.violations() == []
    assert children(os.getpid()) == before


def run(bench, **more):
    return agents.agent("anthropic").run(bench.work(**more))


def test_answers_that_depend_on_what_a_file_held_before(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-to-be-seen")
    lines, finished, criteria = [], [], ("it says hello",)
    story = [
        says(call("bash", command="cat greeting; echo; cd src && export WHO=you"), when={"hasToolResult": False}),
        says(call("bash", command="pwd; echo $WHO $RAD_SECRET $MY_API_KEY"), when=after("hallo")),
        says(call(EDITOR, command="str_replace", path="greeting", old_str="hallo", new_str="hello"), when=after("/src\nyou\n"), reasoning="hm"),
        says(call(EDITOR, command="str_replace", path="greeting", old_str="hallo", new_str="hello"), when=after("$PROJECT_ROOT/src\nyou")),
        says(call("bash", command="pwd; cat ../greeting; exit 3"), when=after("edited")),
        says(call("record_learning", learning="greetings are in one file"), when=after("exit code 3")),
        says(report(criteria=[{"criterion": "it says hello", "met": True, "evidence": ["greeting:1"]}]), when=after("recorded")),
    ]  # fmt: skip
    with playing(tmp_path, story, {"greeting": "hallo", "src/x": ""}) as (bench, seen):
        env = {**bench.work().env, "RAD_SECRET": "no", "MY_API_KEY": "no"}
        story_of = Assignment("S-1", "a story", "do it", MARKS, criteria)
        done = run(
            bench,
            env=env,
            on_line=lines.append,
            on_finished=lambda _result: finished.append(1),
            assignment=story_of,
        )
        assert (done.outcome, done.turns, done.tokens, done.model) == (
            "finished",
            6,
            660,
            "claude-sonnet-5-5",
        )
        assert done.criteria == ({"criterion": "it says hello", "met": True, "evidence": ["greeting:1"]},)
        assert bench.read("greeting") == "hello"
        assert (bench.attempt / "learnings.txt").read_text() == "greetings are in one file\n"
        assert finished == [1]
        assert "  bash: pwd; cat ../greeting; exit 3" in lines
        assert all(exchange.headers["authorization"] == "Bearer t" for exchange in seen.exchanges)
        sent = b"".join(exchange.body for exchange in seen.exchanges).decode()
        assert str(tmp_path) not in sent
        assert bench.results()[3].startswith("$PROJECT_ROOT/src\nhello\n[the shell ended with exit code 3")


def test_calls_of_one_answer_are_carried_out_in_order_and_errors_stand_among_the_results(tmp_path):
    story = [
        says(
            call("bash", command="echo 1 >> n"),
            call("read", path="/etc/passwd"),
            call("bash", command="echo 2 >> n; false"),
            call("fly", path="n"),
            call(EDITOR, command="view", path="n"),
            call("bash"),
            when=at(0),
        ),
        says(report(), call("bash", command="echo 3 >> n"), when=at(1)),
    ]
    with playing(tmp_path, story) as (bench, seen):
        assert run(bench).outcome == "finished"
        content = seen.exchanges[-1].data["messages"][-1]["content"]
        assert [bool(block.get("is_error")) for block in content] == [False, True, False, True, False, True]
        assert "relative to the project's root" in content[1]["content"]
        assert bare(content[2]["content"]) == "[exit code 1]"
        assert bare(content[4]["content"]) == "     1\t1\n     2\t2"
        assert bench.read("n") == "1\n2\n3\n"  # before the report, which ends it


@pytest.mark.parametrize(
    ("second", "outcome", "output"),
    [
        (report(), "finished", "done"),
        (report(status="fine"), "failed", "the report was not valid, twice"),
        (report(token="rad-done-00000000000000000000"), "failed", "the report was not valid, twice"),
        (report(token=None), "failed", "the report was not valid, twice"),
        (
            report(status="blocked", summary="no network", next_steps=["connect"]),
            "failed",
            "no network\nleft: connect",
        ),
    ],
)
def test_an_invalid_report_gets_one_repair(tmp_path, second, outcome, output):
    story = [says(report(status="fine"), when=at(0)), says(second, when=at(1)), says(report(), when=at(2))]
    with playing(tmp_path, story) as (bench, seen):
        ended = run(bench)
        assert (ended.outcome, ended.output, len(seen.exchanges)) == (outcome, output, 2)
        assert "this report is not valid" in bench.results()[0]
        assert "status" in bench.results()[0]
        assert run(bench).outcome == outcome  # whoever goes on after that asks nobody
        assert len(seen.exchanges) == 2


@pytest.mark.parametrize("said", [TOKEN, "COMPLETE", "<promise>COMPLETE</promise>"])
def test_without_the_token_no_report_ends_a_story_and_the_refusal_does_not_tell_it(tmp_path, said):
    given = report()["arguments"] | {"token": f"{said} "}
    with playing(tmp_path, [says(call("report", **given), when={})]) as (bench, _seen):
        ended = run(bench)
        assert (ended.outcome, ended.output) == ("failed", "the report was not valid, twice")
        assert TOKEN not in "".join(bench.results())


def test_marks_that_a_model_prints_are_told_to_nobody(tmp_path):
    told = f"{MARKS.nonce} and {MARKS.nonce[::-1]} and {TOKEN}"
    story = [says(call("bash", command=f"echo '{told}' | tee -a note"), text=told, when=at(0)),
             says(report(summary=told, files=[TOKEN], errors=[MARKS.nonce]), when=at(1))]  # fmt: skip
    with playing(tmp_path, story) as (bench, _seen):
        ended = run(bench)
        assert bare(bench.results()[0]) == "[mark removed] and [mark removed] and [mark removed]"
        said = [*bench.records("report"), ended, (bench.attempt / "agent.log").read_text()]
        assert not [one for one in said if MARKS.find(str(one)) is not None]
        assert "the marks of this run" in ended.noticed[0]


def test_a_turn_that_ends_without_a_report_is_asked_for_it_once(tmp_path):
    story = [
        says(when=at(0), text="all done"),
        says(when=at(1), text="as I said"),
        says(report(), when=at(2)),
    ]
    with playing(tmp_path, story) as (bench, seen):
        ended = run(bench)
        assert (ended.outcome, len(seen.exchanges)) == ("failed", 2)
        assert "without a report" in ended.output


def test_answers_that_are_cut_off_are_gone_on_with_and_half_a_call_is_not_carried_out(tmp_path):
    story = [
        says(call("bash", command="echo never > n"), when=at(0), finishReason="length"),
        says(when=at(1), text="and so on", finishReason="length"),
        says(report(), when=at(2)),
    ]
    with playing(tmp_path, story) as (bench, seen):
        assert run(bench).outcome == "finished"
        assert not (bench.slot / "n").exists()
        assert "cut off" in bench.results()[0]
        assert len(seen.exchanges) == 3


def test_three_answers_in_a_row_that_are_too_long_end_the_attempt(tmp_path):
    with playing(tmp_path, [says(when={}, text="on and on", finishReason="length")]) as (bench, seen):
        ended = run(bench)
        assert (ended.outcome, len(seen.exchanges)) == ("failed", 3)
        assert "max_tokens" in ended.output


def test_no_more_turns_than_allowed(tmp_path):
    with playing(tmp_path, [says(call("bash", command="true"), when={})]) as (bench, seen):
        ended = run(bench, settings={"max_turns": 3})
        assert (ended.outcome, ended.output, len(seen.exchanges)) == ("failed", "no report after 3 turns", 3)


@pytest.mark.parametrize(
    ("damage", "asked"),
    [
        ({"truncateAfterChunks": 2, "chunkSize": 5}, 4),
        ({"chaos": {"malformedRate": 1.0}}, 4),
        ({"chaos": {"disconnectRate": 1.0}}, 4),
    ],
)
def test_a_stream_that_is_cut_is_asked_for_again_and_not_for_ever(tmp_path, damage, asked, monkeypatch):
    monkeypatch.setattr("rad_engineer.agents.anthropic.calls._PAUSE", 0.001)
    story = [{**says(report(), when={}, text="a long text that is cut somewhere"), **damage}]
    with playing(tmp_path, story) as (bench, seen):
        ended = run(bench)
        assert (ended.outcome, len(seen.exchanges)) == ("later", asked)
        assert (ended.reason, ended.turns) == ("offline", 0)
        assert not bench.records("answer")


@pytest.mark.parametrize(
    ("status", "kind", "outcome", "reason"),
    [
        (402, "billing_error", "later", "budget"),
        (401, "authentication_error", "failed", "AuthenticationError: 401"),
        (404, "not_found_error", "failed", "NotFoundError: 404"),
        (413, "request_too_large", "failed", "413"),
        (529, "overloaded_error", "failed", "OverloadedError: 529"),
    ],
)
def test_errors_of_the_api_have_a_meaning_for_the_story(tmp_path, status, kind, outcome, reason):
    story = [{"match": {}, "response": {"error": {"message": "no", "type": kind}, "status": status}}]
    with playing(tmp_path, story) as (bench, seen):
        ended = run(bench)
        assert (ended.outcome, len(seen.exchanges)) == (outcome, 1)
        assert reason in (ended.reason or ended.output)


def test_an_attempt_that_was_told_to_wait_goes_on_with_the_turn_that_was_refused(tmp_path):
    refused = {
        "match": at(1, sequenceIndex=0),
        "response": {"error": {"message": "spent", "type": "billing_error"}, "status": 402},
    }
    story = [says(call("bash", command="echo once >> n"), when=at(0)), refused, says(report(), when=at(1))]
    with playing(tmp_path, story) as (bench, seen):
        assert run(bench).outcome == "later"
        assert run(bench).outcome == "finished"
        assert bench.read("n") == "once\n"
        assert [len(exchange.data["messages"]) for exchange in seen.exchanges] == [1, 3, 3]
        assert seen.exchanges[1].body == seen.exchanges[2].body


@pytest.mark.parametrize("where", ["call", "command"])
@pytest.mark.parametrize("how", ["cancelled", "timeout"])
def test_whoever_waits_is_stopped_at_once(tmp_path, where, how):
    first = (
        says(call("bash", command="echo begun; sleep 60"), when={})
        if where == "command"
        else {**says(report(), when={}), "latency": 60_000}
    )
    reader, writer = os.pipe()
    with playing(tmp_path, [first]) as (bench, _seen):

        def told(line):
            if line.startswith("  bash"):
                os.write(writer, b"x")

        limits = Limits(seconds=0.5 if how == "timeout" else 60)
        if how == "cancelled" and where == "call":
            os.write(writer, b"x")
        ended = run(bench, cancel=reader if how == "cancelled" else None, on_line=told, limits=limits)
        assert ended.outcome == how
        assert ended.seconds < 50
    os.close(reader)
    os.close(writer)


def test_a_task_that_is_no_story_is_answered_in_the_summary(tmp_path):
    with playing(tmp_path, [says(report(summary="REVIEW: CLEAN"), when={})]) as (bench, seen):
        ended = run(bench, assignment=None)
        assert (ended.outcome, ended.summary) == ("finished", "REVIEW: CLEAN")
        text = seen.exchanges[0].data["messages"][0]["content"][-1]["text"]
        assert text.startswith("a story")
        assert "`summary`" in text


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        ({}, ({"type": "adaptive"}, None, 16_000)),
        ({"effort": "high", "max_tokens": 512}, ({"type": "adaptive"}, {"effort": "high"}, 512)),
        ({"thinking": "off"}, ({"type": "disabled"}, None, 16_000)),
    ],
)
def test_thinking_effort_and_length_are_asked_for_as_they_are_set(tmp_path, wanted, asked):
    with playing(tmp_path, [says(report(), when={})]) as (bench, seen):
        assert run(bench, settings=wanted).outcome == "finished"
        data = seen.exchanges[0].data
        assert (data.get("thinking"), data.get("output_config"), data["max_tokens"]) == asked
        assert not {"temperature", "top_p", "top_k"} & data.keys()


def test_nobody_is_asked_where_no_gateway_is(tmp_path):
    assert run(Bench(tmp_path, "")).outcome == "missing"


MARK = re.compile(rb',"cache_control":\{"type":"ephemeral"\}')


def prefix(body: bytes) -> tuple[bytes, bytes]:
    """A request up to its last breakpoint in the messages, the marks left out; and all that is not messages."""
    start, end = body.index(b'"messages":['), body.index(b'],"model":')
    last = [found.start() for found in MARK.finditer(body, start, end)][-1]
    return MARK.sub(b"", body[start:last]), MARK.sub(b"", body[:start] + body[end:])


def test_token_economy_from_the_bytes_sent(tmp_path):
    """Thirty turns with parallel calls and one compaction: what was sent before is sent again as it was."""
    names = [f"f{number}" for number in range(12)]
    full = {"input_tokens": 150_000, "output_tokens": 10}
    first = [
        says(*(call("read", path=name) for name in names[: 1 + turn % 12]), call("bash", command=f"echo {turn}"),
             when=at(turn, userMessage="a story"), usage=full if turn == 14 else None, reasoning="hm" if turn % 3 else "")
        for turn in range(15)
    ]  # fmt: skip
    summary = [says(when={"userMessage": "about to be cut"}, text="I have read the files.")]
    rest = [
        says(*(call("read", path=name) for name in names[: 1 + turn % 12]), when=at(turn, userMessage="has happened so far"))
        for turn in range(14)
    ]  # fmt: skip
    story = [*summary, *rest, says(report(), when=at(14, userMessage="has happened so far")), *first]
    for answer in story:
        answer["response"] = {name: value for name, value in answer["response"].items() if value}
    with playing(tmp_path, story, {name: f"{name}\n" for name in names}) as (bench, seen):
        ended = run(bench, settings={"context_tokens": 100_000})
        assert (ended.outcome, ended.turns) == ("finished", 31)
    bodies = [exchange.body for exchange in seen.exchanges]
    broken = []
    for number, (before, later) in enumerate(itertools.pairwise(bodies), 1):
        (said, about), (_said, about_later) = prefix(before), prefix(later)
        if about != about_later or not MARK.sub(b"", later[later.index(b'"messages":[') :]).startswith(said):
            broken.append(number)
        assert len(MARK.findall(later)) <= 4
    assert broken == [16]  # the first request after the compaction, and it alone
    compacted = json.loads(bodies[16])["messages"]
    assert [len(message["content"]) for message in compacted] == [3]
    assert all(len(MARK.findall(body)) >= 3 for body in bodies)


def test_system_tools_and_project_are_the_same_bytes_for_every_story_wherever_it_runs(tmp_path):
    heads = []
    for number in (1, 2):
        with playing(tmp_path / str(number) / ("deep" * number), [says(report(), when={})]) as (bench, seen):
            about = Assignment(
                f"S-{number}",
                f"story {number}",
                f"in {bench.slot} of r-1",
                MARKS,
                notes="a project",
                feedback=f"{bench.attempt}/diff.patch",
            )
            hidden = {str(bench.attempt.parent): "$RUN_FOLDER", "r-1": "$RUN"}
            run(bench, assignment=about, hidden=hidden)
            data = seen.exchanges[0].data
            heads.append(json.dumps([data["system"], data["tools"], data["messages"][0]["content"][0]]))
            said = data["messages"][0]["content"][1]["text"]
            assert "in $PROJECT_ROOT of $RUN" in said
            assert "$RUN_FOLDER/attempt-1/diff.patch" in said
            assert str(tmp_path) not in seen.exchanges[0].body.decode()
    assert heads[0] == heads[1]
