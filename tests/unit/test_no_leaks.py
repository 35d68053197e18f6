"""Secrets and addresses are planted wherever texts come in; none of them is in a file that a run leaves behind.

By default some hundred of them; RAD_SECRETS=1 plants more than 10 000.
"""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer import logs, store
from rad_engineer.audit.log import open_log
from rad_engineer.core.secret_rules import redacted
from rad_engineer.durable import dump
from rad_engineer.process.output import Output
from tests.secret_samples import samples

FULL = bool(os.environ.get("RAD_SECRETS"))
SURROUNDINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def _print(folder: Path, text: str, size: int) -> str:
    """As an agent or a gate prints it, in pieces."""
    output = Output(folder / "agent.log", 1 << 20)
    data = text.encode()
    for at in range(0, len(data), size):
        output.add(data[at : at + size])
    output.close()
    return output.text() + output.last_line()


def _log(folder: Path, text: str) -> None:
    logs.stop()
    logs.start(folder / "run.log", run="r")
    logs.warning("an agent said", told=text, lines=[text])
    logs.stop()


def _report(folder: Path, text: str) -> None:
    store.write_report(store.RunDir(folder), dump({"detail": text}), f"# Report\n\n{text}\n")


def _audit(folder: Path, text: str) -> None:
    log = open_log(folder / "audit", "r", {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)})
    log.tell({"kind": "command", "what": "agent", "text": text}, text, 1)
    log.tell({"kind": "policy", "decision": "refused", "found": [text, f"block secret {text}:3"]})
    log.tell({"kind": "story", "state": text, "reason": text, "by": text})
    log.close()


@pytest.mark.timeout(1800)
@settings(max_examples=150 if FULL else 3, deadline=None)
@given(st.integers(0, 1 << 32), SURROUNDINGS, st.integers(1, 200))
def test_no_planted_secret_is_left_behind(seed: int, around: str, size: int) -> None:
    """In logs of agents and gates, in run.log, in both reports, in the audit log; nor in what is told to models."""
    planted = samples(seed)
    whole = "\n".join(f"{around} {secret} {around}" for secret in planted.values())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = _print(folder, whole, size) + redacted(whole)
        _log(folder, whole)
        _report(folder, whole)
        _audit(folder, whole[:3000])
        left = {path.name: path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()}
        assert {"agent.log", "run.log", "report.json", "report.md", "0001.jsonl"} <= left.keys()
        left["told"] = told
        leaks = [
            (file, kind) for file, text in left.items() for kind, secret in planted.items() if secret in text
        ]
        assert leaks == []


def test_no_planted_address_in_ten_thousand_records(tmp_path: Path) -> None:
    """The audit log hides who somebody is as well."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    count = 10_000 if FULL else 500
    tokens = list(samples().values())
    log = open_log(tmp_path / "audit", "r", env, rotate=200_000)
    for number in range(count):
        token = tokens[number % len(tokens)].replace("\n", " ")
        text = f"mail ann{number}@example.org from 10.1.2.{number % 256} with {token} and +1 415 555 {number % 9000 + 1000}"
        log.tell({"kind": "command", "what": "agent", "text": text}, f"S-{number}", 1)
        if number % 100 == 0:
            log.commit()
    log.close()
    found = b"".join(path.read_bytes() for path in (tmp_path / "audit").iterdir())
    assert found.count(b"\n") >= count
    assert b"@example" not in found
    assert b"10.1.2." not in found
    assert b"415 555" not in found
    assert not any(token.replace("\n", " ").encode() in found for token in tokens)
