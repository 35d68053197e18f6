"""Texts that may be meant to steer an agent, before one is told them: what is said of them, and which story waits."""

from collections.abc import Iterator

from rad_engineer import trail
from rad_engineer.core import injection
from rad_engineer.core.printable import one_line
from rad_engineer.outcome import Outcome
from rad_engineer.worker.story_run import StoryRun

_MOST_TOLD = 3


def of_story(run: StoryRun) -> Outcome | None:
    """Tells of what speaks to agents in what this one is to be told; where it is too much, the story waits for a person."""
    rules = run.place.rules
    if run.job.get("approved") or not (rules.injection_warn or rules.injection_quarantine):
        return None
    stop = False
    for name, text in _texts(run):
        found = injection.look(text)
        score = injection.score(found)
        stop = stop or 0 < rules.injection_quarantine <= score
        if found and (stop or 0 < rules.injection_warn <= score):
            trail.tell("injection", where=name, score=score, decision="held" if stop else "warned",
                       found=[one.rule for one in found])  # fmt: skip
            told = "; ".join(one_line(str(one)) for one in found[:_MOST_TOLD])
            run.say(
                {
                    "event": "note",
                    "text": f"{name} may be meant to steer an agent (score {score}): line {told}",
                }
            )
    return Outcome("later", reason="human") if stop else None


def _texts(run: StoryRun) -> Iterator[tuple[str, str]]:
    story, context = run.story, run.job.get("context", {})
    parts = [
        story["id"],
        story["title"],
        story["text"],
        *(criterion["text"] for criterion in story["criteria"]),
    ]
    yield "its text", "\n".join(dict.fromkeys(parts))
    yield "what the PRD says to every story", context.get("notes", "")
    yield (
        "what earlier stories have left",
        "\n".join((*context.get("earlier", ()), *context.get("learnings", ()))),
    )
    yield "why its last attempt did not land", str(run.job.get("feedback", ""))
