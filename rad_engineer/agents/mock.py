"""An agent that only rehearses: it writes a marked note, so that the whole flow can be seen without any cost."""

from rad_engineer.agents import AgentResult, AgentWork


def run(work: AgentWork) -> AgentResult:
    """Writes `REHEARSAL-<story>.md` into the slot."""
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in work.story_id)[:60]
    note = work.slot / f"REHEARSAL-{safe}.md"
    note.write_text(
        f"# Rehearsal of story {work.story_id}\n\nWritten by the mock agent (attempt {work.attempt}). "
        "Nothing was implemented, and this file never lands.\n",
        encoding="utf-8",
        errors="replace",
    )
    result = AgentResult("finished", 0, 0.0, f"mock: wrote {note.name}\n")
    if work.on_finished is not None:
        work.on_finished(result)
    return result
