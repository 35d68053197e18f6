"""The loop: ask, carry out what was asked for, write both down, until there is a report."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rad_engineer import trail
from rad_engineer.agents import AgentResult, AgentWork
from rad_engineer.agents.anthropic import prompts, requests
from rad_engineer.agents.anthropic.calls import TOO_LONG, AskLater, CallFailed, Line
from rad_engineer.agents.anthropic.confinement import mask
from rad_engineer.agents.anthropic.outcome import Ended, result_of
from rad_engineer.agents.anthropic.report import Report, validated
from rad_engineer.agents.anthropic.seam import Execute, Stopped, ToolResult
from rad_engineer.agents.anthropic.transcript import REPORT, SHELL, Conversation, texts
from rad_engineer.agents.anthropic.transcript_file import Transcript, open_transcript
from rad_engineer.agents.anthropic.workbench import CAPS, Workbench
from rad_engineer.core import injection
from rad_engineer.process import boot_id
from rad_engineer.spans import Doing, span

MODEL = "claude-sonnet-5-5"
"""Who is asked where nobody was named."""

_READ_ONLY = frozenset({"read", "glob", "grep", "record_learning", REPORT})
_MOST_CUT_SHORT = 3
BYTES_PER_TOKEN = 2  # where nobody counts
LEAST_OF_A_RESULT = 500  # characters
_DEFAULTS: Mapping[str, Any] = {
    "max_turns": 150,
    "max_tokens": 16_000,
    "context_tokens": 150_000,
    "thinking": "adaptive",
    "effort": "",
    "role": "",
    "command_seconds": 600.0,
    "injection_warn": injection.WARN,
    "injection_quarantine": 0,
}


def run(work: AgentWork) -> AgentResult:
    """Works on the story until it is done, failed or stopped, or goes on where an earlier process was cut off."""
    begun = time.monotonic()
    if not work.base_url:
        return AgentResult("missing", output="there is nobody to ask: no gateway was started for this run\n")
    until = None if work.limits.seconds is None else begun + work.limits.seconds
    settings = {**_DEFAULTS, **{name: value for name, value in work.settings.items() if value is not None}}
    folder = work.folder or work.prompt.parent
    transcript = open_transcript(folder, {"boot": boot_id(), "bound": work.bound})
    tools = Workbench(
        work.slot, work.env, work.learnings or folder / "learnings.txt", box=work.box,
        hidden=work.hidden, cancel=work.cancel, until=until, seconds=_command_seconds(settings, work),
    )  # fmt: skip
    line = Line(work.base_url, work.token, cancel=work.cancel, until=until, idle=work.limits.idle)
    try:
        if not transcript.now.start:
            transcript.write("start", **_start(work, settings))
        elif transcript.now.shell_used:
            transcript.write("resumed")
        with work.log.open("a", encoding="utf-8", errors="replace") as log:
            tell = _teller(work, log)
            loop = Loop(transcript, tools.execute, line, work, settings, tell)
            ended = loop.until_end()
            if ended.report is None:
                tell(f"{ended.outcome}: {ended.detail}".rstrip(": "))
    finally:
        line.close()
        tools.close()
        transcript.close()
    result = replace(result_of(ended, transcript.now, time.monotonic() - begun), noticed=loop.noticed)
    if result.outcome == "finished" and work.on_finished is not None:
        work.on_finished(result)
    return result


def _command_seconds(settings: Mapping[str, Any], work: AgentWork) -> float:
    """How long a command may take: no longer than the silence that is allowed."""
    seconds = float(settings["command_seconds"])
    return seconds if work.limits.idle is None else min(seconds, work.limits.idle)


def _start(work: AgentWork, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What every request of the attempt begins with; kept, so that a later version goes on with the same."""
    masked = mask(work.slot, work.hidden, work.box.inside(work.slot))
    plain = "" if work.assignment is not None else work.prompt.read_text("utf-8", "replace")
    first = prompts.first_message(work.assignment, plain, work.marks)
    return {
        "boot": boot_id(),
        "bound": work.bound,
        "options": {
            "model": work.model or MODEL,
            "max_tokens": int(settings["max_tokens"]),
            "thinking": settings["thinking"],
            "effort": settings["effort"],
        },
        "system": prompts.system(str(settings["role"]), work.marks),
        "tools": prompts.tools(CAPS["str_replace_based_edit_tool"]),
        "first": [{**block, "text": masked(block["text"])} for block in first],
    }


