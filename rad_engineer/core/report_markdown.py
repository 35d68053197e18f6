"""report.md: what landed, what did not and why, who waits for whom, what proved each criterion, how to merge."""

from collections.abc import Callable, Iterable, Sequence

from rad_engineer.core import failures
from rad_engineer.core.agent_word import AgentWord
from rad_engineer.core.printable import duration, one_line
from rad_engineer.core.report import Report, StoryReport
from rad_engineer.core.report_text import branch_name, exit_line, headline, mark, spent, spent_on, why
from rad_engineer.core.standing import ENDED_WELL


def markdown(report: Report) -> str:
    """report.md."""
    parts = [f"# {_escape(headline(report))}", _facts(report)]
    parts += [_section("What landed", [s for s in report.stories if s.status == "passed"], _landed_rows)]
    open_ones = [s for s in report.stories if s.status not in ENDED_WELL]
    stuck = [s for s in open_ones if not s.by]
    held = [s for s in open_ones if s.by]
    parts += [_section("What did not, and why", stuck, _open_rows)]
    parts += [_section("Who waits for whom", held, _waiting_rows)]
    parts += [_counts(report), _criteria(report), _claims(report)]
    if report.how_to_merge:
        parts.append(f"## How to merge\n\n    {report.how_to_merge}")
    if report.not_part:
        parts.append(
            "## Not part of this run\n\n" + "\n".join(f"- {_code(name)}" for name in report.not_part)
        )
    if report.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {_escape(note)}" for note in dict.fromkeys(report.notes)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(report: Report) -> str:
    facts = [f"Run {_code(report.run)}"]
    if report.branch and report.workspace == "slots":
        facts.append(f"branch {_code(branch_name(report))}")
    if report.base:
        facts.append(f"from {_code(report.base[:12])}")
    if report.agent:
        facts.append(f"agent {_code(report.agent)}")
    if report.sandbox:
        weaker = (
            " (names and sizes of files and processes can be seen)" if report.sandbox == "landlock" else ""
        )
        facts.append(f"sandbox {report.sandbox}{weaker}")
    facts.append(f"state {report.state}")
    stated = sum(story.stated_usd for story in report.stories)
    if money := spent(report.cost_usd, stated, unmetered=bool(report.unmetered)):
        facts.append(f"spent: {money}")
    if report.exit_code is not None:
        facts.append(exit_line(report.exit_code))
    return ", ".join(facts) + "."


def _section(
    title: str, stories: Sequence[StoryReport], rows: Callable[[Sequence[StoryReport]], Iterable[str]]
) -> str:
    return f"## {title}\n\n" + "\n".join(rows(stories)) if stories else ""


def _landed_rows(stories: Sequence[StoryReport]) -> Iterable[str]:
    paid = any(map(spent_on, stories))
    yield "| story | title | commit | attempts | time | criteria proved |" + (" spent |" if paid else "")
    yield "|---|---|---|--:|--:|--:|" + ("--:|" if paid else "")
    for story in stories:
        proved = sum(item.proved_by is not None for item in story.criteria)
        shown = f"{proved} of {len(story.criteria)}" if story.criteria else "none stated"
        commit = "by hand" if story.by_hand else _code(story.commit[:12]) if story.commit else "-"
        yield (
            f"| {_escape(story.key)} | {_escape(story.title)} | {commit} | {story.attempts} "
            f"| {duration(story.seconds)} | {shown} |" + (f" {spent_on(story) or '-'} |" if paid else "")
        )


def _open_rows(stories: Sequence[StoryReport]) -> Iterable[str]:
    yield "| story | title | state | why | next |"
    yield "|---|---|---|---|---|"
    for story in stories:
        step = failures.action(story.reason, one_line(story.key))
        yield (
            f"| {_escape(story.key)} | {_escape(story.title)} | {mark(story)} "
            f"| {_escape(why(story)) or '-'} | {step.replace('|', '&#124;') or '-'} |"
        )


def _waiting_rows(stories: Sequence[StoryReport]) -> Iterable[str]:
    yield "| story | title | state | waits for |"
    yield "|---|---|---|---|"
    for story in stories:
        yield f"| {_escape(story.key)} | {_escape(story.title)} | {mark(story)} | {_escape(', '.join(story.by))} |"


def _counts(report: Report) -> str:
    counted = failures.count(story.reason for story in report.stories if story.status == "failed")
    if not counted:
        return ""
    return "Failures by reason: " + ", ".join(f"{name} {number}" for name, number in counted.items()) + "."


def _criteria(report: Report) -> str:
    lines = []
    for story in report.stories:
        if story.status not in ("passed", "done-unverified") or not story.criteria:
            continue
        lines.append(f"\n{_escape(story.key)}: {_escape(story.title)}\n")
        for item in story.criteria:
            proof = item.proved_by
            shown = "**unverified**"
            if proof is not None:
                shown = f"proved by {_code(proof.command)} (exit {proof.exit_code}"
                shown += f", commit {_code(proof.commit[:12])})" if proof.commit else ")"
            lines.append(f"- {_escape(item.text)}: {shown}")
    proved, criteria = report.criteria
    if not lines:
        return ""
    head = (
        f"{proved} of {criteria} criteria of landed stories are proved; {criteria - proved} are unverified."
    )
    return "## Criteria\n\n" + head + "\n" + "\n".join(lines)


def _claims(report: Report) -> str:
    """What agents say, apart from what was proved."""
    told = [(story, story.agent_says) for story in report.stories if story.agent_says is not None]
    if not told:
        return ""
    head = "Nobody has checked this. What gates have proved stands under Criteria, and only that counts."
    return f"## What the agents say\n\n{head}\n" + "\n".join(_claim(story, word) for story, word in told)


def _claim(story: StoryReport, word: AgentWord) -> str:
    lines = [f"\n{_escape(story.key)}, {_escape(word.agent)} says: {_escape(word.summary)}\n"]
    for one in word.criteria:
        places = ", ".join(map(_code, one.evidence))
        lines.append(
            f"- says {'met' if one.met else 'not met'}: {_escape(one.criterion)}{f' ({places})' if places else ''}"
        )
    for name, said in (("files", word.files), ("tests", word.tests)):
        if said:
            lines.append(f"- {name}: {', '.join(map(_code, said))}")
    lines += [f"- error: {_escape(one)}" for one in word.errors]
    lines += [f"- left to do: {_escape(one)}" for one in word.next_steps]
    return "\n".join(lines)


_SPECIAL = str.maketrans({char: "\\" + char for char in "\\`*_[]<>|#"})


def _escape(text: str) -> str:
    """Foreign text inside Markdown: one line, no markup, no table borders."""
    return one_line(text).translate(_SPECIAL)


def _code(text: str) -> str:
    """Foreign text as inline code."""
    line = one_line(text).replace("|", "\\|")
    fence = "``" if "`" in line else "`"
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"
