"""Marks for tests that start no run: a nonce, and what stands in a mock's answers for a run's completion token."""

import re

from rad_engineer.core.fence import Marks

TOKEN = "@token@"
MARKS = Marks("00c0ffee00c0ffee", TOKEN)

_FENCE = re.compile(r"</?untrusted-[0-9a-f]{16}>\n?")


def bare(text: str) -> str:
    """The text without its fence."""
    return _FENCE.sub("", text).removesuffix("\n")
