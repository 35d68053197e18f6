"""The agent's last word: a structured report, validated. It proves nothing; gates do."""

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

_Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
_Place = Annotated[str, StringConstraints(pattern=r"^[^/~\s:][^:]*:\d+(-\d+)?$", max_length=500)]


class Criterion(BaseModel):
    """What the agent says of one acceptance criterion."""

    model_config = ConfigDict(extra="forbid")

    criterion: _Text
    met: bool
    evidence: list[_Place] = []

    @model_validator(mode="after")
    def _met_needs_evidence(self) -> "Criterion":
        if self.met and not self.evidence:
            raise ValueError("a criterion that is met needs evidence, as path:line")
        return self


class Report(BaseModel):
    """The final report."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["done", "blocked"]
    summary: _Text
    files: list[str] = []
    tests: list[str] = []
    criteria: list[Criterion] = []
    errors: list[str] = []
    next_steps: list[str] = []

    @model_validator(mode="after")
    def _done_means_all(self) -> "Report":
        open_ones = [criterion.criterion for criterion in self.criteria if not criterion.met]
        if self.status == "done" and open_ones:
            raise ValueError(f"status is done, but these criteria are not met: {'; '.join(open_ones)}")
        return self


def validated(given: Mapping[str, Any], criteria: int, token: str) -> Report | str:
    """The report, or what is wrong with it. `criteria`: how many the story has; `token`: without which nothing ends it."""
    said = given.get("token")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode("utf-8", "replace"), token.encode()):
        return "token: this is not the completion token that the first message ends with"
    try:
        report = Report.model_validate(
            {name: value for name, value in given.items() if name != "token"}, strict=True
        )
    except ValidationError as error:
        return "\n".join(f"{_place(found['loc'])}: {found['msg']}" for found in error.errors())
    if report.status == "done" and len(report.criteria) < criteria:
        return f"criteria: the story has {criteria}, and the report speaks of {len(report.criteria)}"
    return report


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "report"


_STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "token": {"type": "string", "description": "The completion token that the first message ends with."},
        "status": {"type": "string", "enum": ["done", "blocked"]},
        "summary": {
            "type": "string",
            "description": "What was done, or what is in the way, in a few sentences.",
        },
        "files": {**_STRINGS, "description": "Paths that were changed, relative to the project's root."},
        "tests": {**_STRINGS, "description": "Commands that were run, with what they said."},
        "criteria": {
            "type": "array",
            "description": "One entry for each acceptance criterion of the story.",
            "items": {
                "type": "object",
                "properties": {
                    "criterion": {"type": "string"},
                    "met": {"type": "boolean"},
                    "evidence": {**_STRINGS, "description": "Places that show it, as path:line."},
                },
                "required": ["criterion", "met", "evidence"],
                "additionalProperties": False,
            },
        },
        "errors": {**_STRINGS, "description": "What went wrong and is still so."},
        "next_steps": {**_STRINGS, "description": "What is left to do."},
    },
    "required": ["token", "status", "summary", "files", "tests", "criteria", "errors", "next_steps"],
    "additionalProperties": False,
}
"""The same for the model, written out: the bytes of a prompt must not depend on the version of a library."""
