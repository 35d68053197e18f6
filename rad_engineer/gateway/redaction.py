"""What looks like a secret, or is known to be one, does not get into a file that people commit."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from rad_engineer.core import secret_rules

_SHORTEST_VALUE = 8  # a shorter one would take ordinary words with it
_SHORT, _MOST_REMEMBERED = 64, 8192  # names of members and the like come again in every request


class Redaction:
    """Takes secrets out of texts: those of a known shape, and the values that it is told, such as the key in use."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= _SHORTEST_VALUE}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._remembered = lru_cache(_MOST_REMEMBERED)(self._redacted)

    def text(self, text: str) -> str:
        """The text with a mark in the place of each secret."""
        if len(text) < _SHORTEST_VALUE:
            return text
        return self._remembered(text) if len(text) <= _SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub("[redacted: secret]", text)
        # Without a hash: two runs with different keys are compared, and are the same.
        return secret_rules.redacted(text, hashed=False)

    def tree(self, value: Any) -> Any:
        """A JSON value with every text in it redacted, names of members as well."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.tree(part) for part in value]
            case dict():
                return {self.text(name): self.tree(part) for name, part in value.items()}
        return value
