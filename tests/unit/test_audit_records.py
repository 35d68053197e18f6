"""What the audit log keeps: records of the schema, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from rad_engineer.core import audit
from rad_engineer.core.audit import SCHEMA, NotInSchema
from rad_engineer.core.events import Event


def test_a_record_has_its_fields_scrubbed() -> None:
    """Free text loses what is personal; what has no value is left out."""
    found = audit.record("command", {"what": "agent", "text": "mail ann@example.org\nnow", "level": None})
    assert found == {"kind": "command", "what": "agent", "text": "mail [email] now"}


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        ("strange", {}, "no record is called 'strange'"),
        ("command", {"email": "a"}, "no field 'email'"),
        ("command", {"text": 1}, "int where a str"),
        ("command", {"argv_hash": "echo"}, "no hash"),
        ("spawn", {"pid": "1"}, "str where a number"),
        ("spawn", {"pid": True}, "bool where a number"),
        ("gate", {"ok": 1}, "int where a bool"),
    ],
)
def test_what_is_not_in_the_schema_is_refused(kind: str, fields: dict[str, Any], why: str) -> None:
    """A field that nobody has thought of cannot leak anything."""
    with pytest.raises(NotInSchema, match=re.escape(why)):
        audit.record(kind, fields)


def test_values_have_bounds() -> None:
    """Long texts and lists are cut; a name that is none becomes a text."""
    assert len(audit.record("command", {"text": "x" * 9000})["text"]) == audit.LONGEST
    assert len(audit.record("command", {"network": ["h"] * 99})["network"]) == 50
    assert audit.record("run", {"state": "a b"})["state"] == "a b"
    assert audit.record("run", {"state": "ann@example.org"})["state"] == "[email]"
    rows = [("A", f"f{number}", "ab" * 20) for number in range(500)]
    found = audit.record("files", audit.files("cd" * 20, rows))
    assert (found["count"], len(found["files"])) == (500, audit.MOST_FILES)


def test_the_list_of_files_has_a_hash_of_all_of_them() -> None:
    """Also of those that are not written down."""
    rows = [("A", f"f{number}", "ab" * 20) for number in range(300)]
    hashes = {audit.files("cd" * 20, part)["list_hash"] for part in (rows, rows[:299], rows[::-1])}
    assert len(hashes) == 3


def test_a_command_line_is_known_again() -> None:
    """Words are not joined: `a b` is not `a` and `b`."""
    assert audit.argv_hash(["a", "b"]) == audit.argv_hash(["a", "b"])
    assert audit.argv_hash(["a b"]) != audit.argv_hash(["a", "b"])


def test_about_a_story() -> None:
    """A record of the run has no story."""
    assert audit.about(None, 1) == {}
    assert audit.about("S-1", None) == {"story": "S-1"}
    assert audit.about("S-1", 2) == {"story": "S-1", "attempt": 2}


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("story_landed", {"commit": "ab" * 20}, {"kind": "landing", "unverified": False}),
        ("gate_finished", {"gate": "x", "ok": True, "verdict": "green"}, {"kind": "gate", "ok": True}),
        ("stage_finished", {"stage": "policy", "ok": False, "violations": [
            {"rule": "secret", "severity": "block", "path": "a.py", "line": 3}, {"rule": "x", "severity": "warn"}]},
         {"kind": "policy", "decision": "refused", "found": ["block secret a.py:3", "warn x"]}),
        ("stage_finished", {"stage": "policy", "ok": True}, {"decision": "allowed", "found": []}),
        ("network_asked", {"stage": "agent", "host": "a.example", "port": 443, "allowed": False, "why": "no grant"},
         {"kind": "network", "decision": "refused", "host": "a.example", "port": 443, "why": "no grant"}),
        ("story_failed", {"reason": "policy"}, {"kind": "story", "state": "failed", "reason": "policy"}),
        ("run_started", {"head": "ab" * 20, "sandbox": "off"}, {"kind": "run", "sandbox": "off", "commit": "ab" * 20}),
        ("run_finished", {"exit_code": 4}, {"kind": "run", "state": "finished", "code": 4}),
    ],
)  # fmt: skip
def test_events_become_records(kind: str, data: dict[str, Any], expected: dict[str, Any]) -> None:
    """What matters of the journal is in the audit log as well."""
    found = audit.of_event(Event(kind, 1, 1.0, "r", data=data))
    assert found is not None
    assert expected.items() <= found.items()
    audit.record(found.pop("kind"), found)


@pytest.mark.parametrize(("kind", "data"), [("note", {"text": "x"}), ("stage_finished", {"stage": "agent"})])
def test_progress_is_no_record(kind: str, data: dict[str, Any]) -> None:
    """The journal has it."""
    assert audit.of_event(Event(kind, 1, 1.0, "r", data=data)) is None


def test_the_table_in_the_code_is_the_schema() -> None:
    """Whoever reads the docstring knows every field."""
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \|", audit.__doc__ or "", re.MULTILINE)
    told = {name: tuple(fields.split(", ")) for name, fields in rows if name != "record"}
    assert told == {name: tuple(fields) for name, fields in SCHEMA.items()}


def test_the_same_table_is_in_the_documents() -> None:
    """What people read is what is written."""
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    for name, fields in SCHEMA.items():
        assert f"| `{name}` | {', '.join(f'`{field}`' for field in fields)} |" in page
