"""What stories have taught: said once each, with who said it, and no more of it than a prompt can hold."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST = 60
_WORD = re.compile(r"\w+")
_ALIKE = 0.8  # of all words of two learnings, that they share
_SHOWN = 4  # stories


@dataclass(slots=True)
class _Learning:
    text: str
    words: frozenset[str]
    stories: list[str]
    place: int


class Learnings:
    """A digest: near repetitions count for what was there, and what only one story said longest ago goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: list[_Learning] = []

    def add(self, story: str, lines: Iterable[str], place: int = 0) -> None:
        """Takes what a story has taught; `place`: of the story in its plan."""
        for line in lines:
            text = " ".join(line.split()).lstrip("-* ")
            words = frozenset(_WORD.findall(text.casefold()))
            if not words:
                continue
            known = next((one for one in self._kept if _alike(one.words, words)), None)
            if known is None:
                self._kept.append(_Learning(text, words, [story], place))
            elif story not in known.stories:
                known.stories.append(story)
            self._shorten()

    def lines(self) -> list[str]:
        """A line for each, as stories stand in the plan, not as they landed: a prompt does not depend on who was faster.

        What several stories have said is at the end: prompts are cut at the front.
        """
        ordered = sorted(self._kept, key=lambda one: (len(one.stories) > 1, one.place))
        return [f"({_named(one.stories)}) {one.text}" for one in ordered]

    def _shorten(self) -> None:
        if len(self._kept) > self._most:
            oldest = next((one for one in self._kept if len(one.stories) == 1), self._kept[0])
            self._kept.remove(oldest)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= _ALIKE * len(one | other)


def _named(stories: list[str]) -> str:
    more = len(stories) - _SHOWN
    return ", ".join(stories[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
