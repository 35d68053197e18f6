"""How recorded exchanges lie on disk: JSON that people read, commit and compare.

    recording.json                        what this folder is
    lanes/<lane>.json                     model, system prompt and tools of a lane, once for all stories
    stories/<story>/<attempt>/<number>-<lane>.json

An exchange names the one that it goes on from, and how many messages the two have in common; it holds the others.
The answer of the earlier one counts as its last message, so that each text stands in a recording once.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rad_engineer.durable import SCHEMA_VERSION, check_version, replace, writing
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.normal_form import fingerprint, normal_message
from rad_engineer.gateway.redaction import Redaction

_LANE = ("path", "model", "system", "tools")
_NAME = re.compile(r"(\d+)-([0-9a-f]+)\.json")
_ODD = re.compile(r"[^A-Za-z0-9_.-]|^\.")
_PLAIN = Redaction()


@dataclass(frozen=True)
class Exchange:
    """One request in normal form with its answer: `{"status": 200, "message": …}`, or with a `body` for what is none."""

    number: int
    lane: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its file, without a suffix."""
        return f"{self.number:04d}-{self.lane}"

    @cached_property
    def fingerprint(self) -> str:
        """Names the request by what it says."""
        return fingerprint(self.request)

    @cached_property
    def conversation(self) -> Sequence[Any]:
        """The messages of the request, and the answer as the next request will have it."""
        messages = list(self.request["messages"])
        said = self.answer.get("message")
        if not isinstance(said, Mapping) or "content" not in said:
            return messages
        return [*messages, normal_message({"role": "assistant", "content": said["content"]}, _PLAIN)]


def story_folder(folder: Path, story: str, attempt: int) -> Path:
    """Where the exchanges of an attempt lie. A client of a gateway that runs alone has a story without a name."""
    return folder / "stories" / (_ODD.sub(lambda odd: f"%{ord(odd[0]):02x}", story) or "_") / str(attempt)


def create(folder: Path) -> None:
    """Makes a folder a recording; raises what `check` raises for one that is something else."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if (folder / "recording.json").exists():
        check(folder)
    elif any(folder.iterdir()):
        raise ConfigInvalid(
            f"{folder} holds files and is no recording", hint="record into a new or an empty folder"
        )
    else:
        replace(folder / "recording.json", _page({"what": "exchanges with a model, for replay"}))


def check(folder: Path) -> None:
    """Raises ConfigInvalid or LaterVersion for a folder that cannot be replayed."""
    _read(folder / "recording.json")


def pages(
    folder: Path, story: str, attempt: int, exchange: Exchange, before: Sequence[Exchange]
) -> dict[Path, bytes]:
    """The files that add an exchange, or replace the one of its number and lane.

    `before` are those that it may go on from. Makes the folders that are missing.
    """
    request = {name: value for name, value in exchange.request.items() if name not in _LANE}
    messages = request.pop("messages")
    same, earlier = max(
        ((_common(one.conversation, messages), one) for one in before if one.number < exchange.number),
        key=lambda found: (found[0], found[1].number),
        default=(0, None),
    )
    if earlier is not None and same:
        request |= {"goes_on_from": earlier.name, "common_messages": same}
    request["messages"] = messages[same:]
    place = story_folder(folder, story, attempt)
    lane = folder / "lanes" / f"{exchange.lane}.json"
    for each in (place, lane.parent):
        with writing(each):
            each.mkdir(parents=True, exist_ok=True)
    found = {}
    if not lane.exists():
        found[lane] = _page({name: exchange.request[name] for name in _LANE if name in exchange.request})
    found[place / f"{exchange.name}.json"] = _page({"request": request, "answer": exchange.answer})
    return found


def read(folder: Path, story: str, attempt: int) -> list[Exchange]:
    """All exchanges of an attempt, in the order in which they came; empty where there are none."""
    place = story_folder(folder, story, attempt)
    if not place.is_dir():
        return []
    found: dict[str, Exchange] = {}
    lanes: dict[str, dict[str, Any]] = {}
    named = [(path, name) for path in place.iterdir() if (name := _NAME.fullmatch(path.name))]
    for path, name in sorted(named, key=lambda found: (int(found[1][1]), found[1][2])):
        if name[2] not in lanes:
            lanes[name[2]] = _read(folder / "lanes" / f"{name[2]}.json")
        exchange = _exchange(_read(path), path, int(name[1]), name[2], lanes[name[2]], found)
        found[exchange.name] = exchange
    return list(found.values())


def attempts(folder: Path, story: str) -> list[int]:
    """The attempts at a story that were recorded."""
    place = story_folder(folder, story, 0).parent
    return sorted(int(path.name) for path in place.iterdir() if path.name.isdigit()) if place.is_dir() else []


def _exchange(data: dict[str, Any], path: Path, number: int, lane: str, fixed: Mapping[str, Any],
              found: Mapping[str, Exchange]) -> Exchange:  # fmt: skip
    try:
        request = dict(data["request"])
        earlier = request.pop("goes_on_from", None)
        same = request.pop("common_messages", 0)
        if earlier is not None:
            request["messages"] = [*found[earlier].conversation[:same], *request["messages"]]
        of_lane = {name: value for name, value in fixed.items() if name in _LANE}
        return Exchange(number, lane, {**of_lane, **request}, _answer(data["answer"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, f"there is no {error}") from error


def _answer(found: Any) -> Mapping[str, Any]:
    """An answer that can be given; raises KeyError and TypeError for what is none."""
    if not isinstance(found["status"], int):
        raise TypeError("status of the answer")
    if "message" not in found:
        return {"status": found["status"], "body": found["body"]}
    for block in found["message"]["content"]:
        if not isinstance(block["type"], str):
            raise TypeError("type of a block of the answer")
    return dict(found)


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    same = 0
    for a, b in zip(one, other, strict=False):
        if a is not b and a != b:
            break
        same += 1
    return same


def _page(data: Mapping[str, Any]) -> bytes:
    text = json.dumps({"schema_version": SCHEMA_VERSION, **data}, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise _broken(path, "it does not exist") from error
    except OSError as error:
        raise _broken(path, str(error.strerror)) from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(data, dict):
        raise _broken(path, "it is no object")
    check_version(data, path)
    return data


def _broken(path: Path, why: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{path} is no part of a recording: {why}", hint="name a folder that `--record` has written"
    )
