"""Real agents of others, recorded and played again in another folder: RAD_CLI_AGENTS=1, after `requirements/npm agents`."""

import os
import tempfile
from pathlib import Path

import pytest

from tests import aimock, gateways
from tests.integration.test_cli_agents_real import BIN, NAMES, Real, scripted

pytestmark = [
    pytest.mark.skipif(os.environ.get("RAD_CLI_AGENTS") != "1", reason="NO EVIDENCE: RAD_CLI_AGENTS=1 is not set"),
    pytest.mark.timeout(300),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_played_again_in_another_folder(name, tmp_path):
    if not (BIN / name).exists():
        pytest.skip(f"NO EVIDENCE: {name} is not installed (requirements/npm agents)")
    recording = tmp_path / "recording"
    there, here = tmp_path / "there", Path(tempfile.mkdtemp(dir="/var/tmp"))
    for folder in (there, here):
        folder.mkdir(exist_ok=True)
    with aimock.serve(tmp_path / "mock", scripted(name)) as mock, aimock.tap(mock.url) as tap:
        with gateways.opened(there / "door", tap.url, record=str(recording)) as opened:
            first = Real(name, there, opened, tap)
            assert first.run("STORY-1: append to the notes").summary == "Story done."
            assert opened.named("unrecorded") == []
        before = len(tap.exchanges)
        with gateways.opened(here / "door", f"replay:{recording}") as opened:
            second = Real(name, here, opened, tap)
            assert second.run("STORY-1: append to the notes").summary == "Story done."
            assert opened.named("refused") == []
        assert len(tap.exchanges) == before
    assert (
        (second.slot / "notes.txt").read_text() == (first.slot / "notes.txt").read_text() == "first\nsecond\n"
    )
