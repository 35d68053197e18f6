"""A gateway to measure, of this checkout or of another: says where it is, and ends with its standard input.

`python gateway_target.py CHECKOUT UPSTREAM PROFILE FOLDER` prints one line of JSON: base URL, token, process. Each line that
it is told is a story: one that is new gets a token, which is printed; one that is known has ended. `?` asks for its cache.
"""

import json
import os
import selectors
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_MUCH = 10**12
_LIMIT = {"requests": 10**6, "tokens": 10**10}
_ALL = {
    "run_micro_usd": _MUCH,
    "story_micro_usd": _MUCH,
    "run_tokens": _MUCH,
    "limits": dict.fromkeys(("global", "model", "user", "session"), _LIMIT),
}
PROFILES = {
    "default": {},  # as `run` starts it where nothing is configured
    "unrecorded": _ALL,  # budgets and limits beside what is always on, none of them ever reached
    "everything": {**_ALL, "record": "record"},
}


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
        return total / _TICKS

    def memory(self):
        """Resident memory in MB."""
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.pids)
        lines = (line.split() for line in status.splitlines() if line.startswith("VmRSS"))
        return sum(int(line[1]) for line in lines) / 1024


@dataclass(frozen=True)
class Gateway(Target):
    """A gateway of ours, which gives out sessions."""

    program: subprocess.Popen = None

    def session(self, story):
        """The same gateway for the client of another story."""
        return replace(self, token=json.loads(self._tell(story)))

    def end(self, story):
        """The story is over."""
        self._tell(story)

    def cached(self):
        """MB of answers that it holds in memory, as it said last."""
        return json.loads(self._tell("?")) / 1e6

    def _tell(self, story):
        self.program.stdin.write(f"{story}\n".encode())
        self.program.stdin.flush()
        return self.program.stdout.readline()


@contextmanager
def running(name, upstream, profile, folder, checkout=ROOT):
    """A gateway as a target."""
    argv = [sys.executable, __file__, str(checkout), upstream, profile, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        url, token, pids = json.loads(process.stdout.readline())
        try:
            yield Gateway(name, url, token, tuple(pids), process)
        finally:
            process.stdin.close()


def main(checkout, upstream, profile, folder):
    """Serves until nobody needs it any more."""
    sys.path.insert(0, checkout)
    from rad_engineer.gateway import door  # noqa: PLC0415 -- of that checkout
    from rad_engineer.gateway.configuration import GatewaySettings  # noqa: PLC0415
    from rad_engineer.gateway.credentials import Credentials, Secret  # noqa: PLC0415

    place = Path(folder)
    told = dict(PROFILES[profile])
    if "record" in told:
        told["record"] = str(place / told["record"])
    settings = GatewaySettings(upstream=upstream, cache_folder=str(place / "cache"), **told)
    opened = door.open(settings, place / "gateway", os.urandom(32), Credentials("key", "", Secret(b"k")))
    url, token = opened.session("story", 1)
    print(json.dumps([url, token, [opened.pid]]), flush=True)
    _listen(opened)
    opened.close()


def _listen(opened):
    """Reads events, as a run does, and opens and ends sessions as it is told, until standard input ends."""
    known = set()
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(opened.fileno(), selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if opened.fileno() in ready:
                opened.poll()
            if 0 in ready:
                story = os.read(0, 1000).decode().strip()
                if not story:
                    return
                print(json.dumps(_turn(opened, story, known)), flush=True)


def _turn(opened, story, known):
    if story == "?":
        return opened.state.get("cache", {}).get("memory_bytes", 0)
    if story in known:
        opened.end_session(story, 1)
        return None
    known.add(story)
    return opened.session(story, 1)[1]


if __name__ == "__main__":
    main(*sys.argv[1:])
