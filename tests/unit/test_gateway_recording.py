"""A run recorded and played again: the same answers to the same requests, and a named field where one differs."""

import json

import pytest

from rad_engineer.durable import LaterVersion
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.exchange import Refusal, Whole
from rad_engineer.gateway.recording import Recorder
from rad_engineer.gateway.replay import Replay
from tests.unit.gateway_calls import asked, call, message
from tests.unit.gateway_stories import JSON, Story, files, heard, plain, record, streamed, use


def test_a_whole_conversation_is_given_again_streamed_or_not(tmp_path):
    said = record(tmp_path / "r")
    for stream in (True, False):
        replay, story = Replay(tmp_path / "r"), Story()
        for one in said:
            answer = replay.answer(story.ask(stream=stream))
            assert isinstance(answer, Whole) is not stream
            assert heard(answer) == one
            story.heard(one)
        assert replay.stats() == {"replayed": 4, "drifted": 0}


def test_a_recording_lies_there_as_people_read_and_commit_it(tmp_path):
    record(tmp_path / "r", answers=3)
    lane = next((tmp_path / "r" / "lanes").iterdir()).stem
    assert files(tmp_path / "r") == [
        f"lanes/{lane}.json",
        "recording.json",
        *(f"stories/5f0c/1/{number:04d}-{lane}.json" for number in (1, 2, 3)),
    ]
    second = (tmp_path / "r" / f"stories/5f0c/1/0002-{lane}.json").read_text()
    assert json.loads(second) == {
        "schema_version": 1,
        "request": {
            "query": "",
            "betas": [],
            "max_tokens": 1000,
            "goes_on_from": f"0001-{lane}",
            "common_messages": 2,
            "messages": [{
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                             "content": [{"type": "text", "text": "done"}]}],
            }],
        },
        "answer": {"status": 200, "message": use(2)},
    }  # fmt: skip
    assert second.endswith("}\n")
    assert "\n  " in second


