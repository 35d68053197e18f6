"""The final report of the built-in agent."""

import jsonschema
import pytest

from rad_engineer.agents.anthropic.report import SCHEMA, Report, validated

TOKEN = "rad-done-of-this-attempt"
MET = {"criterion": "it adds", "met": True, "evidence": ["src/add.py:3", "tests/test_add.py:1-9"]}
GOOD = {"status": "done", "summary": "added", "files": ["src/add.py"], "tests": ["pytest: 3 passed"],
        "criteria": [MET], "errors": [], "next_steps": []}  # fmt: skip


def test_a_good_report():
    found = validated({**GOOD, "token": TOKEN}, 1, TOKEN)
    assert isinstance(found, Report)
    assert found.model_dump() == GOOD


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "fine"}, "status"),
        ({"summary": ""}, "summary"),
        ({"summary": None}, "summary"),
        ({"files": "src/add.py"}, "files"),
        ({"criteria": []}, "the story has 1"),
        ({"criteria": [{**MET, "evidence": []}]}, "needs evidence"),
        ({"criteria": [{**MET, "evidence": ["see above"]}]}, "criteria.0.evidence.0"),
        ({"criteria": [{**MET, "evidence": ["/etc/passwd:1"]}]}, "criteria.0.evidence.0"),
        ({"criteria": [{**MET, "met": False}]}, "not met: it adds"),
        ({"mood": "good"}, "mood"),
        *(({"token": said}, "token: ") for said in ("", TOKEN.upper(), f"{TOKEN} ", None, ["x"], "\ud800")),
    ],
)
def test_what_is_wrong_with_a_report_is_named(change, says):
    found = validated({**GOOD, "token": TOKEN, **change}, 1, TOKEN)
    assert isinstance(found, str)
    assert says in found


def test_who_is_blocked_needs_no_criteria():
    assert isinstance(
        validated({"status": "blocked", "summary": "no network", "token": TOKEN}, 3, TOKEN), Report
    )


def test_what_the_model_is_shown_is_what_is_validated():
    jsonschema.Draft202012Validator.check_schema(dict(SCHEMA))
    jsonschema.validate({**GOOD, "token": TOKEN}, SCHEMA)
    assert set(SCHEMA["properties"]) == {*Report.model_fields, "token"}
    criterion = SCHEMA["properties"]["criteria"]["items"]["properties"]
    assert set(criterion) == set(Report.model_fields["criteria"].annotation.__args__[0].model_fields)
