"""Where a request is marked for the prompt cache: at most four places, the last request's last one among them.

A cache entry is found at a mark, or at most 20 blocks before one. The place where the last request ended is always
marked again: that entry is there. Where a turn has added more than 20 blocks, marks in between take the place of
those at the project and at the tools, which the entry covers as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rad_engineer.agents.anthropic.transcript import Mark, last_markable, markable

MOST = 4
REACH = 20
MARKER: Mapping[str, Any] = {"type": "ephemeral"}
_PROJECT: Mark = (0, 0)


def places(messages: Sequence[Mapping[str, Any]], last: Mark | None) -> tuple[bool, tuple[Mark, ...]]:
    """Whether the system prompt is marked, and which blocks are. `last`: where the last request ended."""
    end = last_markable(messages)
    moving = _moving(messages, last, end)
    room = MOST - len(moving)
    project = (_PROJECT,) if room >= 2 and _PROJECT not in moving else ()
    return room >= 1, tuple(sorted({*project, *moving}))


def _moving(messages: Sequence[Mapping[str, Any]], last: Mark | None, end: Mark) -> list[Mark]:
    """The place where the last request ended, the end of this one, and what has to be between them."""
    if last is None or last >= end:
        return [end]
    blocks = [
        (number, index)
        for number, message in enumerate(messages)
        for index in range(len(message["content"]))
        if last < (number, index) <= end
    ]
    found = [last]
    while len(found) < MOST - 1 and len(blocks) > REACH:
        reached = next(
            (at for at in range(REACH - 1, -1, -1) if markable(_block(messages, blocks[at]))), REACH - 1
        )
        found.append(blocks[reached])
        blocks = blocks[reached + 1 :]
    return [*found, end]


def _block(messages: Sequence[Mapping[str, Any]], place: Mark) -> Mapping[str, Any]:
    block: Mapping[str, Any] = messages[place[0]]["content"][place[1]]
    return block


def marked(messages: Sequence[Mapping[str, Any]], wanted: Sequence[Mark]) -> list[dict[str, Any]]:
    """The messages with the marker on these blocks; nothing else is changed."""
    return [
        {
            **message,
            "content": [
                {**block, "cache_control": MARKER} if (number, index) in wanted else block
                for index, block in enumerate(message["content"])
            ],
        }
        for number, message in enumerate(messages)
    ]
