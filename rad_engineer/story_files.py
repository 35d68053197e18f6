"""What a story keeps in its folder of the run directory: its checkpoint, and files that nothing relies on."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rad_engineer import durable, logs
from rad_engineer.locks import hold
from rad_engineer.process.tree import boot_id

ENDING = "agent.end"
"""In an attempt's folder while its agent works in a box: what to believe when the box says that it has ended well."""
VIOLATIONS = "policy.json"
"""In an attempt's folder: what the policy had to say of it."""
TRANSCRIPT = "transcript.jsonl"
"""In an attempt's folder: what an agent that can go on in the middle of its work has written down of it."""


def begun_transcript(attempt: Path) -> dict[str, Any] | None:
    """What the transcript of an attempt began with; None where there is none that can be gone on with.

    Like the slot it speaks of, it does not outlast the machine's being off.
    """
    try:
        with (attempt / TRANSCRIPT).open("rb") as handle:
            line = handle.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    plain = durable.unseal(line[:-1])
    found: dict[str, Any] = {} if plain is None else json.loads(plain)
    return found if found.get("boot") == boot_id() else None


def write_note(folder: Path, name: str, data: bytes) -> None:
    """Writes a file that nothing relies on into a folder of a story, which is made with the one above it."""
    with durable.writing(folder):
        for place in (folder.parent, folder):
            with suppress(FileExistsError):
                os.mkdir(place)  # noqa: PTH102 - no Path made
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            durable.write_all(handle, data)
        finally:
            os.close(handle)


def violations(attempt: Path) -> tuple[dict[str, Any], ...]:
    """What the policy had to say of an attempt; nothing where nothing was written down."""
    try:
        found = json.loads((attempt / VIOLATIONS).read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def expect_end(attempt: Path, job: Mapping[str, Any]) -> Path:
    """Writes down what to believe of the agent's stage as soon as a line with its exit status stands below it."""
    write_note(attempt, ENDING, durable.sealed({"boot": boot_id(), **_about(job, "agent")}) + b"\n")
    return attempt / ENDING


def _ended_well(attempt: Path) -> dict[str, Any] | None:
    try:
        expected, status = (attempt / ENDING).read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    plain = durable.unseal(expected)
    if plain is None or status != b"0":
        return None
    found: dict[str, Any] = json.loads(plain)
    return found


def write_stage(folder: Path, job: Mapping[str, Any], stage: str, **content: Any) -> None:
    """Writes down, durably, that a stage of an attempt has ended."""
    write_checkpoint(folder, {**_about(job, stage), **content})


def _about(job: Mapping[str, Any], stage: str) -> dict[str, Any]:
    return {
        "identity": job["story"]["identity"],
        "key": job["story"]["key"],
        "attempt": int(job["attempt"]),
        "stage": stage,
        "base": job.get("base"),
        "slot": job.get("slot"),
    }


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes a story's checkpoint, under the lock of its folder; durable, with all its names, when it returns."""
    data = durable.sealed({"boot": boot_id(), **content})
    path = folder / "checkpoint.json"
    with durable.writing(path):
        place = _opened(folder)
        try:
            with hold(place):
                if _written_first(path, data, content["attempt"]):
                    os.fsync(place)
                    durable.sync_folder(folder.parent)
                else:
                    durable.replace(path, data)
        finally:
            os.close(place)


def _opened(folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(folder, flags)
    except FileNotFoundError:
        os.mkdir(folder)  # noqa: PTH102 - no Path made
        return os.open(folder, flags)


def _written_first(path: Path, data: bytes, attempt: int) -> bool:
    """Writes the file where there is no whole one of this attempt yet: its seal shows what a crash has cut short.

    That is one journal commit of the file system less than a temporary file and a rename, and whoever kills us
    during the sync kills us too late.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        found = durable.unseal(path.read_bytes())
        if found is not None and json.loads(found)["attempt"] == attempt:
            return False
        handle = os.open(path, os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC)
    try:
        durable.write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def finished_stage(folder: Path, attempt: int) -> dict[str, Any] | None:
    """The checkpoint of this very attempt; None where it has none, or where what it speaks of may be gone.

    Where nobody lived to write it, the box of the agent has said how that ended.
    A slot is not synced: after a power cut only that part of an attempt is believed which git holds.
    """
    found = read_checkpoint(folder)
    if found is None or found["attempt"] != attempt:
        found = _ended_well(folder / f"attempt-{attempt}")
    if found is None:
        return None
    if found["stage"] == "agent" and found["boot"] != boot_id():
        logs.warning(
            "the machine was off since the agent ended: its attempt starts again", folder=str(folder)
        )
        return None
    return found


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """A story's checkpoint; None where there is none or it was cut short while it was written: its stage never ended.

    Raises StateDamaged where a whole one was changed since.
    """
    path = folder / "checkpoint.json"
    try:
        if not durable.looks_whole(path.read_bytes()):
            return None
        return durable.read_sealed(
            path, f"remove {path} and resume: the attempt is then run, and paid for, again"
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
