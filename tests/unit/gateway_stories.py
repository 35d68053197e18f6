"""Stories whose conversations are recorded, for tests of recordings."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rad_engineer.gateway.answers import decoded, encoded
from rad_engineer.gateway.exchange import Answer, Call, Whole
from rad_engineer.gateway.recording import Recorder
from tests.unit.gateway_calls import asked, call, message

JSON = {"content-type": "application/json"}
SYSTEM = "You write code."
TOOLS = [{"name": "bash", "input_schema": {"type": "object"}}]


def plain(said: Mapping[str, Any], status: int = 200) -> Whole:
    return Whole(status, JSON, json.dumps(said).encode())


def streamed(said: Mapping[str, Any]) -> bytes:
    return b"".join(encoded(said))


def use(number: int, command: str = "ls") -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": "bash", "input": {"command": command}}
    return message(f"turn {number}", block, stop="tool_use", id=f"msg_{number}")


class Story:
    """A client that leads one conversation: each request is the one before, the answer, and the results of its tools."""

    def __init__(self, prompt: str = "Add a greeting.", system: str = SYSTEM, **session: Any) -> None:
        self.data = asked(prompt, system=system, tools=TOOLS, stream=True)
        self.session = session
        self.number = 0

    def ask(self, **more: Any) -> Call:
        self.number += 1
        return call({**self.data, **more}, number=self.number, **self.session)

    def heard(self, said: Mapping[str, Any], output: str = "done") -> None:
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": output}
            for block in said["content"] if block["type"] == "tool_use"
        ]  # fmt: skip
        turn = {"role": "assistant", "content": said["content"]}
        self.data["messages"] = [*self.data["messages"], turn, {"role": "user", "content": results}]


def record(folder: Path, answers: int = 4, **session: Any) -> list[dict[str, Any]]:
    recorder, story = Recorder(folder), Story(**session)
    said = [use(number) for number in range(1, answers)] + [message("finished")]
    for one in said:
        assert recorder.keep(story.ask(), streamed(one))
        story.heard(one)
    return said


async def _all(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer])


def heard(answer: Answer) -> Any:
    """What a client makes of an answer."""
    return json.loads(answer.body) if isinstance(answer, Whole) else decoded(asyncio.run(_all(answer)))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
