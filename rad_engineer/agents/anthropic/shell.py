"""The stateful shell of the tool `bash`: one bash per attempt, in a session of its own, that keeps folder and variables."""

import os
import re
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rad_engineer import process
from rad_engineer.agents.anthropic.seam import Stopped, ToolFailed
from rad_engineer.process.output import Output
from rad_engineer.sandbox import Box, Lasting

Ending = Literal["done", "exited", "timeout", "flooded"]

_CHUNK = 1 << 16
_FLOOD = 64 * 1024 * 1024
_LONGEST_MARK = 64
_SECRET_ENDINGS = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_ACCESS_KEY")
_PRIVATE = ("RAD_", "ANTHROPIC_", "CLAUDE_")
# Commands come on stdin, ended by a NUL; what they print is followed by a line of ours with their exit code. Where a
# command redirects the shell's own output, that holds until its end: else nobody would hear of it, or of later ones.
_DRIVER = (
    'exec 19>&1; while IFS= read -r -d "" rad_command; do eval "$rad_command" </dev/null >&19 2>&19 19>&-; '
    'printf "\\n%s%d\\n" {mark} "$?" >&19; done'
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; all endings but `done` have taken the shell with them."""

    text: str
    code: int | None
    ending: Ending


def shell_environment(env: Mapping[str, str], root: str) -> dict[str, str]:
    """What commands of an agent see: the user's variables, without ours and without credentials."""
    kept = {
        name: value
        for name, value in env.items()
        if not name.upper().endswith(_SECRET_ENDINGS) and not name.startswith(_PRIVATE)
    }
    mark = {process.MARK: env[process.MARK]} if process.MARK in env else {}
    plain = {"PROJECT_ROOT": root, "PAGER": "cat", "GIT_PAGER": "cat", "TERM": "dumb"}
    return {**kept, **mark, **plain}


class Shell:
    """Starts with the first command; after anything but a plain end the next command gets a new one."""

    def __init__(
        self, box: Box, slot: Path, env: Mapping[str, str], *, cancel: int | None, until: float | None
    ) -> None:
        self._box = box
        self._slot = slot
        self._env = shell_environment(env, box.inside(slot))
        self._cancel = cancel
        self._until = until
        self._mark = os.urandom(12).hex().encode()
        self._child: Lasting | None = None
        self._ask = self._answers = -1
        self._rest = b""
        self._closed = False  # nobody holds the other end of the answers any more

    def run(self, command: str, seconds: float) -> Ran:
        """Runs a command to its end; raises Stopped when the work is to end, ToolFailed where there is no bash."""
        if "\0" in command:
            raise ToolFailed("`command` must not contain NUL")
        if self._child is None:
            self._start()
        output = Output(None, 0)
        try:
            self._send(command.encode("utf-8", "replace") + b"\0")
            code, ending = self._collect(output, time.monotonic() + seconds)
        except Stopped:
            self.close()
            raise
        if ending != "done":
            self.close()
        return Ran(process.plain(output.text()), code, ending)

    def close(self) -> None:
        """Ends the shell and everything that was started in it."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        os.close(self._ask)
        os.close(self._answers)
        self._rest = b""

    def _start(self) -> None:
        questions, answers = os.pipe(), os.pipe()
        driver = _DRIVER.format(mark=self._mark.decode())
        argv = ["bash", "--noprofile", "--norc", "-c", driver, "bash"]
        try:
            self._child = self._box.spawn(argv, self._slot, self._env, (questions[0], answers[1], answers[1]))
        except OSError as error:
            os.close(questions[1])
            os.close(answers[0])
            raise ToolFailed(f"bash cannot be started: {error.strerror}") from None
        finally:
            os.close(questions[0])
            os.close(answers[1])
        self._ask, self._answers = questions[1], answers[0]
        os.set_blocking(self._answers, False)
        self._closed = False

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        with suppress(BrokenPipeError):  # it has been killed since: that is seen where its answer is read
            while view:
                view = view[os.write(self._ask, view) :]

    def _collect(self, output: Output, limit: float) -> tuple[int | None, Ending]:
        """Reads until the line with the exit code comes, the shell ends, or somebody has had enough."""
        child = self._child
        if child is None:
            raise AssertionError("the shell was just started")
        pidfd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None
        poller = _poller(self._answers, pidfd, self._cancel)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poller.poll(self._pause(limit, pidfd))}
                if self._cancel in ready:
                    raise Stopped("cancelled")
                code = self._read(output)
                if code is not None:
                    return code, "done"
                if self._closed:
                    with suppress(KeyError):
                        poller.unregister(self._answers)  # it would be ready for ever
                if child.poll() is not None:
                    self._read(output)
                    output.add(self._rest)
                    return _as_a_shell_has_it(child.returncode), "exited"
                ending = self._too_much(output, limit)
                if ending is not None:
                    return None, ending
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _pause(self, limit: float, pidfd: int | None) -> float:
        at = limit if self._until is None else min(limit, self._until)
        left = max(0.0, at - time.monotonic()) * 1000
        return left if pidfd is not None else min(left, 20.0)

    def _too_much(self, output: Output, limit: float) -> Ending | None:
        now = time.monotonic()
        if self._until is not None and now >= self._until:
            raise Stopped("timeout")
        if output.size > _FLOOD:
            return "flooded"
        if now >= limit:
            output.add(self._rest)
            return "timeout"
        return None

    def _read(self, output: Output) -> int | None:
        """Takes what is there; the exit code once its line has come. What comes behind it belongs to the next command."""
        while True:
            found = re.search(rb"\n" + self._mark + rb"(\d+)\n", self._rest)
            if found is not None:
                output.add(self._rest[: found.start()])
                self._rest = self._rest[found.end() :]
                return int(found[1])
            if len(self._rest) > _LONGEST_MARK:
                output.add(self._rest[:-_LONGEST_MARK])
                self._rest = self._rest[-_LONGEST_MARK:]
            try:
                data = os.read(self._answers, _CHUNK)
            except BlockingIOError:
                return None
            if not data:
                self._closed = True
                return None
            self._rest += data
            if output.size > _FLOOD:
                return None


def _poller(*descriptors: int | None) -> select.poll:
    found = select.poll()
    for descriptor in descriptors:
        if descriptor is not None:
            found.register(descriptor, select.POLLIN)
    return found


def _as_a_shell_has_it(code: int | None) -> int | None:
    return 128 - code if code is not None and code < 0 else code
