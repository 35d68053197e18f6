"""The process that workers are forked from has loaded the SDK, and used it once."""

import asyncio
import os
import signal

import pytest
from agent_bench import report, says

from rad_engineer import agents
from rad_engineer.agents.anthropic import ready
from rad_engineer.engines.local import LocalEngine, start_zygote
from tests.aimock import serve


def done(engine, job):
    number = engine.submit(job)
    while True:
        for message in engine.poll(30):
            if message.job == number and message.kind != "event":
                assert message.kind == "done", message
                return message.data


@pytest.fixture
def engine(childless):
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    found = LocalEngine(
        start_zygote("ready_program:serve", env), 1, preload=agents.preparation(("claude", "anthropic"))
    )
    yield found
    found.close()


def test_workers_are_forked_ready_also_from_the_zygote_that_takes_the_place_of_a_dead_one(tmp_path, engine):
    with serve(tmp_path / "mock", [says(report(), when={})]) as mock:
        for name in ("first", "second"):
            found = done(engine, {"folder": str(tmp_path / name), "url": mock.url})
            assert (found["loaded"], found["threads"], found["outcome"]) == (True, 1, "finished")
            os.kill(engine._zygote.pid, signal.SIGKILL)
            for worker in list(engine._workers.values()):
                os.kill(worker.pid, signal.SIGKILL)
            engine.poll(0.2)


def test_the_call_to_ourselves_is_a_whole_one():
    asyncio.run(ready._call_ourselves())


def test_who_needs_no_preparation_gets_none():
    assert agents.preparation(("mock", "command")) == ""
