"""What the gateway costs: `python benchmarks/gateway.py [--litellm PROGRAM] [--against CHECKOUT] [--quick]`.

A mock upstream from npm answers. First clients ask in a closed loop, each request another one, plain and streamed: what
counts is the processor time of the gateway's process, from /proc, so a busy machine changes little. Then, at fixed rates
with large bodies and everything switched on: what a request takes longer than without the gateway. With `--minutes`
instead: slow streams, 250 a minute, through a gateway with the default configuration.

LiteLLM's proxy, and the gateway of another checkout, are measured the same way, in turn.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import litellm_proxy  # noqa: E402
from gateway_load import MODEL, Asking, closed_loop, many_streams, open_loop  # noqa: E402
from gateway_target import Target, running  # noqa: E402

from tests import aimock  # noqa: E402

SLOW = {
    "match": {"userMessage": "slowly"},
    "response": {"content": "word " * 80},
    "latency": 400,
    "chunkSize": 10,
}
FIXTURES = [SLOW, {"match": {"userMessage": "benchmark"}, "response": {"content": "word " * 60, "usage": {"input_tokens": 50, "output_tokens": 60}}}]  # fmt: skip
RATES = ((30, 20_000), (150, 20_000), (30, 800_000))
A_MINUTE = 250


async def throughput(targets, *, quick):
    """The table of closed loops."""
    count = 300 if quick else 2000
    print(f"{'':32}{'clients':>8}{'req/s':>10}{'req/s/core':>12}{'load':>8}")
    for stream in (False, True):
        asking = Asking("benchmark", stream=stream)
        for clients in (1, 16, 64):
            for target in targets:
                await closed_loop(target, clients, count // 10, asking)  # warm
                wall, core = await closed_loop(target, clients, count, asking)
                name = f"{target.name}, {'streamed' if stream else 'plain'}"
                print(f"{name:32}{clients:8}{wall:10.0f}{core:12.0f}{_load():>8}", flush=True)


async def latency(targets, *, rounds, seconds):
    """The table of fixed rates; the first target is the mock itself."""
    print(
        f"\n{'':32}{'rate':>8}{'body':>10}{'p50 ms':>10}{'added':>10}{'p95 ms':>10}{'cpu ms':>10}{'load':>8}"
    )
    for rate, size in RATES:
        asking = Asking("benchmark", size)
        took = {target.name: [] for target in targets}
        cpu = {target.name: [] for target in targets}
        for number in range(rounds + 1):  # the first one warms
            for target in targets:
                times, spent = await open_loop(target, rate, asking, seconds if number else 1)
                if number:
                    took[target.name] += times
                    cpu[target.name].append(spent)
        base = statistics.median(took[targets[0].name])
        for name, times in took.items():
            middle, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
            print(
                f"{name:32}{rate:8}{size:10}{middle:10.2f}{middle - base:10.2f}{high:10.2f}"
                f"{statistics.median(cpu[name]):10.2f}{_load():>8}",
                flush=True,
            )


async def streams(targets, minutes):
    """The table of slow streams; the first target is the mock itself, for a minute."""
    print(f"{'':32}{'asked':>8}{'open':>6}  {'answers':20}{'gap p50':>10}{'p95':>8}{'added':>8}{'load':>8}")
    base, asking = None, Asking("slowly", stream=True, most=4096)
    for target in targets:
        seen = await many_streams(target, A_MINUTE, minutes if target.pids else min(minutes, 1.0), asking)
        high = seen.gap(0.95)
        base = high if base is None else base
        answers = ", ".join(f"{count} x {status}" for status, count in seen.answers.items())
        print(f"{target.name:32}{seen.asked:8}{seen.most_open:6}  {answers:20}{seen.gap(0.5):10.1f}{high:8.1f}"
              f"{high - base:8.1f}{_load():>8}", flush=True)  # fmt: skip
        if target.pids:
            every = max(1, len(seen.memory) // 10)
            print(f"  MB resident: {', '.join(f'{size:.1f}' for size in seen.memory[::every])}; "
                  f"{target.cached():.1f} MB of answers are kept", flush=True)  # fmt: skip


async def memory(target, *, quick):
    """How it grows with requests, and with sessions that begin and end."""
    asking, steps, size = Asking("benchmark", 20_000), 5, 100 if quick else 1000
    await closed_loop(target, 16, size, asking)
    sizes = [target.memory()]
    for _ in range(steps):
        await closed_loop(target, 16, size, asking)
        sizes.append(target.memory())
    _growth(f"after each {size} requests of 20 kB", sizes, size * steps)
    sizes = [target.memory()]
    for step in range(steps):
        for number in range(size // steps):
            story = f"S{step}-{number}"
            await closed_loop(target.session(story), 1, 2, asking)
            target.end(story)
        sizes.append(target.memory())
    _growth(f"after each {size // steps} sessions of two requests", sizes, size)


def _growth(what, sizes, count):
    each = (sizes[-1] - sizes[0]) * 1024 / count
    print(f"{what}: {', '.join(f'{size:.1f}' for size in sizes)} MB resident; {each:.2f} kB each", flush=True)


def _load():
    return f"{os.getloadavg()[0]:.1f}"


def main():
    """Measures."""
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.scratch)))
        mock = stack.enter_context(aimock.serve(folder / "mock", FIXTURES, "--journal-max", "50"))
        direct = Target("the mock itself", mock.url, "none")

        def ours(name, profile, checkout=ROOT):
            place = folder / f"{profile}-{checkout.name}"
            return stack.enter_context(running(name, mock.url, profile, place, checkout))

        if options.minutes:
            asyncio.run(streams([direct, ours("rad-engineer, default", "default")], options.minutes))
            return
        if options.memory:
            asyncio.run(memory(ours("rad-engineer, everything", "everything"), quick=options.quick))
            return
        profile = "everything" if options.everything else "unrecorded"
        targets = [ours("rad-engineer", profile)]
        others = [ours(f"as in {options.against}", profile, options.against)] if options.against else []
        if options.litellm:
            proxy = litellm_proxy.running(options.litellm, mock.url, MODEL, folder / "litellm")
            url, token, pid = stack.enter_context(proxy)
            others.append(Target("litellm", url, token, (pid,)))
        if not options.latency:
            asyncio.run(throughput([*targets, *others], quick=options.quick))
        # LiteLLM is left out of the rest: at rates that it cannot keep up with, a median says nothing but that.
        all_on = [direct, ours("rad-engineer, everything", "everything")]
        if options.against:
            all_on.append(ours(f"everything, {options.against}", "everything", options.against))
        rounds, seconds = (1, 2) if options.quick else (3, 8)
        asyncio.run(latency(all_on, rounds=rounds, seconds=seconds))
        for target in (*targets, *others, *all_on[1:]):
            print(f"{target.name}: {target.memory():.0f} MB resident")


def _options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--litellm", default="", help="the `litellm` program of an environment that has litellm[proxy]"
    )
    parser.add_argument("--against", type=Path, help="the folder of another checkout, to compare with")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="only slow streams, 250 a minute, for so long"
    )
    parser.add_argument("--memory", action="store_true", help="only how memory grows")
    parser.add_argument("--latency", action="store_true", help="only fixed rates")
    parser.add_argument(
        "--everything", action="store_true", help="the closed loops with recording as well, which rivals lack"
    )
    parser.add_argument(
        "--scratch", type=Path, help="where its files lie, instead of the folder for temporary ones"
    )
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
