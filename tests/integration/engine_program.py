"""A small coordinator and what its workers do, for tests that talk to it, and kill it and them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rad_engineer import process
from rad_engineer.engines.channel import Channel, ChannelClosed
from rad_engineer.engines.local import LocalEngine, start_zygote


def serve(channel: Channel) -> None:
    """A worker: does what the job's only key says."""
    while True:
        try:
            job = channel.receive()
            ((kind, content),) = job.items()
            if kind in _JOBS:
                channel.send({"done": _JOBS[kind](channel, content)})
        except ChannelClosed:
            return


def _run(channel: Channel, command: str) -> dict:
    ended = process.run(
        ["bash", "-c", command],
        cwd=Path("/"),
        env=dict(os.environ),
        cancel=channel.fileno(),
        limits=process.Limits(seconds=120),
        on_line=lambda line: channel.send({"event": {"line": line}}),
    )
    return {"reason": ended.reason, "code": ended.code, "output": ended.output}


def _run_and_note(channel: Channel, content: dict) -> dict:
    """Like a story: when the agent is over, that is written down, whoever is still there."""
    ended = process.run(
        ["bash", "-c", content["command"]], cwd=Path("/"), env=dict(os.environ), cancel=channel.fileno()
    )
    channel.send({"event": {"line": "over"}})
    while not channel.interrupted():  # the coordinator goes before anything has been written
        time.sleep(0.001)
    Path(content["note"]).write_text(ended.output)
    return {}


def _tell(channel: Channel, count: int) -> dict:
    for number in range(count):
        channel.send({"event": {"number": number}})
    return {"count": count}


def _die(_channel: Channel, number: int) -> dict:
    os.kill(os.getpid(), number)
    return {}


def _about(channel: Channel, _content: object) -> dict:
    signals = {name: str(signal.getsignal(getattr(signal, name))) for name in ("SIGCHLD", "SIGPIPE")}
    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "mark": os.environ.get(process.MARK),
        "names": sorted(os.environ),
        "stdin": os.read(0, 10).decode(),
        "descriptors": _descriptors(),
        "own": sorted({0, 1, 2, channel.fileno()}),
        "signals": signals,
        "heavy": "structlog" in sys.modules,
    }


def _descriptors() -> list[int]:
    """Without the one that lists them."""
    return sorted(int(link.name) for link in list(Path("/proc/self/fd").iterdir()) if link.is_symlink())


def _hang(channel: Channel, _content: object) -> dict:
    """Looks at nothing any more, while something it has started runs."""
    with subprocess.Popen(["setsid", "sleep", "300"]):
        channel.send({"event": {"line": "up"}})
        time.sleep(300)
    return {}


def _leave(channel: Channel, when: str) -> dict:
    """Finishes its job, and dies."""
    channel.send({"event": {"pid": os.getpid()}})
    while not Path(when).exists():
        time.sleep(0.001)
    channel.send({"event": {"text": "x" * 150_000}})
    channel.send({"done": {"finished": True}})
    return _die(channel, signal.SIGKILL)


def _say(_channel: Channel, text: str) -> dict:
    return {"said": text}


def _repeat(_channel: Channel, text: str) -> dict:
    return {"repeated": text}


def _bug(_channel: Channel, text: str) -> dict:
    raise ZeroDivisionError(text)


_JOBS = {
    "run": _run,
    "note": _run_and_note,
    "tell": _tell,
    "die": _die,
    "hang": _hang,
    "leave": _leave,
    "about": _about,
    "say": _say,
    "repeat": _repeat,
    "bug": _bug,
}


def main() -> None:
    """The coordinator: commands come as lines of JSON on stdin, answers and messages go to stdout."""
    size, mark, entry = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    zygote = start_zygote(entry, {"PATH": os.environ["PATH"]})
    engine = LocalEngine(zygote, size, {process.MARK: mark})
    _answer(zygote=zygote.pid)
    pending = b""
    while True:
        for message in engine.poll(None, (0,)):
            data = dict(message.data)
            if "repeated" in data:  # too long for a pipe that nobody empties meanwhile
                data["repeated"] = hashlib.sha256(json.dumps(data["repeated"]).encode()).hexdigest()
            _answer(kind=message.kind, job=message.job, data=data)
        if _readable():
            data = os.read(0, 1 << 20)
            if not data:
                engine.close()
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                _obey(engine, json.loads(line))


def _readable() -> bool:
    import select  # noqa: PLC0415

    return bool(select.select([0], [], [], 0)[0])


def _obey(engine: LocalEngine, command: dict) -> None:
    if "repeat" in command.get("submit", ()):
        _answer(submitted=engine.submit({"repeat": command["submit"]["repeat"] * 500_000}))
    elif "submit" in command:
        _answer(submitted=engine.submit(command["submit"]))
    elif "send" in command:
        engine.send(command["send"], command["what"])
    elif "kill" in command:
        engine.kill(command["kill"])
    elif "close" in command:
        engine.close(command["close"])
        _answer(closed=True, children=process.has_children())
    elif "state" in command:
        _answer(free=engine.free, busy=sorted(engine.busy))


def _answer(**content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
