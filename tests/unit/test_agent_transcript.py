"""The built-in agent's conversation, folded from its records."""

import pytest

from rad_engineer.agents.anthropic.transcript import fold

FIRST = [{"type": "text", "text": "project"}, {"type": "text", "text": "story"}]
START = {"t": "start", "first": FIRST}


def use(number, name="bash", **given):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}


def answer(*content, stop="tool_use", window=100):
    return {
        "t": "answer",
        "content": list(content),
        "stop": stop,
        "window": window,
        "usage": {},
        "model": "m",
    }


def result(number, text="ok", *, error=False, **more):
    return {"t": "result", "n": number, "text": text, "error": error, **more}


def begun(number):
    return {"t": "begun", "n": number, "id": f"toolu_{number}"}


def text(said):
    return {"type": "text", "text": said}


def test_what_comes_next():
    records = [START]
    steps = [
        (None, "ask"),
        (answer(use(1), use(2, "read")), "tools"),
        (begun(0), "tools"),
        (result(0), "tools"),
        (result(1), "ask"),
        (answer(text("hm"), stop="pause_turn"), "ask"),
        (answer(text("done"), stop="end_turn"), "end of turn"),
        ({"t": "say", "why": "repair", "text": "report!"}, "ask"),
        (answer(use(3, "report")), "tools"),
        (result(0, "not valid", error=True), "ask"),
        (answer(use(4, "report")), "tools"),
        ({"t": "report", "report": {"status": "done"}}, "done"),
    ]
    for record, wanted in steps:
        records += [record] if record else []
        found = fold(records)
        assert found.next == wanted, record
    assert (found.turns, found.tokens, found.repairs, found.nudges, found.model) == (5, 500, 1, 1, "m")


def test_results_go_out_in_the_order_of_the_calls_and_errors_among_them():
    found = fold(
        [START, answer(use(1), use(2), use(3)), result(2, "c"), result(0, "a"), result(1, "b", error=True)]
    )
    assert found.to_send()[-1] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "b", "is_error": True},
            {"type": "tool_result", "tool_use_id": "toolu_3", "content": "c"},
        ],
    }


def test_what_was_sent_is_what_comes_before_the_answer():
    before = fold([START, answer(use(1)), result(0)])
    after = fold([START, answer(use(1)), result(0), answer(text("x"), stop="end_turn")])
    assert after.messages[:-1] == before.to_send()
    assert after.last_mark == (2, 0)


def test_an_answer_without_content_leaves_no_empty_message():
    found = fold([START, answer(stop="end_turn")])
    assert found.next == "end of turn"
    assert [message["role"] for message in found.to_send()] == ["user"]


def test_a_compaction_begins_anew_with_the_summary():
    records = [
        START, answer(use(1)), result(0), {"t": "say", "why": "compact", "text": "sum up"},
    ]  # fmt: skip
    assert fold(records).next == "ask"
    assert [block["type"] for block in fold(records).to_send()[-1]["content"]] == ["tool_result", "text"]
    records.append(answer(text("all is well"), use(2), stop="tool_use"))
    assert fold(records).next == "summary"
    records.append({"t": "compacted", "summary": "all is well"})
    found = fold(records)
    assert found.next == "ask"
    assert found.to_send() == [{"role": "user", "content": [*FIRST, text("all is well")]}]
    assert (found.window, found.turns, found.last_mark) == (0, 2, None)


SHELL = [START, answer(use(1)), begun(0), result(0)]
GONE = {"t": "resumed"}


@pytest.mark.parametrize(
    ("records", "lost"),
    [
        (SHELL, False),
        ([START, answer(use(1)), GONE], False),  # it was never used
        ([*SHELL, GONE], True),
        ([*SHELL, GONE, answer(use(2))], True),  # the model does not know yet
        ([*SHELL, GONE, answer(use(2, "read")), begun(0), result(0), answer(use(3))], True),
        ([*SHELL, GONE, answer(use(2)), result(0, error=True, shell="gone")], True),  # told, but not sent
        ([*SHELL, GONE, answer(use(2)), result(0, error=True, shell="gone"), answer(use(3))], False),
        ([*SHELL, GONE, answer(use(2)), result(0, error=True, shell="gone"), answer(use(3)), GONE], False),
        (
            [*SHELL, answer(use(2), use(3)), begun(0), result(0, error=True, shell="gone")],
            True,
        ),  # it took too long
    ],
)
def test_a_model_that_builds_on_a_lost_shell_is_told_before_anything_runs(records, lost):
    assert fold(records).shell_lost is lost


def test_answers_that_are_too_long_count_in_a_row():
    long = answer(text("…"), stop="max_tokens")
    go_on = {"t": "say", "why": "continue", "text": "go on"}
    assert fold([START, long, go_on, long]).cut_short == 2
    assert fold([START, long, go_on, answer(text("ok"), stop="end_turn")]).cut_short == 0
