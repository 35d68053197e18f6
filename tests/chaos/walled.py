"""The run that is killed, with a sandbox around every agent and gate: what they say comes out by a connection."""

import os
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import victims
from moments import Moment
from rounds import Round
from twelve import SCRIPT, SETTINGS, Twelve, twelve

from rad_engineer.process.tree import children, descendants
from tests.conftest import Project

if TYPE_CHECKING:
    import subprocess

VICTIMS = ("coordinator", "zygote", "worker", "agent", "gate", "sandbox", "everything")
FIRST = 0.03  # s
BOXES = 20  # so many are there in a run, and more
_LOOK_EVERY = 0.001
_PATIENCE = 60.0
# The connection lives as long as any process that has inherited it: two of one story are two agents at one time.
SAY = """
exec 8<>/dev/tcp/127.0.0.1/{port} || exit 9
say() {{ echo "$1 $RAD_STORY_ID $RAD_ATTEMPT $$ $EPOCHREALTIME" >&8; }}
"""


class Listener:
    """Writes down what agents say, and who is still there when another one of the same story begins."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._server.getsockname()[1]
        self._stories: dict[socket.socket, str] = {}
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._wake.close()
        self._thread.join()
        for each in (self._server, self._woken, *self._stories):
            each.close()

    def _listen(self) -> None:
        while self._woken not in (
            ready := select.select([self._woken, self._server, *self._stories], [], [])[0]
        ):
            for each in ready:
                if each is self._server:
                    self._stories[self._server.accept()[0]] = ""
                elif each in self._stories:
                    self._hear(each)

    def _hear(self, connection: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = connection.recv(65536)
        if not data:
            del self._stories[connection]
            connection.close()
            return
        lines = data.decode().splitlines()
        story = lines[0].split()[1]
        if not self._stories[connection]:
            lines = [lines[0].replace("start", "overlap", 1)] * self._is_there(story) + lines
            self._stories[connection] = story
        with self._told.open("a") as told:
            told.write("".join(f"{line}\n" for line in lines))

    def _is_there(self, story: str) -> bool:
        return any(other == story and not _has_ended(each) for each, other in self._stories.items())


def _has_ended(connection: socket.socket) -> bool:
    """Whether nothing more comes, whatever has not been read yet."""
    poller = select.poll()
    poller.register(connection, select.POLLRDHUP)
    return bool(poller.poll(0))


class WalledProject(Project):
    """Its processes are also those in its boxes, which have another environment."""

    def processes(self) -> list[str]:
        return super().processes() + [victims._command(pid) for pid in self.inside()]

    def inside(self) -> list[int]:
        """Whoever sees a file system in which something of this project is mounted."""
        mine, found = str(self.folder.parent).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if mine in (entry / "mountinfo").read_bytes():
                        found.append(int(entry.name))
        return found


def walled(folder: Path) -> tuple[Twelve, Listener]:
    """The twelve in boxes. They may use the network of this machine, for that is how they are heard."""
    run = twelve(WalledProject(folder))
    listener = Listener(run.box / "said")
    _, _, work = SCRIPT.partition("say start\n")
    script = run.box / "agent.sh"
    script.write_text((SAY + "say start\n" + work).format(box=run.box, port=listener.port))
    run.project.write({"rad-engineer.toml": SETTINGS + '[grants]\nnetwork = ["host"]\n'})
    run.project.commit("grants")
    run.project.env["RAD_SANDBOX"] = "bubblewrap"
    return run, listener


def boxes(coordinator: int) -> list[int]:
    """The outermost processes of all boxes that are there."""
    return [pid for pid in descendants([coordinator]) if _name(pid) == "bwrap"]


def mains(coordinator: int) -> list[int]:
    """What was started in them."""
    return [pid for box in boxes(coordinator) for init in children(box) for pid in children(init)]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class WalledRound(Round):
    """Kills at the usual moments, and within the first milliseconds of a box."""

    def _kill_at(self, moment: Moment, started: "subprocess.Popen[str]") -> None:
        if self.victim != "sandbox" and self.chance.random() < 0.5:
            super()._kill_at(moment, started)
            return
        number, delay = self.chance.randint(1, BOXES), self.chance.uniform(0, FIRST)
        self.done.append(f"{delay * 1000:.1f} ms after box no {number}")
        if not self._waited(number, started):
            self.done.append("had ended before")
            return
        time.sleep(delay)
        self._kill_now(started)

    def _waited(self, number: int, started: "subprocess.Popen[str]") -> bool:
        seen: set[int] = set()
        until = time.monotonic() + _PATIENCE
        while len(seen) < number and time.monotonic() < until:
            if started.poll() is not None:
                return False
            seen.update(boxes(started.pid))
            time.sleep(_LOOK_EVERY)
        return started.poll() is None

    def _kill(self, coordinator: int) -> int:
        if self.victim == "sandbox":
            found = [pid for box in boxes(coordinator) for pid in (box, *children(box))]
            return victims.end(victims._one(found, self.chance))
        if self.victim in ("agent", "gate"):
            return self._kill_inside(coordinator)
        return super()._kill(coordinator)

    def _kill_inside(self, coordinator: int) -> int:
        found = []
        for pid in mains(coordinator):
            agent = "agent.sh" in victims._command(pid)
            if agent == (self.victim == "agent") and victims.story_of(pid) not in self.spared:
                found.append(pid)
        chosen = victims._one(found, self.chance)
        self.spared.update(victims.story_of(pid) for pid in chosen if self.victim == "agent")
        return victims.end(chosen)
