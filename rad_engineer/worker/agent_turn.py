"""One turn of an agent in a slot: who is asked, in which role and with which prompt, and who is asked instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rad_engineer import agents, spans, story_files
from rad_engineer.agents import choice, cli_agents
from rad_engineer.agents.adapters import ADAPTERS, own_folder
from rad_engineer.core import prompt
from rad_engineer.core.agent_word import heard
from rad_engineer.core.prd import Story
from rad_engineer.core.secret_rules import redacted
from rad_engineer.process import Limits
from rad_engineer.sandbox import Box
from rad_engineer.worker import boxes, commits, marks, verdict, ways
from rad_engineer.worker.story_run import PATCH_LIES_IN, StoryRun, marks_of

_LEARNINGS = "learnings.txt"
_SAME_FOR_ALL = ("budget", "offline", "ledger", "human")


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked. The story's own turn has no name; others keep their files in a folder of that name."""

    where: Path
    name: str = ""
    text: str = ""  # a prompt of its own, instead of the story's
    agents: tuple[str, ...] = ()  # instead of the story's
    model: str = ""
    session: str = ""  # of the first of them, to go on with
    afresh: Callable[[], None] | None = None  # takes the slot back before another agent is asked
    finished: Callable[[], None] | None = None  # told at once when a named turn has ended well


@dataclass(frozen=True, slots=True)
class Took:
    """Who it was in the end, and how it ended."""

    agent: str
    result: agents.AgentResult


def wanted(run: StoryRun) -> choice.Hint:
    """What the story asks for, as far as it can be had in this run."""
    story = run.story
    asked = Story(story["id"], story["title"], agent=story.get("agent"), model=story.get("model"))
    return choice.hint(asked, _choice(run), run.place.rules.roles, key=_key(run))


def role_of(run: StoryRun) -> str:
    """The text of the story's role: the one that it names, else the project's own for developers, else none."""
    rules = run.place.rules
    return rules.roles.get(wanted(run).role or rules.role, "")


def assignment(run: StoryRun) -> prompt.Assignment:
    """What the story's prompt is made of."""
    story, context = run.story, run.job.get("context", {})
    return prompt.Assignment(
        story_id=story["id"],
        title=story["title"],
        text=story["text"],
        marks=marks_of(run),
        criteria=tuple(criterion["text"] for criterion in story["criteria"]),
        checks=tuple(gate.command for gate in verdict.gates_of(run)),
        notes=context.get("notes", ""),
        earlier=tuple(context.get("earlier", ())),
        learnings=tuple(context.get("learnings", ())),
        attempt=run.attempt,
        feedback=_feedback(run)[0],
        role=role_of(run),
    )


def write_prompt(run: StoryRun) -> None:
    """Writes the story's prompt."""
    text = redacted(prompt.render(assignment(run)))
    story_files.write_note(run.attempt_folder, "prompt.md", text.encode("utf-8", "replace"))


def take(run: StoryRun, turn: Turn) -> Took:
    """Asks the first agent; where that one is missing or at its limit, the next one goes on from the start."""
    names = _names(run, turn)
    for position, name in enumerate(names):
        if choice.unmetered(name, key=_key(run)):
            run.say({"event": "story_unmetered", "agent": name})
        result = _asked(run, turn, name, names[0])
        after = names[position + 1 :]
        asked_next = result.outcome == "missing" or (
            result.outcome == "later" and result.reason not in _SAME_FOR_ALL
        )
        if not (asked_next and after):
            return Took(name, result)
        why = "is not there" if result.outcome == "missing" else f"cannot go on ({result.reason or 'limit'})"
        run.say({"event": "note", "text": f"{name} {why}; {after[0]} does it"})
        if turn.afresh is not None and result.outcome == "later":
            turn.afresh()
        _set_aside(run.attempt_folder / turn.name / "agent.log", name)
        turn = replace(turn, session="")
    raise AssertionError("a chain of agents has at least one")


def expect(run: StoryRun, where: Path) -> None:
    """Begins to open the box of whoever is asked first, while the slot is prepared; the prompt is written by then."""
    turn = Turn(where)
    name = _names(run, turn)[0]
    if run.place.walled and where.is_dir():
        shown = _shown(run, turn, _prompt_file(run, turn), name)
        boxes.agent_ahead(run.place, where, shown, _home(run, name), _models(run, name))


