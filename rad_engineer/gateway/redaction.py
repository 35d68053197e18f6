"""What looks like a secret, or is known to be one, does not get into a file that people commit."""

import re
from collections.abc import Iterable
from typing import Any

_SHAPES = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "api key": r"\bsk-[A-Za-z0-9_-]{16,}",
    "cloud key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}",
    "forge token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,})",
    "chat token": r"\bxox[abeprs]-[A-Za-z0-9-]{20,}",
    "registry token": r"\b(?:pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})",
    "signed token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    "bearer token": r"(?i:(?<=\bbearer )|(?<=\bx-api-key: ))[A-Za-z0-9._~+/=-]{12,}",
    "password": r"(?<=://)[^\s:/@'\"<>]{1,200}:[^\s:/@'\"<>]{3,200}(?=@)",
}
_ANY = re.compile("|".join(f"({shape})" for shape in _SHAPES.values()))
_NAMES = tuple(_SHAPES)
_SHORTEST_VALUE = 8  # a shorter one would take ordinary words with it


class Redaction:
    """Takes secrets out of texts: those of a known shape, and the values that it is told, such as the key in use."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= _SHORTEST_VALUE}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text with a mark in the place of each secret."""
        if self._known is not None:
            text = self._known.sub("[redacted: secret]", text)
        return _ANY.sub(_mark, text)

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


def _mark(found: re.Match[str]) -> str:
    return f"[redacted: {_NAMES[(found.lastindex or 1) - 1]}]"
