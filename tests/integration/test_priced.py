"""Which models have a price, without the table in our own memory."""

import subprocess
import sys

from rad_engineer.gateway import priced
from rad_engineer.gateway.prices import Prices

ASKS = """
import sys
from rad_engineer.gateway import priced
assert priced.known(["claude-opus-4-6", "nobody-knows", "mine"], {"mine": {}}) == {"claude-opus-4-6", "mine"}
assert not any(name.startswith("genai") for name in sys.modules)
"""


def test_the_table_is_asked_by_another_process():
    assert subprocess.run([sys.executable, "-c", ASKS], check=False).returncode == 0


def test_what_is_current_is_in_the_table():
    assert all(Prices({}).knows(name) for name in priced.CURRENT)


def test_somebody_is_asked_only_where_it_is_needed_and_else_the_gateway_decides(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    assert priced.known(["claude-sonnet-5-5", "mine"], {"mine": {}}) == {"claude-sonnet-5-5", "mine"}
    assert not (tmp_path / "asked").exists()
    assert priced.known(["nobody-knows"], {}) == {"nobody-knows"}
    assert (tmp_path / "asked").exists()