def test_recorded_again_it_is_the_same_byte_for_byte(tmp_path):
    record(tmp_path / "one")
    record(tmp_path / "other")
    record(tmp_path / "other")  # a second time into the same folder
    assert files(tmp_path / "one") == files(tmp_path / "other")
    for name in files(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_it_grows_with_the_turns_not_with_their_square(tmp_path):
    sizes = []
    for turns in (10, 20, 40):
        record(tmp_path / str(turns), answers=turns)
        sizes.append(
            sum((tmp_path / str(turns) / name).stat().st_size for name in files(tmp_path / str(turns)))
        )
    assert sizes[2] - sizes[1] < 2.2 * (sizes[1] - sizes[0])


def test_one_changed_byte_of_the_prompt_is_named(tmp_path):
    record(tmp_path / "r")
    replay = Replay(tmp_path / "r")
    with pytest.raises(Refusal) as refused:
        replay.answer(Story("Add a greetinG.").ask())
    assert (refused.value.status, refused.value.reason) == (409, "drift")
    assert "0001-" in refused.value.message
    assert (
        "messages[0].content[0].text differs from character 13 on: 'Add a greetinG.'" in refused.value.message
    )
    assert "recorded was 'Add a greeting.'" in refused.value.message
    assert replay.stats() == {"replayed": 0, "drifted": 1}


def test_a_changed_system_prompt_is_another_lane_and_still_named(tmp_path):
    record(tmp_path / "r")
    with pytest.raises(Refusal, match=r"system\[0\]\.text differs from character 14 on"):
        Replay(tmp_path / "r").answer(Story(system="You write code!").ask())


def test_a_later_change_is_held_against_the_exchange_that_was_next(tmp_path):
    said = record(tmp_path / "r")
    replay, story = Replay(tmp_path / "r"), Story()
    replay.answer(story.ask())
    story.heard(said[0], output="something else")
    with pytest.raises(
        Refusal, match=r"drift: messages\[2\]\.content\[0\]\.content.*\(0002-\w+ of story 5f0c, attempt 1\)"
    ):
        replay.answer(story.ask())


def test_what_was_never_recorded_is_said_so(tmp_path):
    said = record(tmp_path / "r", answers=1)
    replay, story = Replay(tmp_path / "r"), Story()
    replay.answer(story.ask())
    story.heard(said[0])
    with pytest.raises(Refusal, match=r"all 1 exchanges .* have been asked for"):
        replay.answer(story.ask())
    with pytest.raises(Refusal, match=r"nothing was recorded for story other, attempt 1"):
        replay.answer(Story(story="other").ask())


def test_a_request_that_comes_again_is_the_same_exchange(tmp_path):
    recorder, story = Recorder(tmp_path / "r"), Story()
    first = story.ask()
    recorder.keep(first, streamed(use(1)))
    recorder.keep(story.ask(), streamed(use(2)))  # the answer was lost, the client asked again
    assert [name for name in files(tmp_path / "r") if "0002" in name] == []
    story.heard(use(2))
    recorder.keep(story.ask(), streamed(message("finished")))
    recorder.keep(first, streamed(use(3)))  # too late: the conversation has gone on
    replay, again = Replay(tmp_path / "r"), Story()
    for _ in range(2):
        assert heard(replay.answer(again.ask())) == use(2)
    again.heard(use(2))
    assert heard(replay.answer(again.ask())) == message("finished")


def test_lanes_side_by_side_do_not_disturb_each_other(tmp_path):
    recorder = Recorder(tmp_path / "r")
    main, title = Story(), Story("Title?", system="You name things.")
    recorder.keep(main.ask(), streamed(use(1)))
    recorder.keep(title.ask(), streamed(message("Greeting")))
    main.heard(use(1))
    recorder.keep(main.ask(), streamed(message("finished")))
    replay = Replay(tmp_path / "r")
    main, title = Story(), Story("Title?", system="You name things.")
    main.data["messages"] = Story().data["messages"]
    assert heard(replay.answer(main.ask())) == use(1)
    main.heard(use(1))
    assert heard(replay.answer(main.ask())) == message("finished")  # another order than it was recorded in
    title.data["messages"] = asked("Title!")["messages"]
    with pytest.raises(
        Refusal, match=r"messages\[0\]\.content\[0\]\.text differs from character 5 on: 'Title!'"
    ):
        Replay(tmp_path / "r").answer(title.ask())
    title.data["messages"] = asked("Title?")["messages"]
    assert heard(replay.answer(title.ask())) == message("Greeting")


def test_answers_that_come_in_another_order_than_their_requests(tmp_path):
    recorder = Recorder(tmp_path / "r")
    calls = [call(asked(f"part {number}"), number=number) for number in (1, 2, 3)]
    for one in reversed(calls):
        recorder.keep(one, plain(message(f"answer {one.number}")))
    assert [name[-22:-18] for name in files(tmp_path / "r") if name.startswith("stories")] == [
        "0001",
        "0002",
        "0003",
    ]
    replay = Replay(tmp_path / "r")
    assert [heard(replay.answer(one))["content"][0]["text"] for one in calls] == [
        "answer 1", "answer 2", "answer 3",
    ]  # fmt: skip


def test_after_a_restart_of_the_gateway_it_goes_on(tmp_path):
    story = Story()
    Recorder(tmp_path / "r").keep(story.ask(), streamed(use(1)))
    story.heard(use(1))
    story.number = 0  # sessions are counted anew
    Recorder(tmp_path / "r").keep(story.ask(), streamed(use(2)))
    recorder = Recorder(tmp_path / "r")
    for turn in (2, 3):
        story.heard(use(turn))
        story.number = 0
        recorder.keep(story.ask(), streamed(use(turn + 1)))
    assert len([name for name in files(tmp_path / "r") if name.startswith("stories")]) == 4
    replay, again = Replay(tmp_path / "r"), Story()
    for turn in (1, 2, 3, 4):
        assert heard(replay.answer(again.ask())) == use(turn)
        again.heard(use(turn))


def test_an_attempt_that_was_not_recorded_is_answered_from_the_one_before(tmp_path):
    record(tmp_path / "r", answers=1)
    assert heard(Replay(tmp_path / "r").answer(Story(attempt=3).ask())) == message("finished")
    record(tmp_path / "later", answers=1, attempt=2)
    with pytest.raises(Refusal, match="nothing was recorded"):
        Replay(tmp_path / "later").answer(Story(attempt=1).ask())


@pytest.mark.parametrize("status", [401, 402, 403, 408, 409, 429, 500, 502, 503, 529])
def test_what_another_try_may_change_is_no_exchange(tmp_path, status):
    recorder = Recorder(tmp_path / "r")
    assert not recorder.keep(call(), plain({"type": "error"}, status))
    assert files(tmp_path / "r") == ["recording.json"]


def test_what_is_wrong_with_the_request_itself_is_recorded(tmp_path):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}
    assert Recorder(tmp_path / "r").keep(call(), plain(error, 400))
    answer = Replay(tmp_path / "r").answer(call(asked("hello", stream=True)))
    assert isinstance(answer, Whole)
    assert (answer.status, heard(answer)) == (400, error)


@pytest.mark.parametrize("body", [b"", b"data: nonsense\n\n", b"data: []\n\n", b'data: {"type":"content_block_stop"}\n\n',
                                  streamed(use(1))[:-60]])  # fmt: skip
def test_a_stream_that_broke_off_is_no_exchange(tmp_path, body):
    assert not Recorder(tmp_path / "r").keep(call(), body)
    assert not Recorder(tmp_path / "r").keep(call(), Whole(200, JSON, b"<html>"))


def test_counts_of_tokens_are_a_lane_of_their_own_and_may_be_missing(tmp_path):
    path = "/v1/messages/count_tokens"
    recorder = Recorder(tmp_path / "r")
    for number, text in enumerate(("hello", "more", "hello")):  # counts have no numbers of their own
        recorder.keep(call(asked(text), path=path, number=0), plain({"input_tokens": 7 + number % 2}))
    recorder.keep(call(), plain(message("x")))
    assert [name.rpartition("/")[2][:4] for name in files(tmp_path / "r") if name.startswith("stories")] == [
        "0001", "0001", "0002",
    ]  # fmt: skip
    replay = Replay(tmp_path / "r")
    assert heard(replay.answer(call(path=path))) == {"input_tokens": 7}
    with pytest.raises(Refusal) as refused:
        replay.answer(call(asked("other"), path=path))
    assert (refused.value.status, refused.value.reason) == (404, "unrecorded")
    assert replay.stats()["drifted"] == 0


