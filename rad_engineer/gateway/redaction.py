"""What looks like a secret, or is known to be one, does not get into a file that people commit."""

import re
from collections.abc import Iterable
from typing import Any

_SHAPES = (  # what it is, what a text with one must contain, and its shape
    ("private key", ("-----BEGIN ",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    ("api key", ("sk-",), r"\bsk-[A-Za-z0-9_-]{16,}"),
    ("cloud key", ("AKIA", "ASIA", "AIza"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}"),
    ("forge token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
     r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,})"),
    ("chat token", ("xox",), r"\bxox[abeprs]-[A-Za-z0-9-]{20,}"),
    ("registry token", ("pypi-", "npm_"), r"\b(?:pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})"),
    ("signed token", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    ("bearer token", ("earer ", "EARER ", "-key: ", "-Key: ", "-KEY: "),
     r"(?i:(?<=\bbearer )|(?<=\bx-api-key: ))[A-Za-z0-9._~+/=-]{12,}"),
    ("password", ("://",), r"(?<=://)[^\s:/@'\"<>]{1,200}:[^\s:/@'\"<>]{3,200}(?=@)"),
)  # fmt: skip
_COMPILED = tuple((f"[redacted: {kind}]", marks, re.compile(shape)) for kind, marks, shape in _SHAPES)
_SHORTEST_VALUE = 8  # a shorter one would take ordinary words with it; no shape is shorter either


class Redaction:
    """Takes secrets out of texts: those of a known shape, and the values that it is told, such as the key in use."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= _SHORTEST_VALUE}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text with a mark in the place of each secret."""
        if len(text) < _SHORTEST_VALUE:
            return text
        if self._known is not None:
            text = self._known.sub("[redacted: secret]", text)
        for instead, marks, shape in _COMPILED:
            for mark in marks:
                if mark in text:
                    text = shape.sub(instead, text)
                    break
        return text

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
