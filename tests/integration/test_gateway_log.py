"""The gateway's own log: lines of JSON with the run and the request that they are about, and never a disk full of them."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rad_engineer import process
from tests.gateways import opened

PLANTED = """
import sys
from rad_engineer.gateway import passage, program
async def fails(*_given):
    raise LookupError("planted")
passage.Passage.answer = fails
sys.exit(program.main())
"""
"""A gateway that fails on every request."""


def said(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "gateway.log").read_text().splitlines()]


def nonsense(url: str, times: int) -> None:
    parts = urlsplit(url)
    for _ in range(times):
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            while connection.recv(65_536):
                pass


def test_what_strangers_send_is_told_in_lines_of_json_and_not_without_end(tmp_path: Path) -> None:
    folder = tmp_path / "20260101-000000-aaaa" / "gateway"
    with opened(folder, "mock") as gateway:
        assert gateway.ask("hello").status_code == 200
        assert said(folder) == []
        nonsense(gateway.door.base_url, 100)
        assert gateway.ask("hello again").status_code == 200
    found = said(folder)
    assert 1 <= len(found) <= 40  # 20 in ten seconds
    assert {(each["level"], each["logger"], each["run"]) for each in found} == {
        ("warning", "uvicorn.error", "20260101-000000-aaaa")
    }


def test_a_request_that_fails_here_is_told_with_its_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = process.start_quickly
    monkeypatch.setattr(
        process, "start_quickly", lambda argv, *more: starts([argv[0], "-P", "-c", PLANTED], *more)
    )
    folder = tmp_path / "20260101-000000-aaaa" / "gateway"
    once = {"connection": "close"}  # which is what happens to it then
    with opened(folder, "mock") as gateway:
        assert gateway.ask("hello", story="US-1", attempt=2, headers=once).status_code == 500
        assert gateway.ask("hello", story="US-2", headers=once).status_code == 500
    first, second = said(folder)
    assert (first["run"], first["story"], first["attempt"]) == ("20260101-000000-aaaa", "US-1", 2)
    assert (second["story"], second["attempt"]) == ("US-2", 1)
    assert first["call"] == 1
    assert "LookupError: planted" in str(first["exception"])
