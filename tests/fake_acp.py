"""An agent that speaks the Agent Client Protocol with the library's own agent side; a plan says what it does with a prompt.

Run as a program: `python fake_acp.py FOLDER`. `install` puts it where an adapter looks for its agent.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

PLAN: dict[str, Any] = {"steps": [], "can": {"loadSession": True}, "version": 1, "by": []}


def install(name: str, folder: Path) -> "FakeAcp":
    """Puts the program of that agent into `folder/bin`."""
    from rad_engineer.agents.adapters import ADAPTERS  # noqa: PLC0415 - the program needs none of it

    place, program = folder / f"fake-{name.replace(':', '-')}", folder / "bin" / ADAPTERS[name].program
    place.mkdir(parents=True)
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) echo "{name} 1.2.3"; exit;; esac\n'
        f'exec {sys.executable} -W ignore {__file__} {place} "$@"\n'
    )
    program.chmod(0o755)
    return FakeAcp(place)


class FakeAcp:
    """One installed program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan()

    def plan(self, *steps: Any, **more: Any) -> None:
        """What it does from now on."""
        (self.folder / "plan.json").write_text(json.dumps({**PLAN, "steps": steps, **more}))

    def heard(self, what: str = "") -> list[Any]:
        """What it was asked, and what it was answered, in order."""
        path = self.folder / "heard.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [one[what] for one in found if what in one] if what else found


def _takes(path: Path) -> bool:
    try:
        path.touch()
    except OSError:
        return False
    return True


class Agent:
    """The agent's side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder if _takes(folder / "heard.jsonl") else Path(os.environ["HOME"])
        self._place = Path.cwd()
        self._plan = json.loads((folder / "plan.json").read_text())
        self._cancelled = asyncio.Event()
        self._client: Any = None
        self._calls = 0
        self._note(argv=sys.argv, env=dict(os.environ), cwd=str(Path.cwd()), pid=os.getpid())

    def on_connect(self, client: Any) -> None:
        self._client = client

    def _note(self, **what: Any) -> None:
        with (self._folder / "heard.jsonl").open("a") as handle:
            handle.write(json.dumps(what) + "\n")

    async def initialize(self, protocol_version: int, client_capabilities: Any, **_more: Any) -> Any:
        self._note(initialize=protocol_version, can=client_capabilities.model_dump(exclude_none=True))
        return s.InitializeResponse.model_validate(
            {"protocolVersion": self._plan["version"], "agentCapabilities": self._plan["can"]}
        )

    async def new_session(self, cwd: str, **_more: Any) -> Any:
        session = f"ses-{len(list(self._folder.glob('ses-*'))) + 1}"
        (self._folder / session).touch()
        self._note(new=session, at=cwd)
        return s.NewSessionResponse(session_id=session)

    async def load_session(self, cwd: str, session_id: str, **_more: Any) -> Any:
        self._note(load=session_id, at=cwd)
        if not (self._folder / session_id).exists():
            raise acp.RequestError.resource_not_found(session_id)
        await self._client.session_update(session_id, acp.update_agent_message_text("what was said before"))
        return s.LoadSessionResponse()

    async def resume_session(self, cwd: str, session_id: str, **_more: Any) -> Any:
        self._note(resume=session_id, at=cwd)
        return s.ResumeSessionResponse()

    async def cancel(self, session_id: str, **_more: Any) -> None:
        self._note(cancel=session_id)
        self._cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **_more: Any) -> Any:
        text = "".join(block.text for block in prompt)
        self._note(prompt=text, session=session_id)
        steps = next(
            (rule["steps"] for rule in self._plan["by"] if rule["when"] in text), self._plan["steps"]
        )
        end: dict[str, Any] = {"stopReason": "end_turn"}
        for name, *given in steps:
            end |= await getattr(self, f"do_{name}")(session_id, *given) or {}
        return s.PromptResponse.model_validate(end)

    async def do_say(self, session: str, *pieces: str) -> None:
        for piece in pieces:
            await self._client.session_update(session, acp.update_agent_message_text(piece))

    async def do_tool(self, session: str, kind: str, title: str, given: Any) -> None:
        """A tool call as opencode tells it: first that there is one, then what it is, then that it is over."""
        self._calls += 1
        name = f"call-{self._calls}"
        start = acp.start_tool_call(name, kind, kind=kind, status="pending", raw_input={})
        await self._client.session_update(session, start)
        for status in ("in_progress", "completed"):
            update = acp.update_tool_call(name, title=title, status=status, raw_input=given)
            await self._client.session_update(session, update)

    async def do_ask(self, session: str, call: dict[str, Any], *kinds: str) -> None:
        tool = s.ToolCallUpdate.model_validate({"toolCallId": "asked", "status": "pending", **call})
        kinds = kinds or ("allow_always", "allow_once", "reject_once")
        options = [s.PermissionOption(option_id=f"the-{kind}", name=kind, kind=kind) for kind in kinds]
        answer = await self._client.request_permission(session_id=session, tool_call=tool, options=options)
        self._note(
            asked=answer.outcome.model_dump(exclude_none=True).get("option_id", answer.outcome.outcome)
        )

    async def do_read(self, session: str, path: str, **more: Any) -> None:
        await self._try(
            self._client.read_text_file(session_id=session, path=os.path.expandvars(path), **more)
        )

    async def do_write(self, session: str, path: str, content: str) -> None:
        path = os.path.expandvars(path)
        await self._try(self._client.write_text_file(session_id=session, path=path, content=content))

    async def _try(self, asked: Any) -> None:
        try:
            answer = await asked
        except acp.RequestError as error:
            self._note(refused=[error.code, (error.data or {}).get("details", str(error))])
        else:
            self._note(given=getattr(answer, "content", None))

    async def do_make(self, _session: str, name: str, text: str) -> None:
        (self._place / name).write_text(text)

    async def do_spend(self, session: str, usd: float, sent: int, received: int) -> dict[str, Any]:
        cost = s.Cost(amount=usd, currency="USD")
        await self._client.session_update(
            session, s.UsageUpdate(session_update="usage_update", used=1, size=2, cost=cost)
        )
        usage = {
            "totalTokens": sent + received,
            "inputTokens": sent - 40,
            "outputTokens": received,
            "cachedReadTokens": 40,
        }
        return {"usage": usage}

    async def do_die(self, _session: str, number: int) -> None:
        os.kill(os.getpid(), number)

    async def do_wait(self, _session: str, child: bool = False) -> dict[str, Any]:
        """Until it is cancelled; it lets nobody else end it, and may have a process that does not end either."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: self._note(term=True))
        if child:
            await asyncio.create_subprocess_exec(
                "sh", "-c", "trap '' TERM; sleep 600 & wait", start_new_session=True
            )
        self._note(waits=True)
        await self._cancelled.wait()
        return {"stopReason": "cancelled"}


if __name__ == "__main__":
    import acp
    import acp.schema as s

    try:
        asyncio.run(acp.run_agent(Agent(Path(sys.argv[1])), use_unstable_protocol=True))  # type: ignore[arg-type]
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit(130)
