"""`sandbox report` says what it has tried: nothing is enforced without a sandbox, and what landlock lacks is named."""

import json

import pytest

from rad_engineer.commands import sandbox as commands
from rad_engineer.launch import trials
from rad_engineer.launch.trials import HARMS
from tests.sandboxes import WALLED, needs

NOT_BY_LANDLOCK = {
    "files beside the working copy are not even seen",
    "what setup made is read-only for gates",
    "other processes are not seen",
    "your files keep their modes",  # those of root's are not this user's
}


def test_each_defence_is_tried_at_each_level(capsys):
    for level in WALLED:
        needs(level)
    assert commands.report(json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["auto"], told["unusable"]) == ("bubblewrap", {})
    found = {(row["defence"], row["level"]): row["enforced"] for row in told["checks"]}
    assert len(found) == 3 * len(HARMS)
    lacking = {
        defence for (defence, level), enforced in found.items() if level == "landlock" and enforced is False
    }
    assert NOT_BY_LANDLOCK - {"your files keep their modes"} <= lacking <= NOT_BY_LANDLOCK
    assert [
        defence for (defence, level), enforced in found.items() if level == "bubblewrap" and enforced is False
    ] == []
    assert True not in [enforced for (_, level), enforced in found.items() if level == "off"]
    assert sum(enforced is True for enforced in found.values()) >= 20


def test_a_level_that_does_not_work_is_told_with_its_reason(capsys, monkeypatch, tmp_path):
    from rad_engineer.sandbox import bubblewrap  # noqa: PLC0415

    monkeypatch.setattr(bubblewrap, "_program", lambda: str(tmp_path / "no-bwrap"))
    monkeypatch.setattr(trials, "HARMS", HARMS[:1])
    monkeypatch.setattr(commands, "HARMS", HARMS[:1])
    needs("landlock")
    assert commands.report(json=False) == 0
    out = capsys.readouterr().out
    assert "bubblewrap does not work here" in out
    assert "--sandbox auto takes landlock" in out


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.defence)
def test_every_trial_is_told(harm):
    assert harm.how
    assert harm.script
