"""The route table: every operation with what it is asked, what it answers, and how it can fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rad_engineer.server import models
from rad_engineer.server.answers import JSON


class Response(NamedTuple):
    """What an operation answers; `kind` is its content type."""

    body: bytes
    status: int = 200
    kind: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `answer` is called with the path's parts and what was asked, in a thread unless it is `quick`.

    `open` needs no token, `limited` counts for the limit of an address, `reads` may meet a damaged run directory,
    `unready` answers 503 in the form of its other answers. `links`: operations that take a part of an answer, with
    the name that it has there and its place in the answer.
    """

    path: str
    name: str
    doc: str
    answer: Callable[[Mapping[str, str], Any], Response]
    returns: type[models.Answer] | None
    asked: type[models.Asked] = models.Asked
    open: bool = False
    limited: bool = True
    reads: bool = False
    unready: bool = False
    quick: bool = False
    kind: str = JSON
    links: tuple[tuple[str, str, str], ...] = ()
