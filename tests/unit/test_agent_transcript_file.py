"""The transcript of the built-in agent on disk."""

import json

from rad_engineer import durable
from rad_engineer.agents.anthropic.transcript_file import Transcript, open_transcript, read

START = {"boot": "b", "bound": "s", "first": [{"type": "text", "text": "story"}]}


def test_what_was_written_is_read_back(tmp_path):
    with_one = open_transcript(tmp_path, {"boot": "b", "bound": "s"})
    with_one.write("start", **START)
    with_one.write("answer", content=[{"type": "text", "text": "half \ud83d"}], stop="end_turn", window=7)
    with_one.close()
    again = open_transcript(tmp_path, {"boot": "b", "bound": "s"})
    assert again.now == with_one.now
    assert again.now.messages[-1]["content"][0]["text"] == "half ?"  # what UTF-8 does not know cannot be sent
    again.close()


def test_a_torn_line_never_happened_and_is_written_over(tmp_path):
    path = tmp_path / "transcript.jsonl"
    first = Transcript(path, [], 0)
    first.write("start", **START)
    first.close()
    whole = path.stat().st_size
    with path.open("ab") as handle:
        handle.write(b'{"t":"answer","con')
    again = open_transcript(tmp_path, {"bound": "s"})
    again.write("say", why="repair", text="x")
    again.close()
    lines = path.read_bytes().splitlines()
    assert [json.loads(durable.unseal(line))["t"] for line in lines] == ["start", "say"]
    assert read(path)[1] > whole


def test_another_slot_begins_anew_and_nothing_is_thrown_away(tmp_path):
    for bound in ("s", "t", "u"):
        made = open_transcript(tmp_path, {"bound": bound})
        assert made.now.turns == 0
        made.write("start", **{**START, "bound": bound})
        made.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "transcript-1.jsonl",
        "transcript-2.jsonl",
        "transcript.jsonl",
    ]
