"""What a story costs, part by part: seconds are added up where the work is done, and travel with the answers.

Each process adds to an account of its own. A part inside another one counts for itself alone. While nobody asked,
a part is one comparison.
"""

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

OURS = (
    "schedule", "journal", "slot move", "walk", "stage", "commit", "policy", "checkpoint", "gate copy", "box", "landing", "rest",
)  # fmt: skip
THEIRS = ("setup", "agent", "gates")
"""Parts that a project or its agent answers for."""

_SAME: AbstractContextManager[None] = nullcontext()


class Account:
    """Seconds by part, of what this process is doing."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.inside = 0.0  # spent on parts within the one that is going on

    def empty(self) -> dict[str, float]:
        """What has come together since the last time."""
        found, self.seconds = self.seconds, defaultdict(float)
        return found


_account: Account | None = None


def part(name: str) -> AbstractContextManager[None]:
    """Adds what the block takes to a part."""
    return _SAME if _account is None else _Part(_account, name)


class _Part(AbstractContextManager[None]):
    __slots__ = ("_account", "_began", "_name", "_outside")

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self._name = name

    def __enter__(self) -> None:
        self._outside, self._account.inside = self._account.inside, 0.0
        self._began = time.perf_counter()

    def __exit__(self, *_exception: object) -> None:
        elapsed = time.perf_counter() - self._began
        self._account.seconds[self._name] += elapsed - self._account.inside
        self._account.inside = self._outside + elapsed


def open_account(*, wanted: bool) -> Account | None:
    """Begins to add up in this process, or stops."""
    global _account  # noqa: PLW0603 - an account of the process: it does one thing at a time
    _account = Account() if wanted else None
    return _account


class Timings:
    """What each story has cost so far, as the coordinator hears of it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._stories: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, stories: Collection[str], seconds: Mapping[str, float]) -> None:
        """Shares seconds out evenly among the stories they were spent for."""
        for story in stories:
            mine = self._stories[story]
            for name, value in seconds.items():
                mine[name] += value / len(stories)

    def share(self, stories: Iterable[str | None]) -> None:
        """Shares what the coordinator has spent among these stories; with none, it waits for the next time."""
        named = {story for story in stories if story is not None}
        if named:
            self.add(named, self.account.empty())

    def to_json(self) -> dict[str, Any]:
        """The public form: a row for each part that cost something, ours before theirs."""
        rows = [_row(name, self._of(name), ours=name in OURS) for name in (*OURS, *THEIRS)]
        ours = [sum(parts[name] for name in OURS) for parts in self._stories.values()]
        all_ours = _row("all of ours", ours, ours=True)
        kept = [row for row in rows if row["total_ms"]]
        return {"stories": len(self._stories), "parts": kept, "all_of_ours": all_ours}

    def _of(self, name: str) -> list[float]:
        return [parts[name] for parts in self._stories.values()]


def _row(name: str, seconds: list[float], *, ours: bool) -> dict[str, Any]:
    ordered = sorted(seconds) or [0.0]
    middle, high = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    figures = {"median_ms": middle, "p95_ms": high, "total_ms": sum(ordered)}
    return {"part": name, "ours": ours, **{key: round(value * 1000, 3) for key, value in figures.items()}}
