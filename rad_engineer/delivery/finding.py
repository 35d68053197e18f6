"""What a check says: PASS, WARN, FAIL or SKIP, what was seen, and what to do about it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["PASS", "WARN", "FAIL", "SKIP"]
Kind = Literal["safe", "asks", "shell"]


@dataclass(frozen=True, slots=True)
class Fix:
    """A command line that mends what was found, to be run in the folder where it was looked for.

    `safe` ones may be run by `--fix`, once somebody has said yes; `asks` ones ask on the terminal themselves; those
    for the `shell` change the shell that rad-engineer is started from, so only it can run them.
    """

    command: str
    kind: Kind = "safe"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw.

    `because` names the check that has to pass before this one can tell anything; what is `needless` is not required here.
    """

    status: Status
    evidence: str
    fix: Fix | None = None
    advice: str = ""
    because: str = ""
    needless: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A check with what it saw; a required one may neither fail nor be left out."""

    id: str
    family: str
    required: bool
    seen: Seen

    @property
    def status(self) -> Status:
        """How it stands."""
        return self.seen.status

    @property
    def blocks(self) -> bool:
        """Whether nothing is ready with it."""
        required = self.required and not self.seen.needless
        return self.status == "FAIL" or (required and self.status == "SKIP")

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        fix = self.seen.fix
        return {
            "id": self.id,
            "family": self.family,
            "status": self.status,
            "required": self.required,
            "evidence": self.seen.evidence,
            "fix": fix.command if fix else None,
            "fix_kind": fix.kind if fix else None,
            "advice": self.seen.advice or None,
            "because": self.seen.because or None,
        }


def passed(evidence: str) -> Seen:
    """All is well."""
    return Seen("PASS", evidence)


def warned(evidence: str, fix: Fix | None = None, advice: str = "") -> Seen:
    """It works, and could be better."""
    return Seen("WARN", evidence, fix, advice)


def failed(evidence: str, fix: Fix | None = None, advice: str = "") -> Seen:
    """It does not work."""
    return Seen("FAIL", evidence, fix, advice)


def skipped(evidence: str, because: str = "") -> Seen:
    """Nothing was looked at."""
    return Seen("SKIP", evidence, because=because)


def quoted(paths: Iterable[Path]) -> str:
    """Paths as arguments of a command line."""
    return " ".join(shlex.quote(str(path)) for path in paths)
