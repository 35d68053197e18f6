"""The door of a deployment: owns the published port and hands every connection to the generation that serves now.

Runs in a container of its own, which upgrades leave alone. The file of targets names the generations, best first; it is
read for each connection, so that replacing the file is all there is to a swap. Where none can be reached, a client waits
for a while instead of being refused: a service that restarts loses no request.
"""

import argparse
import asyncio
import contextlib
import signal
import time
from pathlib import Path

VERSION = 1
"""What it is told and how: an upgrade replaces the door, with a moment of silence, only where this has changed."""
MOST = 512
"""Connections at once; more wait in the queue of the system."""
PATIENCE = 10.0
_PAUSE = 0.05
_CONNECT_SECONDS = 3.0
_CHUNK = 1 << 16

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(prog="rad-engineer door")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 -- of a container; what is published is loopback
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port, given.targets))


async def serve(host: str, port: int, targets: Path) -> None:
    """Listens, says where, and hands connections on until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    room = asyncio.Semaphore(MOST)

    async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with room:
                await _hand_on((reader, writer), targets)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(arrived, host, port, backlog=MOST)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 -- the log of a container
    await stop.wait()
    server.close()


async def _hand_on(client: Ends, targets: Path) -> None:
    served = await _reach(targets)
    if served is None:
        return
    asking = asyncio.create_task(_pump(client[0], served[1]))
    try:
        await _pump(served[0], client[1])  # once nothing more can come, the connection has no use
    finally:
        asking.cancel()
        await asyncio.wait([asking])
        served[1].close()
        with contextlib.suppress(OSError):
            await served[1].wait_closed()


async def _reach(targets: Path) -> Ends | None:
    """A connection to the first target that takes one; None when none did for a long while."""
    give_up = time.monotonic() + PATIENCE
    while True:
        for host, port in read_targets(targets):
            with contextlib.suppress(OSError, TimeoutError):
                return await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_SECONDS)
        if time.monotonic() >= give_up:
            return None
        await asyncio.sleep(_PAUSE)


def read_targets(file: Path) -> list[tuple[str, int]]:
    """Host and port of each line; a line that is none is passed over."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    found = [line.strip().rpartition(":") for line in lines]
    return [(host, int(port)) for host, colon, port in found if colon and port.isdigit()]


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Everything from one side to the other, and then its end; a side that has gone ends it too."""
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


if __name__ == "__main__":
    main()
