"""What a run has spent, on disk: a line before a call, marks while it runs, a line behind it.

Every line ends in its checksum and is only ever appended; it is written at once, so it survives the death of any
process, and synced a moment later by a thread, so nobody waits for a disk. Whoever looks on reads it without a lock.

A call that ended with the gateway is settled when the file is opened again: at its last mark, which is at most
MARK_SECONDS old, and SLACK_TOKENS of answer on top; never beyond what was reserved for it. So what is written is never
less than what the upstream asks for a call at up to SLACK_TOKENS an interval, and not more than that beside it.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rad_engineer.core.budget import PICO, Amount
from rad_engineer.durable import (
    StateDamaged,
    cannot_write,
    dump,
    seal,
    sync_folder,
    unseal,
    write_all,
    writing,
)
from rad_engineer.errors import CannotWrite, Locked, RadError
from rad_engineer.gateway.exchange import Usage

MARK_SECONDS = 1.0
SLACK_TOKENS = 700
_SYNC_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Open:
    """A call of which only the beginning is known: `input` is what it costs without an answer, at most."""

    story: str
    attempt: int
    held: Amount
    input: Amount
    pico_usd: int
    mark: Amount | None = None

    def orphan(self) -> Amount:
        """What it is settled at when nobody can say any more what it has cost."""
        slack = Amount(-(-SLACK_TOKENS * self.pico_usd // PICO), SLACK_TOKENS)
        seen = (self.mark or self.input) + slack
        return Amount(min(seen.micro_usd, self.held.micro_usd), min(seen.tokens, self.held.tokens))


@dataclass(slots=True)
class Spent:
    """What one story has spent; `open` is what its calls under way would be settled at if they ended now."""

    micro_usd: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    orphan_tokens: int = 0
    uncertain_micro_usd: int = 0
    uncertain_calls: int = 0
    open: Amount = field(default_factory=Amount)

    @property
    def tokens(self) -> int:
        """All tokens, of whatever kind."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.orphan_tokens
        )

    @property
    def amount(self) -> Amount:
        """What has been settled."""
        return Amount(self.micro_usd, self.tokens)


def read(path: Path) -> dict[str, Spent]:
    """What each story has spent, the calls under way beside it; nothing where there is no file."""
    found = _Fold(path)
    for call in found.open.values():
        story = found.stories[call.story]
        story.open += call.orphan()
    return found.stories


def settle_orphans(path: Path) -> None:
    """Settles what a gateway that is no more has left; does nothing where there is none, or one is at work."""
    if path.exists():
        with suppress(Locked):
            Spend(path).close()


class Spend:
    """The file of a run that is going on. Only one process has it open."""

    def __init__(self, path: Path) -> None:
        """Opens it and settles what an earlier gateway has left; raises Locked where one has it open still."""
        self.path = path
        self._broken: CannotWrite | None = None
        with writing(path):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                found = _begin(self._handle, path)
            except (RadError, OSError):
                os.close(self._handle)
                raise
        self.stories = found.stories
        self.last = found.last
        self._syncing = _Syncing(self._handle)
        self._marked: dict[int, Amount] = {}
        for number, call in found.open.items():
            self.orphaned(number, call)

    def spent(self) -> dict[str, Amount]:
        """What each story has spent."""
        return {name: story.amount for name, story in self.stories.items()}

    def reserved(self, number: int, call: Open) -> None:
        """A call is about to be made."""
        self.last = max(self.last, number)
        self.stories.setdefault(call.story, Spent())
        self._write({"kind": "reserved", "call": number, "story": call.story, "attempt": call.attempt, "held": _pair(call.held),
                     "input": _pair(call.input), "pico_usd": call.pico_usd})  # fmt: skip

    def marks(self, seen: Mapping[int, Amount]) -> None:
        """What calls under way have cost so far, at most."""
        news = {number: amount for number, amount in seen.items() if self._marked.get(number) != amount}
        if news:
            self._marked.update(news)
            self._write(
                {"kind": "marks", "calls": {str(number): _pair(each) for number, each in news.items()}}
            )

    def settled(
        self, number: int, story: str, micro_usd: int, usage: Usage, *, uncertain: bool = False
    ) -> None:
        """A call has ended."""
        self._marked.pop(number, None)
        line: dict[str, Any] = {"kind": "settled", "call": number, "story": story, "micro_usd": micro_usd,
                                "usage": _usage(usage), "model": usage.model}  # fmt: skip
        if uncertain:
            line["uncertain"] = True
        self._write(line)
        _book(self.stories.setdefault(story, Spent()), line)

    def released(self, number: int) -> None:
        """A call was not made, or cost nothing."""
        self._marked.pop(number, None)
        self._write({"kind": "released", "call": number})

    def close(self) -> None:
        """Syncs what is written, and lets another open it."""
        self._syncing.end()
        try:
            with writing(self.path):
                os.fdatasync(self._handle)
        finally:
            os.close(self._handle)

    def orphaned(self, number: int, call: Open) -> Amount:
        """A call has ended of which nobody will say what it has cost."""
        self._marked.pop(number, None)
        cost = call.orphan()
        line = {"kind": "settled", "call": number, "story": call.story, "micro_usd": cost.micro_usd,
                "usage": {"orphan": cost.tokens}, "uncertain": True}  # fmt: skip
        self._write(line)
        _book(self.stories.setdefault(call.story, Spent()), line)
        return cost

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._broken is None and self._syncing.failed is not None:
            self._broken = cannot_write(self.path, self._syncing.failed)
        if self._broken is not None:
            raise self._broken
        try:
            write_all(self._handle, seal(dump(line)) + b"\n")
        except OSError as error:
            self._broken = cannot_write(self.path, error)
            raise self._broken from error
        self._syncing.wanted()


