"""Attempts to get out of a box: what each tries, how its success is seen from outside, and which defence stops it.

An attempt counts only where it succeeds without the sandbox, or with that one defence taken out of a box.
    RAD_ESCAPES=1 pytest -s tests/integration/test_escapes.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.escapes.world import World

Seen = Callable[["World", str], bool]


@dataclass(frozen=True)
class Attempt:
    """A program in Python, run inside; `told` has what its author may have found out about the outside."""

    name: str
    script: str
    seen: Seen
    stopped_by: str
    """The defence that is taken out, where having no sandbox at all is not what shows it."""
    meanwhile: Callable[["World"], None] | None = None
    """What happens outside when it says READY."""
    after: bool = False
    """Whether its box is closed before anybody looks."""
    terminal: bool = False
    """Whether its input is a terminal of ours."""
    only: str = ""
    """`root` or `user`: started by the other, nobody could do it without a sandbox either."""
    kind: str = ""


def prints(name: str) -> Seen:
    """It knows what only lies outside."""
    return lambda world, output: world.secrets[name] in output


def says(word: str = "GOT") -> Seen:
    """The kernel has granted it."""
    return lambda _world, output: word in output.split()


def writes(where: str) -> Seen:
    """Its word stands in a file outside."""
    return lambda world, _output: world.holds(where, world.nonce)


def heard(world: "World", _output: str) -> bool:
    """A listener outside was told its word."""
    return world.nonce.encode() in world.listen()
