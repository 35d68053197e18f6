"""What proves an acceptance criterion: the result of a gate that rad-engineer ran itself, or nothing.

A criterion is proved by a gate only when it says nothing more than the gate shows: its own command, a command it
names, or a kind of check ("typecheck passes"). "The list is sorted and all tests pass" claims more than a green
test run shows, so it stays unverified.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rad_engineer.core.prd import Criterion

_KINDS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(rf"\b({words})\b")
    for words in (
        r"tests?|testing|pytest|unittest|jest|vitest|mocha|tox|nox|nextest|rspec|phpunit|ctest|playwright",
        r"type-?check\w*|check-?types|types?|typescript|tsc|mypy|\w*pyright|vue-tsc",
        r"lint\w*|eslint|ruff|flake8|pylint|clippy|biome|golangci-lint|tflint|rubocop|shellcheck",
        r"fmt|format\w*|prettier|black|gofmt|rustfmt",
        r"build\w*|compil\w*",
    )
)
"""Kinds of checks: a word of one kind in a criterion asks for a gate with a word of the same kind."""

_PLAIN = frozenset(
    """
    a all and the is are be with without no any zero 0 error errors failure failures failing warning warnings clean
    cleanly pass passes passing passed succeed succeeds succeeded successful successfully green ok okay exit exits
    exited code status run runs running complete completes completed still existing relevant unit project codebase
    check checks checking quality gate gates verify must should works work command return returns via using by
    test tests testing suite typecheck typechecks typechecking types type lint lints linter linting format formatting
    build builds compile compiles
    """.split()  # noqa: SIM905 - a table reads better than a hundred quotes
)
"""Words that add no claim to "the gate is green"."""

_QUIET = frozenset(
    ["-q", "-qq", "-v", "-vv", "-vvv", "-x", "-s", "--quiet", "--verbose", "--silent", "--ci", "--"]
)
"""Options that change what is printed, not what is shown."""

_QUOTED = re.compile(r"`([^`]+)`|\(([^()]+)\)")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_NEGATED = re.compile(
    r"\b(not|never|fails?|cannot|can't|doesn't|don't|won't|red|non-?zero|allowed|ignored?)\b", re.IGNORECASE
)
_PATH = re.compile(r"^[^-].*[/.]|::")
_JOINED = re.compile(r"\s*(?:&&|;|\n)\s*")


@dataclass(frozen=True, slots=True)
class Proof:
    """A green gate result, as evidence for one criterion."""

    gate: str
    command: str
    exit_code: int | None
    sha256: str | None
    commit: str | None
    at: float | None
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {name: getattr(self, name) for name in self.__slots__}


def prove(
    criteria: Iterable[Criterion], gates: Sequence[Mapping[str, Any]], *, commit: str | None = None
) -> list[Proof | None]:
    """For every criterion the proof, or None; `commit` stands in where a gate entry names none."""
    green = [gate for gate in gates if is_proof(gate)]
    found = [_proof_of(criterion, green) if green else None for criterion in criteria]
    return [None if gate is None else _proof(gate, commit) for gate in found]


def is_proof(gate: Mapping[str, Any]) -> bool:
    """Whether a gate's result is evidence at all: green, or red only where it was red before."""
    if "proof" in gate:
        return bool(gate["proof"])
    if gate.get("verdict") in ("green", "flaky-green"):
        return True
    return gate.get("verdict") == "excused" and bool(gate.get("passed"))


def _proof(gate: Mapping[str, Any], commit: str | None) -> Proof:
    return Proof(
        gate=str(gate.get("name", "")),
        command=str(gate.get("command", "")),
        exit_code=gate.get("exit_code"),
        sha256=gate.get("sha256"),
        commit=gate.get("commit") or commit,
        at=gate.get("at"),
        seconds=gate.get("seconds"),
    )


def _proof_of(criterion: Criterion, green: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    if criterion.command:
        return _by_command(criterion.command, green)
    if _NEGATED.search(_QUOTED.sub(" ", criterion.text)):
        return None
    text = criterion.text
    named: list[Mapping[str, Any]] = []
    for quoted in _QUOTED.finditer(text):
        gate = _by_command(quoted[1] or quoted[2], green)
        if gate is not None:
            named.append(gate)
            text = text.replace(quoted[0], " ")
        elif quoted[1]:
            return None  # it names something no gate has shown
    rest, spoken = _without_commands(text, green)
    named += spoken
    by_kind = _by_kind(rest, green, named)
    return by_kind if not named else (named[0] if by_kind is not None else None)


def _by_command(command: str, green: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The gate that ran this command; of joined commands every part must have been shown."""
    wanted = _words(command)
    if not wanted:
        return None
    for gate in green:
        if _words(str(gate.get("command", ""))) == wanted:
            return gate
    parts = [part for part in _JOINED.split(command.strip()) if not part.startswith("cd ")]
    if len(parts) > 1 or "|" in command:
        shown = [_by_command(part, green) for part in parts] if "|" not in command else [None]
        return shown[0] if all(gate is not None for gate in shown) else None
    wanted = _words(parts[0]) if parts else []
    for gate in green:
        if wanted and _shows(_words(str(gate.get("command", ""))), wanted):
            return gate
    return None


def _shows(ran: list[str], wanted: list[str]) -> bool:
    """Whether running `ran` shows what `wanted` would: the same words, and at most a narrower choice of paths."""
    said, asked = ([word for word in words if word not in _QUIET] for words in (ran, wanted))
    narrower = asked[len(said) :]
    return bool(said) and asked[: len(said)] == said and all(_PATH.search(word) for word in narrower)


def _without_commands(text: str, green: Sequence[Mapping[str, Any]]) -> tuple[str, list[Mapping[str, Any]]]:
    """The text without the gate commands it speaks out ("npm run typecheck passes"), and those gates."""
    text = _SPACES.sub(" ", text)
    spoken = []
    for gate in sorted(green, key=lambda gate: -len(str(gate.get("command", "")))):
        pattern = _aloud(" ".join(_words(str(gate.get("command", "")))))
        shorter = pattern.sub(" ", text) if pattern is not None else text
        if shorter != text:
            spoken.append(gate)
            text = shorter
    return text, spoken


@lru_cache(maxsize=256)
def _aloud(command: str) -> re.Pattern[str] | None:
    """Finds a command in prose; one word, like "make", is too easily an ordinary word."""
    if " " not in command:
        return None
    return re.compile(r"(?<![\w/-])" + re.escape(command) + r"(?![\w/:-])", re.IGNORECASE)


_SPACES = re.compile(r"\s+")


def _by_kind(
    text: str, green: Sequence[Mapping[str, Any]], named: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The gate that shows what is left of the text; None where it claims more than green gates show."""
    if any(ord(char) > 127 and char.isalpha() for char in text):
        return None
    text = text.lower()
    proofs = list(named)
    for kind in _KINDS:
        if kind.search(text):
            gate = next((gate for gate in (*named, *green) if kind.search(_spoken(gate))), None)
            if gate is None:
                return None
            proofs.append(gate)
    known = set(_PLAIN)
    for gate in proofs:
        known.update(_WORD.findall(_spoken(gate)))
    return proofs[0] if proofs and known.issuperset(_WORD.findall(text)) else None


def _spoken(gate: Mapping[str, Any]) -> str:
    return f"{gate.get('name', '')} {gate.get('command', '')}".lower()


def _words(command: str) -> list[str]:
    return command.split()