def _asked(run: StoryRun, turn: Turn, name: str, first: str) -> agents.AgentResult:
    rules = run.place.rules
    hidden = rules.sandbox != "off" and choice.ungranted(name, rules.credentials, key=_key(run))
    if hidden:
        return agents.AgentResult("missing", output=f"{hidden}\n")
    models = _models(run, name)
    shown = _shown(run, turn, _prompt_file(run, turn), name)
    asked = ways.Asked(run.say, turn.name or "agent")
    with boxes.for_agent(run.place, turn.where, shown, _home(run, name), asked, models) as box:
        work = _work(run, turn, name, first, box)
        result = agents.agent(name).run(replace(work, base_url=models.url, token=models.token))
    for why in asked.denied:
        run.say({"event": "note", "text": why})
    return _without_marks(run, work, result)


def _without_marks(run: StoryRun, work: agents.AgentWork, result: agents.AgentResult) -> agents.AgentResult:
    """The result as it may be told, with what is to be noticed said."""
    result = marks.without(result, work.marks)
    for what, path in (("the log of the agent", work.log), ("what it has learned", work.learnings)):
        if path is not None and marks.clean_log(path, work.marks):
            result = replace(result, noticed=(*result.noticed, marks.NOTICE.format(what)))
    for text in result.noticed:
        run.say({"event": "note", "text": text})
    return result


def _set_aside(log: Path, name: str) -> None:
    """What one agent said stays, under its name, when another one begins."""
    if log.is_file():
        log.replace(log.with_name(f"agent-{name}.log"))


def _names(run: StoryRun, turn: Turn) -> tuple[str, ...]:
    if turn.agents:
        return turn.agents
    chain = run.place.rules.agents
    if run.job.get("without_key"):
        return tuple(name for name in chain if choice.unmetered(name, key=_key(run)))
    asked = wanted(run).agent
    begun = not turn.name and run.job.get("resume") and story_files.begun_transcript(run.attempt_folder)
    if begun and choice.OWN_LOOP in (asked, *chain):
        asked = choice.OWN_LOOP  # whose open transcript it is
    return tuple(dict.fromkeys((asked, *chain))) if asked else chain


def _work(run: StoryRun, turn: Turn, name: str, first: str, box: Box) -> agents.AgentWork:
    rules, story = run.place.rules, run.story
    files = run.attempt_folder / turn.name if turn.name else run.attempt_folder
    own = None if turn.text else assignment(run)
    learnings = run.attempt_folder / _LEARNINGS
    own_marks = marks_of(run, turn.name)
    return agents.AgentWork(
        story_id=story["id"].replace("\0", ""),
        title=story["title"].replace("\0", ""),
        attempt=run.attempt,
        slot=turn.where,
        prompt=files / "prompt.md",
        log=files / "agent.log",
        env={**_environment(run, name), "RAD_LEARNINGS_FILE": box.inside(learnings)},
        limits=Limits(seconds=rules.story_timeout, idle=rules.idle_timeout, grace=rules.grace),
        box=box,
        command=boxes.command_inside(run.place)[0],
        cancel=run.cancel,
        on_line=lambda line: run.say({"output": own_marks.redacted(line)}),
        on_started=None if turn.name else run.name_child,
        on_finished=_on_finished(run, turn, name),
        model=_model(run, turn, name, first),
        settings={**rules.agent_settings, **_thresholds(run), "role": own.role if own is not None else ""},
        folder=run.attempt_folder if name in ADAPTERS else files,  # a command line's sessions lie beside it
        assignment=replace(own, role="") if own is not None else None,
        hidden=_hidden(run),
        learnings=learnings,
        bound=run.place.pool.prepared(commits.slot_of(run)) if rules.workspace == "slots" else "shared",
        session=turn.session,
        marks=own_marks,
    )


def _thresholds(run: StoryRun) -> dict[str, int]:
    """From which scores on results of tools are told of, and stop the story; what a person has released goes on."""
    rules = run.place.rules
    stop = 0 if run.job.get("approved") else rules.injection_quarantine
    return {"injection_warn": rules.injection_warn, "injection_quarantine": stop}


def _prompt_file(run: StoryRun, turn: Turn) -> Path:
    """Where the prompt of a turn lies; that of the story was written before."""
    files = run.attempt_folder / turn.name if turn.name else run.attempt_folder
    if turn.text:
        story_files.write_note(files, "prompt.md", redacted(turn.text).encode("utf-8", "replace"))
    return files / "prompt.md"


def _shown(run: StoryRun, turn: Turn, prompt_file: Path, name: str) -> boxes.Shown:
    known = run.place.confined and name in ADAPTERS
    programs = cli_agents.mounts(ADAPTERS[name], run.place.user) if known else ()
    waited_for = (
        run.place.confined and not turn.name and name != choice.OWN_LOOP
    )  # whose word is its transcript
    ending = story_files.expect_end(run.attempt_folder, run.job) if waited_for else None
    hosts = ADAPTERS[name].hosts if choice.unmetered(name, key=_key(run)) else ()
    learnings, patch = run.attempt_folder / _LEARNINGS, _feedback(run)[1]
    return boxes.Shown(prompt_file, learnings, patch, programs, ending, hosts)


