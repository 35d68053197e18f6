"""Gateways for tests: real processes behind a door, and clients for them."""

import select
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from rad_engineer.gateway import door
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.credentials import Credentials, Secret

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-planted-0123456789"
Prices = Mapping[str, Mapping[str, float]]


@dataclass
class Opened:
    """A door with a thread that does what a coordinator's loop does: hears of it."""

    door: door.Door
    client: httpx2.Client
    events: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, text: str, *, story: str = "s1", attempt: int = 1, path: str = "/v1/messages",
            headers: Mapping[str, str] | None = None, **more: Any) -> httpx2.Response:  # fmt: skip
        """One request, and its whole answer."""
        _, token = self.door.session(story, attempt)
        data = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}
        given = {"authorization": f"Bearer {token}", "anthropic-version": "2026-10-21", **(headers or {})}
        return self.client.post(path, json=data, headers=given)

    def hear(self) -> list[dict[str, Any]]:
        """Everything that has happened so far."""
        with self.lock:
            self.events += self.door.poll()
        return list(self.events)

    def wait_for(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits for an event, without end: the test has a time limit."""
        known = 0
        while True:
            for event in self.hear()[known:]:
                known += 1
                if found(event):
                    return event
            door_waits(self.door)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of this name."""
        return [event for event in self.hear() if event["event"] == name]


def door_waits(opened: door.Door) -> None:
    """Returns when there may be something to hear."""
    poller = select.poll()
    poller.register(opened.fileno(), select.POLLIN)
    poller.poll(50)


@contextmanager
def opened(folder: Path, upstream: str, *, key: str = KEY, **settings: Any) -> Iterator[Opened]:
    """A gateway before that upstream."""
    told = GatewaySettings(upstream=upstream, **settings)
    found = door.open(told, folder, b"s" * 32, Credentials("key", "a test", Secret(key.encode())))
    try:
        with httpx2.Client(base_url=found.base_url, trust_env=False, timeout=60) as client:
            yield Opened(found, client)
    finally:
        found.close()
