"""A process outside with secrets in all its places, for attempts to look into and to steer."""

import ctypes
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

PROGRAM = r"""
import ctypes, json, os, sys
told = json.loads(sys.stdin.readline())
os.chdir(told["folder"])
memory = ctypes.create_string_buffer(told["memory"].encode(), 64)
with open("unlinked", "w+") as file:
    os.unlink("unlinked")
    file.write(told["unlinked"])
    file.flush()
    libc = ctypes.CDLL("librt.so.1", use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0, 4096, 0o1666)
    ctypes.memmove(libc.shmat(segment, None, 0), told["segment"].encode(), len(told["segment"]))
    queue = libc.mq_open(told["name"].encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
    libc.mq_send(queue, told["queue"].encode(), len(told["queue"]), 0)
    print(json.dumps({"address": ctypes.addressof(memory), "file": file.fileno(), "segment": segment}), flush=True)
    sys.stdin.readline()
    libc.shmctl(segment, 0, None)
    libc.mq_unlink(told["name"].encode())
"""


class Victim:
    """It runs as whoever runs in the boxes does."""

    def __init__(
        self, folder: Path, secrets: dict[str, str], token: str, owner: tuple[int, int] | None
    ) -> None:
        as_them = {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
        self._started = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-S", "-c", PROGRAM, secrets["argument"]], cwd="/", text=True,
            env={"SECRET": secrets["token"], "TOKEN": token}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **as_them,
        )  # fmt: skip
        self.pid = self._started.pid
        self.queue = f"/rad-escapes-{self.pid}"
        told = {**secrets, "folder": str(folder), "name": self.queue}
        self._started.stdin.write(json.dumps(told) + "\n")
        self._started.stdin.flush()
        self.told = {"queue": self.queue, "pid": self.pid, **json.loads(self._started.stdout.readline())}

    def dead(self) -> bool:
        return self._started.poll() is not None

    def died(self) -> bool:
        """The same, once what was sent to it has arrived."""
        with suppress(subprocess.TimeoutExpired):
            self._started.wait(0.3)
        return self.dead()

    def stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def slow(self) -> bool:
        return os.getpriority(os.PRIO_PROCESS, self.pid) == 7

    def bound(self) -> bool:
        return os.sched_getaffinity(self.pid) != os.sched_getaffinity(0)

    def limited(self) -> bool:
        return "Max open files            77 " in Path(f"/proc/{self.pid}/limits").read_text()

    def first(self) -> bool:
        return Path(f"/proc/{self.pid}/oom_score_adj").read_text() == "321\n"

    def changed(self) -> bool:
        with Path(f"/proc/{self.pid}/mem").open("rb", 0) as memory:
            return os.pread(memory.fileno(), 7, self.told["address"]) == b"changed"

    def touched(self) -> bool:
        """Whether anybody has done anything to it."""
        looks = (self.stopped, self.slow, self.bound, self.limited, self.first, self.changed)
        try:
            return self.dead() or any(each() for each in looks)
        except OSError:  # it has gone meanwhile
            return True

    def close(self) -> None:
        if not self.dead():
            os.kill(self.pid, 18)  # it may have been stopped
            self._started.stdin.close()
            try:
                self._started.wait(5)
            except subprocess.TimeoutExpired:
                self._started.kill()
        self._started.wait()
        for stream in (self._started.stdin, self._started.stdout):
            stream.close()
        subprocess.run(["ipcrm", "-m", str(self.told["segment"])], capture_output=True, check=False)
        clear_queue(self.queue)


def clear_queue(name: str) -> None:
    ctypes.CDLL("librt.so.1").mq_unlink(name.encode())
