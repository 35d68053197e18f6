"""How an attempt of our own agent has ended, as every agent tells it."""

from dataclasses import dataclass
from typing import cast

from rad_engineer.agents import AgentOutcome, AgentResult
from rad_engineer.agents.anthropic.report import Report
from rad_engineer.agents.anthropic.transcript import Conversation


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the loop."""

    outcome: str  # of AgentOutcome
    detail: str = ""
    report: Report | None = None
    retry_at: float | None = None
    reason: str = ""


def result_of(ended: Ended, conversation: Conversation, seconds: float) -> AgentResult:
    """What the worker is told; what it costs is known to whoever counts, so it is not guessed here."""
    report = ended.report
    told = [ended.detail]
    if report is not None:
        told += [f"error: {text}" for text in report.errors] + [f"left: {text}" for text in report.next_steps]
    return AgentResult(
        cast("AgentOutcome", ended.outcome),
        0 if ended.outcome == "finished" else None,
        seconds,
        "\n".join(text for text in told if text),
        tokens=conversation.tokens,
        retry_at=ended.retry_at,
        reason=ended.reason,
        summary=report.summary if report is not None else "",
        criteria=tuple(criterion.model_dump() for criterion in report.criteria) if report is not None else (),
        files=tuple(report.files) if report is not None else (),
        tests=tuple(report.tests) if report is not None else (),
        errors=tuple(report.errors) if report is not None else (),
        next_steps=tuple(report.next_steps) if report is not None else (),
        turns=conversation.turns,
        model=conversation.model,
    )
