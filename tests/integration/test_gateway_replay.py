"""A real gateway that records, and real ones that answer from that, without an upstream and without a network."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.answers import decoded
from tests import faulty_upstream as faulty
from tests.gateways import Opened, opened

STORIES = ("5f0c", "77aa")
COUNT = "/v1/messages/count_tokens"
TOOL = faulty.events({}, tool=True)
TOOL[2] = faulty.event(
    "content_block_delta",
    index=0,
    delta={"type": "input_json_delta", "partial_json": '{"command": "ls", "why": "Größe 🜚"}'},
)


class Client:
    """A client that works on a story: a prompt, turns with a tool, an end; a title beside it; and a count of tokens."""

    def __init__(self, running: Opened, story: str) -> None:
        self.running = running
        self.story = story
        self.heard: list[Any] = []

    def _ask(self, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        answer = self.running.ask("", story=self.story, messages=messages, max_tokens=100, **more)
        assert answer.status_code == 200, answer.text
        said = decoded(answer.content) if answer.content.startswith(b"event") else answer.json()
        self.heard.append(said)
        return said

    def work(self, prompt: str = "tool") -> list[Any]:
        system = [{"type": "text", "text": "You write code.", "cache_control": {"type": "ephemeral"}}]
        self._ask([{"role": "user", "content": "a title"}], system="You name things.")
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        self._ask(messages, path=COUNT)
        for stream in (True, False, True):
            said = self._ask(messages, system=system, stream=stream)
            uses = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": name, "content": "1 passed in 0.02s"} for name in uses
            ]
            messages = [*messages, {"role": "assistant", "content": said["content"]},
                        {"role": "user", "content": results or f"go on, {self.story}"}]  # fmt: skip
        return self.heard


def plans() -> dict[str, list[faulty.Move]]:
    async def counts(wire: faulty.Wire) -> None:
        is_count = "max_tokens" in wire.data and "system" not in wire.data
        await (faulty.raw(200, b'{"input_tokens":7}') if is_count else faulty.streams(*TOOL))(wire)

    return {"tool": [counts]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """A recording of a whole run of two stories, and what each heard."""
    folder = tmp_path_factory.mktemp("recorded")
    with (
        faulty.serve(plans()) as upstream,
        opened(folder / "g", upstream.url, record=str(folder / "r")) as running,
    ):
        heard = {story: Client(running, story).work() for story in STORIES}
        assert running.named("unrecorded") == []
    return folder / "r", heard


def nowhere() -> str:
    """A base URL where nobody is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_whole_run_is_played_again_without_a_network_and_without_drift(recorded, tmp_path):
    folder, heard = recorded
    elsewhere = shutil.copytree(folder, tmp_path / "another" / "place")
    with opened(tmp_path / "g", f"replay:{elsewhere}") as running:
        for story in reversed(STORIES):
            assert Client(running, story).work() == heard[story]
        assert running.named("spend") == running.named("refused") == []


def test_one_changed_byte_of_a_prompt_is_a_409_that_names_the_field(recorded, tmp_path):
    with opened(tmp_path, f"replay:{recorded[0]}") as running:
        answer = running.ask(
            "", system="You write code!", messages=[{"role": "user", "content": "tool"}], story="5f0c"
        )
        assert answer.status_code == 409
        assert answer.headers["x-should-retry"] == "false"
        error = answer.json()
        assert error["rad"]["reason"] == "drift"
        assert "system[0].text differs from character 14 on: 'You write code!'" in error["error"]["message"]
        assert running.door.standing("5f0c", 1)["reason"] == "drift"


def test_a_recording_holds_no_key_no_token_and_no_path_of_this_machine(recorded, tmp_path):
    folder, _ = recorded
    text = "".join(path.read_text() for path in folder.rglob("*.json"))
    for planted in ("sk-ant", "rad.", str(folder), "Bearer", "authorization"):
        assert planted not in text, planted
    assert "Größe 🜚" in text
    assert all(json.loads(path.read_text())["schema_version"] == 1 for path in folder.rglob("*.json"))


def test_a_count_that_was_not_recorded_is_estimated(recorded, tmp_path):
    with opened(tmp_path, f"replay:{recorded[0]}") as running:
        counted = running.ask("never asked", path=COUNT)
        assert (counted.status_code, counted.headers["x-rad-estimate"]) == (200, "true")
        assert running.ask(
            "", messages=[{"role": "user", "content": "tool"}], story="5f0c", path=COUNT
        ).json() == {"input_tokens": 7}


def test_answers_that_were_shared_or_cached_are_recorded_for_everyone(tmp_path):
    with faulty.serve() as upstream:
        settings = {"record": str(tmp_path / "r"), "cache_folder": str(tmp_path / "cache")}
        with opened(tmp_path / "g", upstream.url, **settings) as running:
            for story in ("s0", "s1", "s1"):  # asked, cached, kept
                assert running.ask("same", story=story, stream=True).status_code == 200
            assert [event["tier"] for event in running.named("cached")] == ["cache", "cache"]
        assert upstream.calls["same"] == 1
    with opened(tmp_path / "again", f"replay:{tmp_path / 'r'}") as running:
        for story in ("s0", "s1"):
            assert running.ask("same", story=story).json()["content"][0]["text"] == "well"


@pytest.mark.parametrize("forced", [True, False], ids=["ordered", "no upstream"])
def test_offline_answers_from_the_cache_and_the_recording_else_the_story_waits(recorded, tmp_path, forced):
    cache = str(tmp_path / "cache")
    with faulty.serve() as upstream, opened(tmp_path / "one", upstream.url, cache_folder=cache) as running:
        assert running.ask("cached").status_code == 200
    record = str(shutil.copytree(recorded[0], tmp_path / "r"))
    settings = {"cache_folder": cache, "record": record, "offline": forced, "first_wait": 0.001}
    with opened(tmp_path / "two", nowhere(), **settings) as running:
        assert running.ask("cached", story="other").json()["content"][0]["text"] == "well"
        title = {"system": "You name things.", "messages": [{"role": "user", "content": "a title"}]}
        assert running.ask("", story="77aa", **title).json()["content"][0]["text"] == "well"
        refused = running.ask("never asked", story="5f0c")
        assert (refused.status_code, refused.json()["rad"]["reason"]) == (503, "offline")
        assert "rad-engineer resume" in refused.json()["error"]["message"]
        assert running.door.standing("5f0c", 1) | {"reason": "offline"} == running.door.standing("5f0c", 1)
        assert running.named("spend") == []


def test_folders_that_cannot_be_used_are_refused_before_anything_starts(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("x")
    for settings in (
        {"upstream": f"replay:{tmp_path}"},
        {"upstream": "mock", "record": str(tmp_path / "full")},
    ):
        with pytest.raises(ConfigInvalid, match="recording"), opened(tmp_path / "g", **settings):
            pass
