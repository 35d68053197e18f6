"""The report on the screen: a headline that is true, a table that reads without colour, and what to type next."""

import shlex

from rad_engineer.core.printable import cut, duration, hang, one_line, pad, several, width, wrap
from rad_engineer.core.report import Report, StoryReport
from rad_engineer.core.standing import ENDED_WELL

MARKS = {
    "passed": "landed",
    "already-done": "already done",
    "done-unverified": "unverified",
    "failed": "failed",
    "blocked": "blocked",
    "skipped": "skipped",
    "waiting": "waiting",
    "interrupted": "interrupted",
    "running": "running",
    "landing": "landing",
    "pending": "pending",
}
"""What each status is called on the screen."""


def mark(story: StoryReport) -> str:
    """What the story's status is called on the screen."""
    return "rehearsed" if story.reason == "rehearsal" else MARKS[story.status]


_EXIT_LINES = {
    0: "everything that was asked for is done",
    1: "a story or a gate failed",
    2: "the command line contradicts itself",
    3: "more stories could start right now",
    4: "what is left waits for something to change",
    65: "a PRD cannot be understood or its graph cannot be run",
    66: "something that was named does not exist",
    69: "there is no agent to do the work",
    70: "an error in rad-engineer itself",
    73: "state could not be written",
    75: "another run holds the lock",
    77: "refused by policy or trust",
    78: "the configuration or repository cannot be used as it is",
    129: "stopped by SIGHUP, because the terminal was closed; everything is kept",
    130: "stopped by SIGINT; everything is kept",
    143: "stopped by SIGTERM; everything is kept",
}
_SHOWN = 20  # stories a summary lists by name; report.md has them all


def exit_line(code: int) -> str:
    """What an exit code means, in one line."""
    return f"exit code {code}: {_EXIT_LINES.get(code, 'unknown')}"


def headline(report: Report) -> str:
    """What happened, in one true sentence."""
    counts, total = report.counts, len(report.stories)
    if not total:
        return "Nothing to do: there are no stories"
    if counts.get("already-done", 0) == total:
        return f"Nothing to do: {'the story is' if total == 1 else f'all {total} stories are'} already done"
    if report.state == "never":
        done = counts.get("already-done", 0)
        return f"Not run yet: {several(total, 'story', 'stories')}" + (
            f", {done} already done" if done else ""
        )
    by_hand = counts.get("passed", 0) - sum(
        story.status == "passed" and story.landed for story in report.stories
    )
    nothing_lands = report.kind == "rehearsal" or report.workspace == "shared"
    finished = sum(
        story.landed or (nothing_lands and story.status == "done-unverified") for story in report.stories
    )
    first = f"{finished} of {several(total, 'story', 'stories')} {_achieved(report)}"
    if by_hand:
        first += f", {by_hand} passed by hand"
    if counts.get("already-done"):
        first += f", {counts['already-done']} already done before"
    left_out = {*ENDED_WELL, "done-unverified"} if report.kind == "rehearsal" else ENDED_WELL
    rest = [f"{number} {MARKS[status]}" for status, number in counts.items() if status not in left_out]
    rest += [
        f"{verdict.get('scope', '')} gates red" for verdict in report.verdicts if not verdict.get("ok", True)
    ]
    return first + ("; " + ", ".join(rest) if rest else "")


def _achieved(report: Report) -> str:
    if report.kind == "rehearsal":
        return "rehearsed with the mock agent, nothing landed"
    if report.workspace == "shared" or not report.branch:
        return "finished in the shared workspace, where nothing lands"
    return f"landed on {branch_name(report)}"


def branch_name(report: Report) -> str:
    """The run branch as people type it."""
    return one_line((report.branch or "").removeprefix("refs/heads/"))


def next_step(report: Report) -> str | None:
    """The command to type next; None where nothing is left to do."""
    if report.state in ("running", "never"):
        return None
    if report.kind == "rehearsal":
        return "rad-engineer run PRD --agent-command '…'"
    if report.state == "interrupted":
        return "rad-engineer resume"
    failed = next((story for story in report.stories if story.status == "failed"), None)
    if failed is not None:
        return _explain(failed)
    human = next((s for s in report.stories if s.status == "waiting" and s.reason == "human"), None)
    unproved = [story for story in report.stories if story.status == "done-unverified" and not story.landed]
    if unproved and report.exit_code != 0 and report.workspace != "shared":
        mute = unproved[0].reason == "no-evidence"  # there is a gate: it can be mended
        return _explain(unproved[0]) if mute else "rad-engineer resume --allow-unverified"
    if human is not None:
        return f"rad-engineer approve {shlex.quote(one_line(human.key))}"
    if report.exit_code in (3, 4):
        return "rad-engineer resume"
    return report.how_to_merge


def _explain(story: StoryReport) -> str:
    return f"rad-engineer explain {shlex.quote(one_line(story.key))}"


def why(story: StoryReport) -> str:
    """Why a story has not passed, with the detail that the run kept; "" where the headline says it for all."""
    if story.reason in ("rehearsal", "shared-workspace"):
        return ""
    detail = one_line(story.detail)
    said = one_line(story.explanation)
    return f"{said}: {detail}" if detail and said and story.status != "blocked" else said or detail