def _teller(work: AgentWork, log: Any) -> Callable[[str], None]:
    def tell(line: str) -> None:
        line = work.marks.redacted(line)
        log.write(f"{line}\n")
        log.flush()
        if work.on_line is not None:
            work.on_line(line.splitlines()[0][:200])

    return tell


class Loop:
    """The steps of one attempt; where it stands is the transcript's to say."""

    def __init__(
        self,
        transcript: Transcript,
        execute: Execute,
        line: Line,
        work: AgentWork,
        settings: Mapping[str, Any],
        tell: Callable[[str], None],
    ) -> None:
        self._transcript = transcript
        self._execute = execute
        self._line = line
        self._settings = settings
        self._criteria = len(work.assignment.criteria) if work.assignment is not None else 0
        self._marks = work.marks
        self._tell = tell
        self.noticed: tuple[str, ...] = ()
        self._turn: Doing | None = None

    @property
    def _now(self) -> Conversation:
        return self._transcript.now

    def until_end(self) -> Ended:
        """Goes step by step until the attempt has ended."""
        try:
            while True:
                ended = self._step()
                if ended is not None:
                    return ended
        except Stopped as stopped:
            return Ended(stopped.reason)
        except AskLater as later:
            return Ended("later", str(later), retry_at=later.retry_at, reason=later.reason)
        except CallFailed as failed:
            return Ended("failed", str(failed), reason=failed.reason)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.end()

    def _step(self) -> Ended | None:
        now = self._now
        failed = self._given_up(now)
        if failed:
            return Ended("failed", failed)
        if now.next == "done":
            return self._reported(now)
        if now.next == "ask":
            return self._ask(now)
        if now.next == "tools":
            self._carry_out(now)
        elif now.next == "summary":
            self._begin_anew(now)
        else:
            self._end_of_turn(now)
        return None

    def _given_up(self, now: Conversation) -> str:
        """Why the attempt cannot go on; empty where it can."""
        stop = now.answer["stop"] if now.answer is not None else ""
        if stop == "refusal":
            return f"the model refused: {texts(now.answer['content'])[:2000]}" if now.answer else ""
        if stop == "model_context_window_exceeded" and now.compacting and not now.says:
            return "the conversation does not fit into the model's window"
        if now.cut_short >= _MOST_CUT_SHORT:
            return f"{now.cut_short} answers in a row were longer than max_tokens"
        if now.nudges > 1:
            return "the model ended its turn twice without a report"
        if now.repairs > 1:
            return "the report was not valid, twice"
        return ""

    def _reported(self, now: Conversation) -> Ended:
        report = Report.model_validate(now.report)
        return Ended("finished" if report.status == "done" else "failed", report.summary, report=report)

    def _ask(self, now: Conversation) -> Ended | None:
        full = now.answer is not None and now.answer["stop"] == "model_context_window_exceeded"
        if not now.says and (full or self._nearly_full(now)):
            self._compact(now, of_all=full)
        if now.turns >= self._settings["max_turns"]:
            return Ended("failed", f"no report after {now.turns} turns")
        self._end_turn()
        self._turn = Doing("agent turn", **{"rad.turn": now.turns + 1})
        try:
            answer = self._line.ask(requests.body(now))
        except CallFailed as failed:
            if failed.reason != TOO_LONG or now.compacting or not now.turns:
                raise
            self._compact(now, of_all=True)
            return None
        self._transcript.write(
            "answer", content=answer.content, stop=answer.stop, usage=answer.usage, window=answer.window,
            model=answer.model,
        )  # fmt: skip
        self._tell(f"turn {now.turns}: {texts(answer.content) or answer.stop}")
        return None

    def _nearly_full(self, now: Conversation) -> bool:
        """Whether the next request would be longer than a conversation may grow.

        No token is shorter than a byte, so as long as that many more would fit nobody is asked; then the model counts.
        """
        limit = int(self._settings["context_tokens"])
        if not now.window or now.window + now.added <= limit:
            return False
        if now.window > limit:
            return True
        counted = self._line.count(requests.body(now))
        return (now.window + now.added // BYTES_PER_TOKEN if counted is None else counted) > limit

    def _compact(self, now: Conversation, *, of_all: bool) -> None:
        """Asks for a summary; what the turn has brought goes along as far as there is room for it.

        `of_all`: the model's window is smaller than was thought, so what earlier turns have brought is shortened too.
        """
        room = 0 if of_all else self._settings["context_tokens"] - now.window
        each = max(LEAST_OF_A_RESULT, room // max(1, len(now.results)))
        more = {"left": each, "of_all": of_all} if of_all or now.added > room else {}
        self._transcript.write("say", why="compact", text=prompts.COMPACT, **more)

    def _begin_anew(self, now: Conversation) -> None:
        text = texts(now.answer["content"]).strip() if now.answer is not None else ""
        text = self._marks.defused(text) or prompts.NO_SUMMARY
        self._transcript.write("compacted", summary=prompts.SUMMARY.format(text=text))
        self._tell("the conversation was compacted")

    def _end_of_turn(self, now: Conversation) -> None:
        """The model said something and called nothing."""
        stop = now.answer["stop"] if now.answer is not None else ""
        if stop == "max_tokens":
            self._transcript.write("say", why="continue", text=prompts.TOO_LONG)
        elif stop == "model_context_window_exceeded":
            self._compact(now, of_all=True)
        else:
            self._transcript.write("say", why="repair", text=prompts.NO_REPORT)

    def _carry_out(self, now: Conversation) -> None:
        """Carries out the calls of an answer in order; a report comes last."""
        uses = now.uses
        cut = now.answer is not None and now.answer["stop"] in ("max_tokens", "model_context_window_exceeded")
        for number in sorted(range(len(uses)), key=lambda at: (uses[at]["name"] == REPORT, at)):
            if number in now.results:
                continue
            if cut:
                self._told(number, ToolResult(prompts.CUT_CALL, error=True))
            elif uses[number]["name"] == REPORT:
                self._take_report(number, uses[number]["input"])
            else:
                self._call(now, number, uses[number])

    def _call(self, now: Conversation, number: int, use: Mapping[str, Any]) -> None:
        name, given = use["name"], use["input"]
        shell = name == SHELL
        if number in now.begun and not _only_looks(name, given):
            more = prompts.SHELL_RESTARTED if shell else ""
            self._told(
                number, ToolResult(prompts.INTERRUPTED.format(more=more), error=True, shell_gone=shell)
            )
            return
        if shell and now.shell_lost:
            text = prompts.NOT_RUN.format(more=prompts.SHELL_RESTARTED)
            self._told(number, ToolResult(text, error=True, shell_gone=True))
            return
        self._tell(f"  {name}: {_in_short(given)}")
        if number not in now.begun:
            self._transcript.write("begun", n=number, id=use["id"])
        with span("tool", **{"rad.tool": name}):
            found = self._execute(name, given)
        if self._marks.find(found.text) is not None:
            self._notice("what a tool printed had the marks of this run in it: they were taken out")
        self._suspect(name, found.text)
        self._told(number, replace(found, text=self._marks.fence(found.text)))

    def _told(self, number: int, result: ToolResult) -> None:
        more = {"shell": "gone"} if result.shell_gone else {}
        self._transcript.write("result", n=number, text=result.text, error=result.error, **more)

    def _suspect(self, name: str, text: str) -> None:
        """Tells of a result that may be meant to steer the model; raises AskLater where it is too much."""
        warn, stop = self._settings["injection_warn"], self._settings["injection_quarantine"]
        if not (warn or stop):
            return
        found = injection.look(text)
        score = injection.score(found)
        told = f"what {name} read may be meant to steer the agent (score {score}): line {'; '.join(map(str, found[:3]))}"
        held = 0 < stop <= score
        if held or 0 < warn <= score:
            trail.tell("injection", where=name, score=score, decision="held" if held else "warned",
                       found=[one.rule for one in found])  # fmt: skip
        if held:
            self._notice(told)
            raise AskLater(told, "human", None)
        if 0 < warn <= score:
            self._notice(told)

    def _notice(self, text: str) -> None:
        if text not in self.noticed:
            self.noticed += (text,)
            self._tell(text)

    def _take_report(self, number: int, given: Mapping[str, Any]) -> None:
        found = validated(given, self._criteria, self._marks.token)
        if isinstance(found, Report):
            self._transcript.write("report", report=_each_text(found.model_dump(), self._marks.redacted))
            self._tell(f"report: {found.status}: {found.summary}")
        else:
            self._told(number, ToolResult(f"this report is not valid:\n{found}", error=True))


def _only_looks(name: str, given: Mapping[str, Any]) -> bool:
    """Whether a call may be made again: it changes nothing, or nothing the second time."""
    return name in _READ_ONLY or (name == "str_replace_based_edit_tool" and given.get("command") == "view")


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each of its texts changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [_each_text(part, change) for part in value]
        case dict():
            return {name: _each_text(part, change) for name, part in value.items()}
    return value


def _in_short(given: Mapping[str, Any]) -> str:
    return " ".join(str(given.get("command") or given.get("path") or given.get("pattern") or "").split())[
        :160
    ]
