"""The zygote as a program of its own."""

import os
import sys

from rad_engineer.engines.zygote import STARVED, exec_zygote


def test_a_zygote_that_dies_while_it_starts_is_told_of_when_it_is_used(tmp_path, monkeypatch):
    """More than the socket holds is sent to it, so that it is surely dead before all is sent."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    zygote = exec_zygote("engine_program:serve", {"LONG": "x" * 4_000_000})
    with zygote.control:
        os.waitpid(zygote.pid, 0)
        assert zygote.receive() == ([], False)


def test_a_zygote_without_memory_says_so_by_its_exit_code(tmp_path, monkeypatch, capfd):
    (tmp_path / "starved.py").write_text("raise MemoryError\n")
    monkeypatch.syspath_prepend(tmp_path)
    zygote = exec_zygote("starved:serve", {})
    with zygote.control:
        assert os.waitstatus_to_exitcode(os.waitpid(zygote.pid, 0)[1]) == STARVED
    assert capfd.readouterr().err == ""
