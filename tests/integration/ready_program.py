"""A worker that tells how ready it was, and does the work of a Bench."""

import sys
import threading
import time
from pathlib import Path

from agent_bench import Bench

from rad_engineer import agents
from rad_engineer.engines.channel import Channel, ChannelClosed


def serve(channel: Channel) -> None:
    while True:
        try:
            job = channel.receive()
            channel.send({"done": _work(job)})
        except ChannelClosed:
            return


def _work(job: dict) -> dict:
    loaded = "anthropic" in sys.modules
    begun = time.monotonic()
    told: list[float] = []
    bench = Bench(Path(job["folder"]), job["url"])
    work = bench.work(on_line=lambda _line: told.append(time.monotonic() - begun))
    outcome = agents.agent("anthropic").run(work).outcome
    return {"loaded": loaded, "first": told[0], "threads": threading.active_count(), "outcome": outcome}
