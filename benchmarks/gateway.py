"""What the gateway costs: `python benchmarks/gateway.py [--litellm PROGRAM] [--quick]` prints requests a second.

A mock upstream from npm answers; clients ask in a closed loop, each request another one, plain and streamed. What counts
is the processor time of the gateway's process, from /proc, so a busy machine changes little. Beside it, at a fixed rate
with large bodies: what a request takes longer than without the gateway. LiteLLM's proxy, where one is named, and a rival
that runs already (`--rival`) are measured the same way, in turn.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import litellm_proxy  # noqa: E402

from rad_engineer.gateway import door  # noqa: E402
from rad_engineer.gateway.configuration import GatewaySettings  # noqa: E402
from rad_engineer.gateway.credentials import Credentials, Secret  # noqa: E402
from tests import aimock  # noqa: E402

MODEL = "claude-sonnet-5-5"
SLOW = {
    "match": {"userMessage": "slowly"},
    "response": {"content": "word " * 60},
    "latency": 400,
    "chunkSize": 10,
}
FIXTURES = [SLOW, {"match": {"userMessage": "benchmark"}, "response": {"content": "word " * 60, "usage": {"input_tokens": 50, "output_tokens": 60}}}]  # fmt: skip
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """Somebody who answers: `pids` are the processes whose time counts."""

    name: str
    url: str
    token: str
    pids: tuple[int, ...] = ()

    def seconds(self):
        """Processor time so far, of all its processes and those they have waited for."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
        return total / TICKS

    def memory(self):
        """Resident memory in MB."""
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.pids)
        lines = (line.split() for line in status.splitlines() if line.startswith("VmRSS"))
        return sum(int(line[1]) for line in lines) / 1024


