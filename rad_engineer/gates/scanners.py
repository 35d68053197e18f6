"""Programs that look for secrets, as gates besides the project's own: they can say no, and prove nothing."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from rad_engineer.gates.judgement import Gate

SCANNER = "scanner"
"""The runner of these gates."""


@dataclass(frozen=True, slots=True)
class _Scanner:
    name: str
    program: str
    marks: tuple[str, ...]  # a project that has one of these files uses it
    command: str


_SCANNERS = (
    _Scanner(
        "gitleaks", "gitleaks", (".gitleaks.toml", ".gitleaksignore"),
        "gitleaks detect --no-git --no-banner --redact --source .",
    ),
    _Scanner(
        # Ends with 3 where only the lines of known secrets have moved.
        "detect-secrets", "detect-secrets-hook", (".secrets.baseline",),
        """git ls-files -z | xargs -0 sh -c 'detect-secrets-hook --baseline .secrets.baseline "$@" || [ $? -eq 3 ]' scan""",
    ),
)  # fmt: skip


def installed_scanners(
    names: Collection[str], configured: Iterable[str], installed: Callable[[str], object]
) -> list[Gate]:
    """The gates of installed scanners that a project uses, by the names at its top, and does not run by itself."""
    lines = list(configured)
    return [
        Gate(one.name, one.command, runner=SCANNER)
        for one in _SCANNERS
        if any(mark in names for mark in one.marks)
        and not any(one.name in line for line in lines)
        and installed(one.program)
    ]