def test_no_secret_reaches_the_disk_and_it_is_no_drift(tmp_path):
    planted, known = "sk-" + "ant-" + "a1" * 20, "opensesame-0123"
    story = Story(f"use {planted}")
    recorder = Recorder(tmp_path / "r", secrets=[known])
    recorder.keep(story.ask(), streamed(use(1, f"curl -H 'x: {known}' {planted}")))
    text = "".join((tmp_path / "r" / name).read_text() for name in files(tmp_path / "r"))
    assert planted not in text
    assert known not in text
    assert "[redacted: anthropic-key]" in text
    assert heard(Replay(tmp_path / "r").answer(Story("use sk-" + "ant-" + "b2" * 20).ask()))


def test_a_client_that_names_its_folder_is_replayed_in_another_one(tmp_path):
    def story(folder):
        return Story("go", system=f"Working directory: {folder}\n")

    recorder, there = Recorder(tmp_path / "r"), story("/srv/recorded")
    recorder.keep(there.ask(), streamed(use(1, "cat /srv/recorded/a.py")))
    there.heard(use(1, "cat /srv/recorded/a.py"), output="/srv/recorded/a.py: x")
    recorder.keep(there.ask(), streamed(message("see /srv/recorded/a.py")))
    assert "/srv/recorded" not in "".join(
        (tmp_path / "r" / name).read_text() for name in files(tmp_path / "r")
    )
    replay, here = Replay(tmp_path / "r"), story("/mnt/here")
    said = heard(replay.answer(here.ask()))
    assert said == use(1, "cat /mnt/here/a.py")
    here.heard(said, output="/mnt/here/a.py: x")
    assert heard(replay.answer(here.ask())) == message("see /mnt/here/a.py")


@pytest.mark.parametrize("story", ["", "../up", "a/b", ".hidden", "ü", "x" * 16])
def test_a_story_never_names_a_path_elsewhere(tmp_path, story):
    Recorder(tmp_path / "r").keep(call(story=story), plain(message("x")))
    assert len(files(tmp_path)) == len(files(tmp_path / "r")) == 3
    assert heard(Replay(tmp_path / "r").answer(call(story=story))) == message("x")


def test_sessions_by_the_thousand_take_no_more_memory_and_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("rad_engineer.gateway.recording._MOST_SESSIONS", 2)
    monkeypatch.setattr("rad_engineer.gateway.replay._MOST_SESSIONS", 2)
    recorder, stories = Recorder(tmp_path / "r"), [Story(story=f"s{n}") for n in range(5)]
    for turn in (1, 2):
        for story in stories:
            recorder.keep(story.ask(), streamed(use(turn)))
            story.heard(use(turn))
    assert len(recorder._sessions) == 2
    replay, stories = Replay(tmp_path / "r"), [Story(story=f"s{n}") for n in range(5)]
    for turn in (1, 2):
        for story in stories:
            assert heard(replay.answer(story.ask())) == use(turn)
            story.heard(use(turn))
    assert len(replay._sessions) == 2


def test_a_folder_that_is_something_else_is_refused(tmp_path):
    with pytest.raises(ConfigInvalid, match=r"recording\.json is no part of a recording: it does not exist"):
        Replay(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    with pytest.raises(ConfigInvalid, match="holds files and is no recording"):
        Recorder(tmp_path / "other")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "recording.json").write_text('{"schema_version": 9}')
    for program in (Recorder, Replay):
        with pytest.raises(LaterVersion):
            program(tmp_path / "later")


ANSWERS = [
    json.dumps({"schema_version": 1, "request": {"messages": []}, "answer": answer})
    for answer in ([], {"status": 200}, {"message": {"content": []}}, {"status": 200, "message": []},
                   {"status": 200, "message": {"content": [5]}}, {"status": 200, "message": {"content": [{"type": 5}]}})
]  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "request": {"goes_on_from": "x", "messages": []}, "answer": {}}', *ANSWERS])  # fmt: skip
def test_a_damaged_exchange_is_named(tmp_path, text):
    record(tmp_path / "r", answers=1)
    (broken,) = (tmp_path / "r" / "stories" / "5f0c" / "1").iterdir()
    broken.write_text(text)
    with pytest.raises(Refusal, match=f"{broken.name} is no part of a recording") as refused:
        Replay(tmp_path / "r").answer(Story().ask())
    assert (refused.value.status, refused.value.reason) == (409, "drift")


def test_other_files_in_it_do_not_matter(tmp_path):
    record(tmp_path / "r", answers=1)
    (tmp_path / "r" / "stories" / "5f0c" / "1" / "notes.md").write_text("hm")
    (tmp_path / "r" / "stories" / "5f0c" / "old").mkdir()
    assert heard(Replay(tmp_path / "r").answer(Story().ask()))
