"""Asks a service over HTTP whether it is there and ready."""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 4.0
_PAUSE = 0.25
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, 0 where there was none, and why."""

    status: int
    detail: str

    @property
    def ok(self) -> bool:
        """Whether the service says that all is well."""
        return self.status == http.client.OK


def ask(port: int, path: str) -> Answer:
    """One request to 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, str(error) or type(error).__name__)
    finally:
        connection.close()


def wait(port: Callable[[], int | None], paths: tuple[str, ...], *, seconds: float, in_a_row: int = 1,
         progress: Callable[[float, str], None] = lambda _seconds, _why: None) -> str:  # fmt: skip
    """Asks until all paths are well several times in a row: "" then, else why not, when the time is up.

    `port` gives None once there is nothing left to wait for.
    """
    begun = time.monotonic()
    well, why = 0, "it has not answered"
    while well < in_a_row:
        number = port()
        if number is None:
            return "its container has ended"
        answers = [(path, ask(number, path)) for path in paths]
        bad = [f"{path} says {one.status or one.detail}" for path, one in answers if not one.ok]
        well = 0 if bad else well + 1
        if bad:
            why = ", ".join(bad)
            passed = time.monotonic() - begun
            if passed > seconds:
                return f"{why} after {passed:.0f} s"
            progress(passed, why)
        time.sleep(_PAUSE)
    return ""