class Client:
    """One connection, kept alive; knows no more of HTTP than it needs."""

    def __init__(self, target, size, *, stream):
        host, _, port = target.url.removeprefix("http://").partition(":")
        self.place = (host, int(port.strip("/")))
        self.target = target
        self.filler = "benchmark " + "x" * size
        self.stream = stream
        self.writer = None

    async def ask(self, number, gaps=None):
        """One request, read to its end; `gaps` gets the times between the chunks of a stream."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(*self.place, limit=1 << 22)
        data = {"model": MODEL, "max_tokens": 100, "stream": self.stream,
                "messages": [{"role": "user", "content": f"{self.filler} {number}"}]}  # fmt: skip
        body = json.dumps(data).encode()
        head = (
            f"POST /v1/messages HTTP/1.1\r\nhost: {self.place[0]}\r\nauthorization: Bearer {self.target.token}\r\n"
            f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise SystemExit(f"{self.target.name}: {answer!r} {await self.reader.read(2000)!r}")
        if b"content-length:" in answer:
            await self.reader.readexactly(int(answer.split(b"content-length:")[1].split(b"\r\n")[0]))
            return
        last = None
        while True:
            size = int(await self.reader.readline(), 16)
            if gaps is not None:
                now = time.perf_counter()
                if last is not None:
                    gaps.append(now - last)
                last = now
            await self.reader.readexactly(size + 2)
            if not size:
                return


async def closed_loop(target, clients, count, *, stream):
    """So many clients, each asking again when it is answered: requests a second, and a second of processor time."""
    numbers = iter(range(count))
    stamp = time.time_ns()

    async def one():
        client = Client(target, 200, stream=stream)
        for number in numbers:
            await client.ask(f"{stamp} {number}")
        if client.writer is not None:
            client.writer.close()

    before, began = target.seconds(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    elapsed = time.perf_counter() - began
    spent = target.seconds() - before
    return count / elapsed, count / spent if spent else 0.0


async def open_loop(target, rate, size, seconds):
    """Requests at a fixed rate, whatever becomes of them: how long each took."""
    free, took, stamp = [], [], time.time_ns()

    async def one(number):
        client = free.pop() if free else Client(target, size, stream=False)
        began = time.perf_counter()
        await client.ask(f"{stamp} {number}")
        took.append(time.perf_counter() - began)
        free.append(client)

    loop = asyncio.get_running_loop()
    start, tasks = loop.time(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    for client in free:
        client.writer.close()
    return took


async def many_streams(target, a_minute, minutes):
    """Slow streams at a fixed rate: the gaps between their chunks, how many were open at once, the memory at the ends."""
    gaps, open_now, most, failed, memory = [], 0, 0, 0, []
    stamp = time.time_ns()

    async def one(number):
        nonlocal open_now, most, failed
        client = Client(target, 200, stream=True)
        open_now += 1
        most = max(most, open_now)
        try:
            await client.ask(f"slowly {stamp} {number}", gaps)
        except SystemExit as error:
            failed += 1
            print(error)
        finally:
            open_now -= 1
            if client.writer is not None:
                client.writer.close()

    loop = asyncio.get_running_loop()
    start, tasks, count = loop.time(), [], int(a_minute * minutes)
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number * 60 / a_minute - loop.time()))
        tasks.append(asyncio.create_task(one(number)))
        if target.pids and number in (count // 4, count - 1):
            memory.append(target.memory())
    await asyncio.gather(*tasks)
    gaps.sort()
    return most, failed, gaps[len(gaps) // 2] * 1000, gaps[int(len(gaps) * 0.95)] * 1000, memory


def ours(stack, mock, folder):
    """Our gateway with everything on, and what its process is called."""
    told = GatewaySettings(
        upstream=mock.url, run_micro_usd=None, per_model=128, cache_folder=str(folder / "cache"), record=""
    )
    opened = door.open(told, folder / "gateway", os.urandom(32), Credentials("key", "", Secret(b"k")))
    stack.callback(opened.close)
    url, token = opened.session("story", 1)
    return opened, Target("rad-engineer", url, token, (opened.pid,))


async def measure(targets, mock, *, quick):
    """The tables."""
    count = 300 if quick else 2000
    print(f"{'':24}{'clients':>8}{'req/s':>10}{'req/s/core':>12}")
    for stream in (False, True):
        for clients in (1, 16, 64):
            for target in targets:
                await closed_loop(target, clients, count // 10, stream=stream)  # warm
                wall, core = await closed_loop(target, clients, count, stream=stream)
                kind = "streamed" if stream else "plain"
                print(f"{target.name + ', ' + kind:24}{clients:8}{wall:10.0f}{core:12.0f}", flush=True)
    # Rivals are left out here: at rates that they cannot keep up with, a median says nothing but that.
    print(f"\n{'':24}{'rate':>8}{'body':>10}{'p50 ms':>10}{'added':>10}{'cpu ms':>10}")
    direct = Target("the mock itself", mock.url, "none")
    for rate, size in ((30, 20_000), (150, 20_000), (30, 800_000)):
        base = None
        for target in (direct, targets[0]):
            before = target.seconds()
            took = await open_loop(target, rate, size, 2 if quick else 10)
            spent = (target.seconds() - before) / len(took) * 1000
            middle = statistics.median(took) * 1000
            base = middle if base is None else base
            print(
                f"{target.name:24}{rate:8}{size:10}{middle:10.2f}{middle - base:10.2f}{spent:10.2f}",
                flush=True,
            )
    for target in targets:
        print(f"{target.name}: {target.memory():.0f} MB resident")


async def streams(targets, minutes):
    """The table of slow streams."""
    print(f"{'':24}{'open':>8}{'failed':>8}{'gap p50':>10}{'gap p95':>10}  memory")
    for target in targets:
        most, failed, middle, high, memory = await many_streams(target, 250, minutes)
        shown = ", ".join(f"{size:.0f} MB" for size in memory)
        print(f"{target.name:24}{most:8}{failed:8}{middle:10.1f}{high:10.1f}  {shown}", flush=True)


def main():
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rival", default="", help="NAME,URL,TOKEN,PID[,PID…] of one that forwards to --mock"
    )
    parser.add_argument(
        "--litellm", default="", help="the `litellm` program of an environment that has litellm[proxy]"
    )
    parser.add_argument("--mock", default="", help="base URL of a mock that runs already")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="only slow streams, 250 a minute, for so long"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = (
            aimock.Mock(options.mock)
            if options.mock
            else stack.enter_context(aimock.serve(folder / "mock", FIXTURES))
        )
        _, target = ours(stack, mock, folder)
        targets = [target]
        if options.rival:
            name, url, token, *pids = options.rival.split(",")
            targets.append(Target(name, url, token, tuple(map(int, pids))))
        if options.litellm:
            proxy = litellm_proxy.running(options.litellm, mock.url, MODEL, folder / "litellm")
            url, token, pid = stack.enter_context(proxy)
            targets.append(Target("litellm", url, token, (pid,)))
        if options.minutes:
            asyncio.run(streams([Target("the mock itself", mock.url, "none"), *targets], options.minutes))
        else:
            asyncio.run(measure(targets, mock, quick=options.quick))


if __name__ == "__main__":
    main()