class _Syncing:
    """A thread that syncs a file soon after it was written: many lines at once when they come quickly."""

    def __init__(self, handle: int) -> None:
        self.failed: OSError | None = None
        self._handle = handle
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync-spend", daemon=True)
        self._thread.start()

    def wanted(self) -> None:
        self._wanted.set()

    def end(self) -> None:
        self._ended.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self.failed is None and not self._ended.is_set():
            self._wanted.wait()
            self._ended.wait(
                _SYNC_SECONDS
            )  # for more lines, and for the call that has just been written down
            self._wanted.clear()
            try:
                os.fdatasync(self._handle)
            except OSError as error:
                self.failed = error


class _Fold:
    """What the lines of a file come to; `size` ends with the last whole one."""

    def __init__(self, path: Path) -> None:
        self.stories: dict[str, Spent] = {}
        self.open: dict[int, Open] = {}
        self.last = 0
        self.size = 0
        for line, self.size in _lines(path):
            self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        kind = line["kind"]
        if kind == "reserved":
            self.last = max(self.last, line["call"])
            self.stories.setdefault(line["story"], Spent())
            self.open[line["call"]] = Open(line["story"], line["attempt"], Amount(*line["held"]),
                                           Amount(*line["input"]), line["pico_usd"])  # fmt: skip
        elif kind == "marks":
            for number, pair in line["calls"].items():
                call = self.open.get(int(number))
                if call is not None:
                    self.open[int(number)] = replace(call, mark=Amount(*pair))
        elif kind in ("settled", "released"):
            self.open.pop(line["call"], None)
            if kind == "settled":
                _book(self.stories.setdefault(line["story"], Spent()), line)


def _book(story: Spent, line: Mapping[str, Any]) -> None:
    usage = line["usage"]
    story.calls += 1
    story.micro_usd += line["micro_usd"]
    story.input_tokens += usage.get("input", 0)
    story.output_tokens += usage.get("output", 0)
    story.cache_read_tokens += usage.get("cache_read", 0)
    story.cache_write_tokens += usage.get("cache_write_5m", 0) + usage.get("cache_write_1h", 0)
    story.orphan_tokens += usage.get("orphan", 0)
    if line.get("uncertain"):
        story.uncertain_calls += 1
        story.uncertain_micro_usd += line["micro_usd"]


def _usage(usage: Usage) -> dict[str, Any]:
    """The kinds of tokens that were used, by name."""
    found: dict[str, Any] = {
        each.name.removesuffix("_tokens"): getattr(usage, each.name)
        for each in fields(usage)
        if each.name.endswith("_tokens") and getattr(usage, each.name)
    }
    return {**found, "tools": dict(usage.server_tools)} if usage.server_tools else found


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Every line with the offset behind it; a torn one at the end is none, one before good ones raises."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        plain = unseal(data[start:end]) if end >= 0 else None
        if plain is None:
            if any(unseal(line) for line in data[end + 1 :].split(b"\n") if end >= 0):
                raise StateDamaged(
                    f"{path} is damaged at byte {start}: a line contradicts its checksum, and good lines follow it",
                    hint="what it says was spent is not known any more; start anew with `run --fresh`",
                )
            return
        yield json.loads(plain), end + 1
        start = end + 1


def _begin(handle: int, path: Path) -> "_Fold":
    """Locks the file, and cuts off a torn last line, which never happened."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked(f"another gateway writes {path}", hint="wait for its end, or stop it") from None
    found = _Fold(path)
    if os.fstat(handle).st_size != found.size:
        os.ftruncate(handle, found.size)
    sync_folder(path.parent)
    return found


def _pair(amount: Amount) -> list[int]:
    return [amount.micro_usd, amount.tokens]
