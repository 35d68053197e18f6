"""The built-in agent's process is killed with SIGKILL at every point of a turn, and another one goes on.

RAD_KILL_EVERYWHERE=1 pytest tests/integration/test_agent_killed.py does so at every point of every turn.
"""

import json
import os
import threading
from contextlib import contextmanager

import pytest
from agent_bench import EDITOR, Bench, Program, after, asked_again, call, report, says

from rad_engineer import durable
from tests.aimock import serve, tap
from tests.gateways import door_waits, opened

STORY = [
    says(call("bash", command="mkdir -p sub && cd sub && pwd"), when={"hasToolResult": False}),
    # Whoever is told that the shell is another one looks first, and does what is missing.
    says(
        call("bash", command="mkdir -p sub && cd sub && touch log && { grep -q line log || echo line >>log; }; echo appended"),
        when=after("The shell was restarted"),
    ),
    says(call("bash", command="echo line >>log; echo appended"), when=after("$PROJECT_ROOT/sub")),
    says(call(EDITOR, command="insert", path="notes", insert_line=0, insert_text="note"), when=after("appended")),
    says(call("read", path="notes"), when=after("in part or in full. Check what is there")),
    says(report(), when=after("\tnote")),
    says(call(EDITOR, command="insert", path="notes", insert_line=0, insert_text="note"), when=after("1\tbase")),
]  # fmt: skip
WRITES = [("start", 1), *((kind, n) for n in (1, 2, 3) for kind in ("answer", "begun", "result")), ("answer", 4), ("report", 1)]  # fmt: skip
EVERY = [(*write, moment) for write in WRITES for moment in ("before", "after")]
EVERY += [("execute", number, "after") for number in (1, 2, 3)]
TOLD = [("answer", 1, "before"), ("begun", 1, "after"), ("result", 1, "after"),
        ("answer", 2, "before"), ("answer", 2, "after"), ("begun", 2, "after"), ("execute", 2, "after"), ("result", 2, "after"),
        ("begun", 3, "after"), ("execute", 3, "after"), ("report", 1, "before"), ("report", 1, "after")]  # fmt: skip
POINTS = EVERY if os.environ.get("RAD_KILL_EVERYWHERE") else TOLD


@pytest.fixture(scope="module")
def program():
    found = Program()
    yield found
    found.close()


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("mock"), STORY) as found:
        yield found


@pytest.fixture
def at(tmp_path, mock):
    with tap(mock.url) as seen:
        yield Bench(tmp_path, seen.url, {"notes": "base\n"}), seen


def test_nobody_is_killed(tmp_path, program, at):
    bench, seen = at
    assert program.run(tmp_path, seen.url) == {"status": 0, "outcome": "finished", "output": "done"}
    assert (bench.read("sub/log"), bench.read("notes")) == ("line\n", "note\nbase\n")
    assert [record["t"] for record in bench.records()] == [kind for kind, _number in WRITES]
    assert (len(seen.exchanges), seen.violations()) == (4, [])


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
def test_a_killed_agent_goes_on_where_it_was(tmp_path, program, at, point):
    bench, seen = at
    assert program.run(tmp_path, seen.url, die=point)["status"] == -9
    assert program.run(tmp_path, seen.url) == {"status": 0, "outcome": "finished", "output": "done"}
    assert (bench.read("sub/log"), bench.read("notes")) == ("line\n", "note\nbase\n")
    assert not (bench.slot / "log").exists()
    bodies = [exchange.body for exchange in seen.exchanges]
    answered = point in [("answer", number, "before") for number in (1, 2, 3, 4)]
    assert asked_again(bodies) == ([2] if answered else [])  # only the turn whose answer was not written down
    turns = [len(json.loads(body)["messages"]) for body in bodies]
    assert turns == sorted(turns)
    assert seen.violations() == []
    told = [text for text in bench.results() if "interrupted" in text or "not carried out" in text]
    assert len(told) <= 1


def test_killed_again_and_again(tmp_path, program, at):
    bench, seen = at
    for point in EVERY:
        ended = program.run(tmp_path, seen.url, die=point)
        assert ended["status"] in (0, -9)
    assert program.run(tmp_path, seen.url)["outcome"] == "finished"
    assert (bench.read("sub/log"), bench.read("notes")) == ("line\n", "note\nbase\n")
    assert seen.violations() == []
    turns = [len(exchange.data["messages"]) for exchange in seen.exchanges]
    assert turns == sorted(turns)


@pytest.mark.parametrize("change", ["bound", "boot", "damage"])
def test_a_transcript_that_speaks_of_another_slot_is_kept_and_not_gone_on_with(tmp_path, program, at, change):
    bench, seen = at
    assert program.run(tmp_path, seen.url, die=("answer", 2, "after"))["status"] == -9
    path = bench.attempt / "transcript.jsonl"
    if change == "damage":
        path.write_bytes(path.read_bytes().replace(b'"t":"start"', b'"t":"stark"', 1))
    if change == "boot":
        lines = path.read_bytes().split(b"\n", 1)
        start = json.loads(lines[0])
        del start["~"]
        path.write_bytes(durable.seal(durable.dump({**start, "boot": "another"})) + b"\n" + lines[1])
    work = {"bound": "another"} if change == "bound" else {}
    assert program.run(tmp_path, seen.url, work=work)["outcome"] == "finished"
    assert (bench.attempt / "transcript-1.jsonl").exists()
    assert [len(exchange.data["messages"]) for exchange in seen.exchanges][:3] == [1, 3, 1]


@contextmanager
def heard(gateway):
    """Starts a gateway again that has died, as the loop of a coordinator does."""
    over = threading.Event()

    def hear():
        while not over.is_set():
            gateway.hear()
            door_waits(gateway.door)

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


BEHIND = EVERY if os.environ.get("RAD_KILL_EVERYWHERE") else [("answer", 2, "before"), ("begun", 2, "after")]


@pytest.mark.parametrize("point", BEHIND, ids=lambda point: "-".join(map(str, point)))
@pytest.mark.parametrize("who", ["agent", "gateway", "both"])
def test_behind_a_gateway_an_answer_that_was_not_written_down_is_not_paid_twice(
    tmp_path, program, mock, point, who
):
    with tap(mock.url) as seen, opened(tmp_path / "gateway", seen.url) as gateway:
        bench = Bench(tmp_path, gateway.door.base_url, {"notes": "base\n"})
        work = {"token": gateway.door.session("s1", 1)[1]}
        gateway.wait_for(lambda event: event["event"] == "ready")
        victims = {"agent": [0], "gateway": [gateway.door.pid], "both": [gateway.door.pid, 0]}[who]
        with heard(gateway):
            ended = program.run(tmp_path, bench.url, work=work, die=point, victims=victims)
            assert ended["status"] == (0 if who == "gateway" else -9), ended
            if who != "gateway":
                ended = program.run(tmp_path, bench.url, work=work)
            assert (ended["status"], ended["outcome"]) == (0, "finished"), ended
        assert (bench.read("sub/log"), bench.read("notes")) == ("line\n", "note\nbase\n")
        again = asked_again([exchange.body for exchange in seen.exchanges])
        unwritten = point[0] == "answer" and point[2] == "before"
        assert again in ([], [2] if who == "both" and unwritten else [])
        assert seen.violations() == []
