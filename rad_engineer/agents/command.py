"""An agent that is any command line: prompt on stdin and in RAD_PROMPT_FILE, exit code as its word."""

import os

from rad_engineer import process
from rad_engineer.agents import AgentOutcome, AgentResult, AgentWork

TRY_LATER = 75  # EX_TEMPFAIL of sysexits.h


def run(work: AgentWork) -> AgentResult:
    """Runs the command in the slot. Exit 0 = finished, 75 = try later, 126/127 = no such command, else failed."""
    env = {
        **work.env,
        "RAD_PROMPT_FILE": work.box.inside(work.prompt),
        "RAD_STORY_ID": _as_utf8(work.story_id),
        "RAD_STORY_TITLE": _as_utf8(work.title),
        "RAD_ATTEMPT": str(work.attempt),
        **_models(work),
    }
    ended = work.box.run(
        process.shell(work.command),
        cwd=work.slot,
        env=env,
        stdin=work.prompt,
        log=work.log,
        limits=work.limits,
        cancel=work.cancel,
        on_line=work.on_line,
        on_start=work.on_started,
        on_exit=lambda code: _tell_finished(work, code),
    )
    return AgentResult(_outcome(ended), ended.code, ended.seconds, ended.output)


def _tell_finished(work: AgentWork, code: int) -> None:
    if code == 0 and work.on_finished is not None:
        work.on_finished(AgentResult("finished", code))


def _models(work: AgentWork) -> dict[str, str]:
    """Where models are asked, as every client of them reads it: the token stands where a key would."""
    if not work.base_url:
        return {}
    here = ",".join(filter(None, [work.env.get("NO_PROXY"), "127.0.0.1,localhost,::1"]))
    return {"ANTHROPIC_BASE_URL": work.base_url, "ANTHROPIC_API_KEY": work.token,
            "ANTHROPIC_AUTH_TOKEN": work.token, "NO_PROXY": here, "no_proxy": here}  # fmt: skip


def _as_utf8(text: str) -> str:
    """Text that reaches a child as UTF-8 whatever the locale is."""
    return os.fsdecode(text.encode("utf-8", "replace"))


def _outcome(ended: process.Completed) -> AgentOutcome:
    if ended.reason == "not-started" or (ended.reason == "exited" and ended.code in (126, 127)):
        return "missing"
    if ended.reason != "exited":
        return ended.reason
    if ended.code == TRY_LATER:
        return "later"
    return "finished" if ended.code == 0 else "failed"