def summary(report: Report, columns: int = 80) -> str:
    """What is printed at the end of a run and by `status`: aligned, readable without colour, any width from 40."""
    columns = max(columns, 40)
    lines = wrap(headline(report), columns)
    lines += _table(report, columns)
    proved, criteria = report.criteria
    if criteria > proved:
        lines += [
            "",
            *wrap(f"{criteria - proved} of {criteria} criteria are unverified: no gate shows them", columns),
        ]
    lines += _totals(report, columns)
    lines += _timings(report)
    lines += _notes(report, columns)
    if report.how_to_merge and report.state != "running":
        lines += ["", f"merge:  {report.how_to_merge}"]
    step = next_step(report)
    if step and step != report.how_to_merge:
        lines += [*([] if report.how_to_merge else [""]), f"next:   {step}"]
    if report.exit_code is not None:
        lines += wrap(exit_line(report.exit_code), columns)
    return "\n".join(lines) + "\n"


def _table(report: Report, columns: int) -> list[str]:
    """Stories that need attention first, then those that landed; only so many of each."""
    open_ones = [s for s in report.stories if s.status not in ENDED_WELL]
    landed = [s for s in report.stories if s.status == "passed"]
    lines: list[str] = []
    mark_width = max((len(mark(s)) for s in (*open_ones, *landed)), default=0)
    key_width = min(max((width(one_line(s.key)) for s in (*open_ones, *landed)), default=0), columns // 3)
    for group in (landed, open_ones):
        for story in group[:_SHOWN]:
            lines += _row(story, mark_width, key_width, columns)
        if len(group) > _SHOWN:
            where = "" if report.state == "never" else " in report.md"
            lines.append(f"… and {len(group) - _SHOWN} more{where}")
    return ["", *lines] if lines else []


def _row(story: StoryReport, mark_width: int, key_width: int, columns: int) -> list[str]:
    """One story: a line when it landed, up to three for why it did not."""
    head = f"{pad(mark(story), mark_width)}  {pad(one_line(story.key), key_width)}  "
    title = one_line(story.title)
    if story.status == "passed":
        took = f"{duration(story.seconds)}  " if story.seconds else ""
        said = f"{' ' * width(head)}the agent says: {claim(story)}" if claim(story) else ""
        lines = [f"{head}{took}{title}{' (by hand)' if story.by_hand else ''}", said]
        return [cut(line, columns).rstrip() for line in lines if line]
    if columns - width(head) < 24:
        return [head.rstrip(), *hang("    ", why(story) or title, columns, most=3)]
    return hang(head, why(story) or title, columns, most=3)


def claim(story: StoryReport) -> str:
    """What its agent says it has done, in a line. Not even half a proof: it is never shown without the word "says"."""
    return "" if story.agent_says is None else one_line(story.agent_says.summary)


def spent(cost_usd: float | None, stated_usd: float, *, unmetered: bool) -> str:
    """Money in words: what was counted, and that something was not; "" where there is nothing to say."""
    parts = [_usd(cost_usd)] if cost_usd else []
    if unmetered:
        parts.append(f"unmetered (the agent says {_usd(stated_usd)})" if stated_usd else "unmetered")
    return " and ".join(parts)


def spent_on(story: StoryReport) -> str:
    """What was spent on a story, in words."""
    return spent(story.cost_usd, story.stated_usd, unmetered=story.unmetered)


def _usd(amount: float) -> str:
    return f"{amount:.2f} USD" if amount >= 0.1 else f"{amount:.4f} USD"


def _totals(report: Report, columns: int) -> list[str]:
    parts = []
    if report.started_at is not None and report.ended_at is not None:
        parts.append(f"took {duration(report.ended_at - report.started_at)}")
    attempts = sum(story.attempts for story in report.stories)
    if attempts:
        parts.append(several(attempts, "attempt"))
    tokens = sum(story.tokens for story in report.stories)
    if tokens:
        parts.append(f"{tokens:,} tokens")
    stated = sum(story.stated_usd for story in report.stories)
    if money := spent(report.cost_usd, stated, unmetered=bool(report.unmetered)):
        parts.append(money)
    return ["", *wrap(", ".join(parts), columns)] if parts else []


def _timings(report: Report) -> list[str]:
    """What a story cost, part by part: ours first, then what the project and its agent took."""
    found = report.timings
    if found is None:
        return []
    parts = found["parts"]
    rows = [
        *(part for part in parts if part["ours"]),
        found["all_of_ours"],
        *(part for part in parts if not part["ours"]),
    ]
    head = f"{several(found['stories'], 'story', 'stories')}, ms each"
    lines = [f"{head:<20} {'median':>9} {'p95':>9} {'total':>10}"]
    for row in rows:
        figures = f"{row['median_ms']:9.2f} {row['p95_ms']:9.2f} {row['total_ms']:10.1f}"
        lines.append(f"  {row['part']:<18} {figures}")
    return ["", *lines]


def _notes(report: Report, columns: int) -> list[str]:
    lines = []
    for note in list(dict.fromkeys(report.notes))[:_SHOWN]:
        lines += hang("note:   ", one_line(note), columns)
    if report.not_part:
        names = ", ".join(one_line(name) for name in report.not_part[:5])
        more = f" and {len(report.not_part) - 5} more" if len(report.not_part) > 5 else ""
        lines += wrap(f"not part of this run (not committed): {names}{more}", columns)
    return ["", *lines] if lines else []
