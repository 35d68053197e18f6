"""Both ways of starting a child do the same: what it stands in, sees, inherits, and how failing to start is told."""

import os
import threading
from pathlib import Path

import pytest

from rad_engineer.process import child as process_child
from rad_engineer.process.child import spawn

BIN = "/usr/bin:/bin"


@pytest.fixture(params=["posix_spawn", "subprocess"])
def how(request, monkeypatch):
    if request.param == "subprocess":
        monkeypatch.setattr(process_child, "_QUICK", False)
    return request.param


def output_of(argv, cwd, env=None, *, new_session=True):
    reader, writer = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        child = spawn(argv, cwd, env or {"PATH": BIN}, (nothing, writer, writer), new_session=new_session)
    finally:
        os.close(writer)
        os.close(nothing)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    return child.wait(), text, child


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_it_stands_in_its_folder_and_we_stay_in_ours(how, tmp_path):
    before = Path.cwd()
    assert output_of(["pwd"], tmp_path)[:2] == (0, f"{tmp_path}\n")
    assert Path.cwd() == before


def test_we_stay_in_our_folder_when_it_cannot_be_started(how, tmp_path):
    before = Path.cwd()
    with pytest.raises(FileNotFoundError):
        output_of(["no-such-program"], tmp_path)
    with pytest.raises(FileNotFoundError):
        output_of(["true"], tmp_path / "gone")
    assert Path.cwd() == before


def test_no_folder_is_changed_under_another_thread(tmp_path):
    go = threading.Event()
    other = threading.Thread(target=go.wait)
    other.start()
    try:
        assert output_of(["pwd"], tmp_path)[:2] == (0, f"{tmp_path}\n")
    finally:
        go.set()
        other.join()


def test_it_has_a_session_of_its_own_only_where_that_is_wanted(how, tmp_path):
    # Field 6 of stat is the session, counted from behind the name in parentheses.
    show = ["sh", "-c", "cut -d' ' -f6 /proc/self/stat"]
    _code, text, child = output_of(show, tmp_path)
    assert int(text) == child.pid
    _code, text, child = output_of(show, tmp_path, new_session=False)
    assert int(text) == os.getsid(0)


def test_it_inherits_the_standard_descriptors_and_no_others(how, tmp_path):
    process_child.keep_descriptors.cache_clear()
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # as a shell or make would have handed it to us
    try:
        _code, text, _child = output_of(
            ["sh", "-c", f"test -e /proc/$$/fd/{writer} && echo there; true"], tmp_path
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert text == ""


def test_sigpipe_ends_it_as_in_a_shell(how, tmp_path):
    code, _text, _child = output_of(["sh", "-c", "kill -PIPE $$; echo alive"], tmp_path)
    assert code == -13


def test_a_program_is_looked_for_in_the_childs_path(how, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    script(second / "tool", "echo second")
    env = {"PATH": f"{first}:{second}:{BIN}"}
    assert output_of(["tool"], tmp_path, env)[1] == "second\n"


def test_a_program_that_has_moved_is_found_again(how, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    env = {"PATH": f"{first}:{second}:{BIN}"}
    tool = script(first / "tool", "echo same")
    assert output_of(["tool"], tmp_path, env)[1] == "same\n"
    tool.rename(second / "tool")
    assert output_of(["tool"], tmp_path, env)[1] == "same\n"
    (second / "tool").unlink()
    with pytest.raises(FileNotFoundError):
        output_of(["tool"], tmp_path, env)


def test_a_relative_path_is_relative_to_the_childs_folder(how, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "bin").mkdir(parents=True)
        script(tmp_path / name / "bin" / "tool", f"echo {name}")
    env = {"PATH": f"bin:{BIN}"}
    assert [output_of(["tool"], tmp_path / name, env)[1] for name in ("one", "two")] == ["one\n", "two\n"]


def test_what_may_not_be_run_is_passed_over_and_told_only_when_nothing_else_is_there(how, tmp_path):
    (tmp_path / "tool").write_text("text")
    with pytest.raises(PermissionError):
        output_of(["tool"], tmp_path, {"PATH": f"{tmp_path}:{BIN}"})
    (tmp_path / "true").mkdir()
    assert output_of(["true"], tmp_path, {"PATH": f"{tmp_path}:{BIN}"})[0] == 0


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9)])
def test_its_end_can_be_seen_without_being_taken_away(how, tmp_path, command, code):
    ends = os.pipe()
    try:
        child = spawn(
            ["sh", "-c", f"read line; {command}"], tmp_path, {"PATH": BIN}, (ends[0], 1, 2), new_session=True
        )
        assert child.poll() is None
        os.write(ends[1], b"go\n")
        assert [child.peek(), child.peek(), child.wait(), child.peek()] == [code] * 4
    finally:
        for end in ends:
            os.close(end)
