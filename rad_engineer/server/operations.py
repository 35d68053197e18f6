"""The route table: every operation with what it is asked, what it answers, and how it can fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from rad_engineer.server import models
from rad_engineer.server.answers import JSON


class Response(NamedTuple):
    """What an operation answers; `kind` is its content type."""

    body: bytes
    status: int = 200
    kind: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `answer` is called in a thread with the path's parts and what was asked; `open` needs no token."""

    path: str
    name: str
    doc: str
    answer: Callable[[Mapping[str, str], Any], Response]
    returns: type[BaseModel] | None
    asked: type[models.Asked] = models.Asked
    errors: tuple[int, ...] = ()
    open: bool = False
    limited: bool = True
    unready: bool = False
    quick: bool = False
    kind: str = JSON
