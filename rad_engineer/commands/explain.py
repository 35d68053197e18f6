"""explain: why a story waits, failed or is blocked, or what proved it, with the evidence and the next action."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

from rad_engineer import gates, past_run, store, story_files
from rad_engineer.commands.status import columns
from rad_engineer.core import failures, reasons, standing
from rad_engineer.core.agent_word import AgentWord
from rad_engineer.core.printable import cut, duration, hang, lines, one_line
from rad_engineer.core.report import StoryReport
from rad_engineer.core.report_text import mark, spent_on, why
from rad_engineer.errors import ExitCode
from rad_engineer.launch import inputs
from rad_engineer.past_run import PastRun

_TAIL_LINES = 24
_TAIL_BYTES = 16_384
_WIDEST = 200
_FAILURES = 5
_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that can be said about one story."""

    run: str | None
    story: StoryReport
    because: str
    next_action: str
    policy: tuple[Mapping[str, Any], ...]  # violations of the last attempt
    logs: tuple[Path, ...]
    output_of: str  # the log the output is from
    output: str

    def to_json(self) -> dict[str, Any]:
        """The public form: the story of report.json, and more."""
        return {
            "schema_version": 1,
            "run": self.run,
            **self.story.to_json(),
            "because": self.because,
            "next": self.next_action,
            "policy": list(self.policy),
            "logs": [str(path) for path in self.logs],
            "output_of": self.output_of,
            "output": self.output,
        }


def explain(story: str, *, run: str | None = None, json: bool = False) -> int:
    """Prints what is known of a story in the newest run that has it."""
    found = past_run.find(run=run, story=story)
    explanation = _explanation(found, inputs.find_story(found.graph, story))
    if json:
        print(dumps(explanation.to_json(), indent=2))
    else:
        print("\n".join(_lines(explanation, columns())))
    return ExitCode.OK


def _explanation(found: PastRun, index: int) -> Explanation:
    report = found.report()
    story = report.stories[index]
    folder = found.story_folder(index)
    logs = tuple(_logs(folder, story.attempts)) if folder is not None else ()
    because = why(story) or one_line(story.explanation)
    if not because and story.status == "pending":
        keep_going = bool(found.about.get("settings", {}).get("keep_going"))
        schedule = standing.schedule_of(found.graph, found.checkpoint, keep_going=keep_going)
        because = reasons.why(schedule, index)
    log, output = _what_failed(story, logs)
    return Explanation(
        run=found.checkpoint.run or None,
        story=story,
        because=because,
        next_action=_next(story),
        policy=() if folder is None else story_files.violations(folder / f"attempt-{story.attempts}"),
        logs=logs,
        output_of=str(log) if log is not None else "",
        output=output,
    )


def _next(story: StoryReport) -> str:
    """What to do about the story; where others are in the way, the first of them is what to look at."""
    if story.status == "pending":
        return ""
    if story.by:
        return f"rad-engineer explain {shlex.quote(one_line(story.by[0]))}"
    return failures.action(story.reason, one_line(story.key))


def _logs(folder: Path, attempt: int) -> Iterator[Path]:
    """The logs of the last attempt, the agent's first."""
    last = folder / f"attempt-{attempt}"
    if (last / "agent.log").exists():
        yield last / "agent.log"
    yield from sorted(last.glob("gates/*.log"), key=lambda path: path.stem)
    yield from sorted(path for path in last.glob("*.log") if path.name != "agent.log")


def _what_failed(story: StoryReport, logs: tuple[Path, ...]) -> tuple[Path | None, str]:
    """The log that shows what went wrong, and the part to read: of the first gate that proves nothing, else the agent's."""
    if story.status in ("passed", "already-done"):
        return None, ""
    for verdicts in (("red", "broken"), ("no-evidence",)):
        for gate in story.gates:
            name = store.slug(str(gate.get("name", "")))
            log = next((path for path in logs if path.parent.name == "gates" and path.stem == name), None)
            if gate.get("verdict") in verdicts and log is not None:
                part = gates.on_a_screen(str(gate.get("output") or ""), _TAIL_LINES)
                return log, part or _tail(log)
    reason = failures.find(story.reason)
    if reason is not None and reason.family in ("agent", "machine"):
        log = next((path for path in logs if path.name == "agent.log"), None)
        return log, _tail(log) if log is not None else ""
    return None, ""


