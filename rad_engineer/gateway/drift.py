"""How a request differs from the recorded one: the fields, named as one would write them, with the place in a text."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

_AROUND = 40
_SHOWN = 5
_ABSENT = object()


def differences(recorded: Any, asked: Any) -> list[str]:
    """One line a field that differs, the first few of them; empty where nothing does."""
    return list(islice(_walk(recorded, asked, ""), _SHOWN + 1))


def described(lines: list[str]) -> str:
    """The lines as the end of a sentence."""
    shown = lines[:_SHOWN]
    more = "; and more" if len(lines) > _SHOWN else ""
    return "; ".join(shown) + more


def _walk(recorded: Any, asked: Any, path: str) -> Iterator[str]:
    match recorded, asked:
        case dict(), dict():
            for name in sorted({*recorded, *asked}):
                inner = f"{path}.{name}" if path else name
                yield from _walk(recorded.get(name, _ABSENT), asked.get(name, _ABSENT), inner)
        case list(), list():
            for at, (one, other) in enumerate(zip(recorded, asked, strict=False)):
                yield from _walk(one, other, f"{path}[{at}]")
            if len(recorded) != len(asked):
                yield f"{path} has {len(asked)} entries, recorded were {len(recorded)}"
        case str(), str():
            if recorded != asked:
                yield _text(recorded, asked, path)
        case _:
            if type(recorded) is not type(asked) or recorded != asked:
                yield f"{path} is {_short(asked)}, recorded was {_short(recorded)}"


def _text(recorded: str, asked: str, path: str) -> str:
    at = next((at for at, (a, b) in enumerate(zip(recorded, asked, strict=False)) if a != b), None)
    if at is None:
        at = min(len(recorded), len(asked))
    return f"{path} differs from character {at} on: {_cut(asked, at)}, recorded was {_cut(recorded, at)}"


def _cut(text: str, at: int) -> str:
    start, stop = max(0, at - _AROUND // 2), at + _AROUND
    return repr(("…" if start else "") + text[start:stop] + ("…" if stop < len(text) else ""))


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = repr(value)
    return text if len(text) <= 2 * _AROUND else text[: 2 * _AROUND] + "…"