def _feedback(run: StoryRun) -> tuple[str, Path | None]:
    """Why the last attempt did not land, and the patch that its last line names, as it is called where agents work."""
    text = str(run.job.get("feedback", ""))
    before, mark, name = text.rpartition(PATCH_LIES_IN)
    path = Path(name)
    ours = path.suffix == ".patch" and path.is_relative_to(run.place.rundir.path) and ".." not in path.parts
    if not (mark and ours and path.is_file() and not path.is_symlink()):
        return text, None
    return (f"{before}{mark}{boxes.PATCH}" if run.place.walled else text), path


def _home(run: StoryRun, name: str) -> Path | None:
    """The home folder of an agent that goes on with its own sessions; it stays until the story has ended."""
    return run.folder / own_folder(name) if name in ADAPTERS else None


def _environment(run: StoryRun, name: str) -> dict[str, str]:
    """What an agent finds in its environment; one with an account of its own also what its row declares."""
    place = run.place
    own = ADAPTERS[name].variables if choice.unmetered(name, key=_key(run)) else ()
    trace = {"TRACEPARENT": spans.traceparent()} if spans.traceparent() else {}
    return {**place.environment, **trace, **{word: place.user[word] for word in own if word in place.user}}


def _models(run: StoryRun, name: str) -> ways.Models:
    """How an agent asks models: our own loop does it out here, whatever its commands run in."""
    if choice.unmetered(name, key=_key(run)):
        return ways.UNMETERED
    account = run.job.get("models", {})
    if name == choice.OWN_LOOP:
        return ways.Models(account.get("url", ""), account.get("token", ""))
    return ways.models_for(run.place, account)


def _on_finished(run: StoryRun, turn: Turn, name: str) -> Callable[[agents.AgentResult], None] | None:
    """Writes down that a turn has ended, before anything else can happen."""
    finished = turn.finished
    if finished is not None:
        return lambda _result: finished()
    if turn.name:
        return None
    return lambda result: run.checkpoint(
        "agent", wrote=wrote(Took(name, marks.without(result, marks_of(run))))
    )


def _model(run: StoryRun, turn: Turn, name: str, first: str) -> str:
    """The model that was named, where it can be one of this agent's: others do not know each other's names."""
    named = turn.model or (wanted(run).model if not turn.agents else "") or run.place.rules.model
    alike = choice.unmetered(name, key=_key(run)) == choice.unmetered(first, key=_key(run))
    if not (name == first or alike):
        return ""
    return choice.model_id(named) if name == choice.OWN_LOOP else named


def _key(run: StoryRun) -> bool:
    """Whether models can be asked through the gateway."""
    return bool(run.job.get("models"))


def _choice(run: StoryRun) -> choice.Choice:
    chain = run.place.rules.agents
    loose = tuple(name for name in chain if choice.unmetered(name, key=_key(run)))
    return choice.Choice(chain, run.place.rules.agent_command, "", loose, priced=run.place.rules.priced)


def _hidden(run: StoryRun) -> dict[str, str]:
    """What differs from one run or machine to the next, and what a model that is asked through us sees instead."""
    rules, patch = run.place.rules, _feedback(run)[1]
    runs = str(run.place.rundir.path)
    inner = {boxes.PATCH: str(patch).replace(runs, "$RUN_FOLDER", 1)} if patch and run.place.walled else {}
    return {
        **inner,
        runs: "$RUN_FOLDER",
        rules.cache: "$CACHE",
        rules.top: "$REPOSITORY",
        rules.run: "$RUN",
    }


def told(took: Took, models: Any) -> dict[str, Any]:
    """What a turn has cost, where nobody at the gateway counted it."""
    result = took.result
    if result.unmetered:
        return {"unmetered": True, "stated_usd": result.cost_usd, "tokens": result.tokens}
    return {} if models else {"cost_usd": result.cost_usd, "tokens": result.tokens}


def wrote(took: Took) -> dict[str, Any]:
    """Who has done the work, and what they say of it."""
    result = took.result
    said = {
        "summary": result.summary,
        "criteria": result.criteria,
        "files": result.files,
        "tests": result.tests,
        "errors": result.errors,
        "next_steps": result.next_steps,
    }
    about = {"agent": took.agent, "model": result.model, "turns": result.turns}
    return {**heard({**about, **said}).to_json(), "session": result.session}


def report(run: StoryRun, found: Mapping[str, Any]) -> None:
    """Tells what whoever did the work says of it; those who say nothing are not spoken of."""
    if found.get("summary") or found.get("criteria"):
        word = {name: value for name, value in found.items() if name != "session"}
        run.say({"event": "agent_reported", **word})