def _tail(path: Path) -> str:
    """The last lines of a log, without control codes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join([line.rstrip() for line in lines(text) if line.strip()][-_TAIL_LINES:])


def _lines(explanation: Explanation, width: int) -> Iterator[str]:
    story = explanation.story
    yield f"{one_line(story.key)}: {one_line(story.title)}"
    yield f"state:   {_state(story)}"
    if explanation.because:
        yield from hang("why:     ", one_line(explanation.because), width)
    if story.needs:
        yield from hang("needs:   ", ", ".join(one_line(need) for need in story.needs), width)
    if story.commit:
        yield f"commit:  {story.commit}"
    if spent_on(story):
        yield f"spent:   {spent_on(story)}"
    yield from _evidence(story, width)
    yield from _gates(story.gates, width)
    yield from _policy(explanation.policy, width)
    if story.agent_says is not None:
        yield from _claims(story.agent_says, width)
    if explanation.output:
        yield from ("", f"from {_near(Path(explanation.output_of))}:")
        yield from (f"  {cut(line, _WIDEST)}" for line in lines(explanation.output))
    if explanation.logs:
        yield from ("", "logs:", *(f"  {_near(path)}" for path in explanation.logs))
    if explanation.next_action:
        yield from ("", *hang("next:    ", explanation.next_action, width))


def _state(story: StoryReport) -> str:
    parts = ["passed by hand" if story.by_hand else mark(story)]
    if story.status == "running" and story.stage:
        parts.append(f"after {story.stage}")
    if story.attempts:
        parts.append(f"attempt {story.attempts}")
    if story.seconds:
        parts.append(duration(story.seconds))
    return ", ".join(parts)


def _evidence(story: StoryReport, width: int) -> Iterator[str]:
    if not story.criteria:
        return
    yield from ("", "criteria:")
    for item in story.criteria:
        proof = item.proved_by
        yield from hang("  proved      " if proof else "  unverified  ", one_line(item.text), width)
        if proof is not None:
            shown = f"by `{one_line(proof.command)}` (exit {proof.exit_code}"
            shown += f", output sha256 {proof.sha256[:12]}" if proof.sha256 else ""
            shown += f", commit {proof.commit[:12]}" if proof.commit else ""
            yield from hang(" " * 14, f"{shown})", width)


def _gates(results: tuple[Mapping[str, Any], ...], width: int) -> Iterator[str]:
    if not results:
        return
    yield from ("", "gates:")
    for gate in results:
        took = f" in {duration(gate['seconds'])}" if isinstance(gate.get("seconds"), int | float) else ""
        yield f"  {gate.get('verdict', '')!s:12}{one_line(str(gate.get('name', '')))}{took}"
        if detail := one_line(str(gate.get("detail") or "")):
            yield from hang(" " * 14, detail, width)
        failed = list(gate.get("blamed") or gate.get("failures") or ())
        yield from (f"{' ' * 14}{one_line(str(name))}" for name in failed[:_FAILURES])
        if len(failed) > _FAILURES:
            yield f"{' ' * 14}and {len(failed) - _FAILURES} more"


def _policy(violations: tuple[Mapping[str, Any], ...], width: int) -> Iterator[str]:
    if not violations:
        return
    yield from ("", "policy:")
    for one in violations[:_VIOLATIONS]:
        place = ":".join(str(part) for part in (one.get("path"), one.get("line")) if part)
        text = f"{place}: {one.get('message')} [{one.get('rule')}]".removeprefix(": ")
        yield from hang(f"  {one.get('severity', '')!s:12}", one_line(text), width)
    if len(violations) > _VIOLATIONS:
        yield f"{' ' * 14}and {len(violations) - _VIOLATIONS} more"


def _claims(word: AgentWord, width: int) -> Iterator[str]:
    """What the agent says, which proves nothing."""
    yield from ("", f"{one_line(word.agent) or 'the agent'} says (nobody has checked it):")
    yield from hang("  ", one_line(word.summary), width)
    for claim in word.criteria:
        yield from hang("  says met    " if claim.met else "  says unmet  ", one_line(claim.criterion), width)
        if claim.evidence:
            yield from hang(" " * 14, f"at {', '.join(map(one_line, claim.evidence))}", width)
    for name, said in (("files", word.files), ("tests", word.tests)):
        if said:
            yield from hang(f"  {name:12}", ", ".join(map(one_line, said)), width)
    yield from (line for error in word.errors for line in hang("  error       ", one_line(error), width))
    yield from (line for step in word.next_steps for line in hang("  left to do  ", one_line(step), width))


def _near(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except (ValueError, OSError):
        return str(path)
