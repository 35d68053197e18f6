"""Files that are whole or not there, and the words for those that cannot be written."""

import errno
import os
import re
import resource
import shutil
import socket
import stat
from pathlib import Path

import pytest

from rad_engineer import durable
from rad_engineer.errors import CannotWrite

FULL = OSError(errno.ENOSPC, "No space left on device")


# -- what is written ----------------------------------------------------------------------------------------


def test_a_sealed_file_is_compact_ascii_that_tells_its_version(tmp_path):
    path = tmp_path / "state.json"
    durable.write_sealed(path, {"a": "ü\ud800", "b": [1, 2]})
    data = path.read_bytes()
    assert re.fullmatch(rb'\{"schema_version":1,"a":"\\u00fc\\ud800","b":\[1,2\],"~":"[0-9a-f]{8}"\}', data)
    assert data == durable.sealed({"a": "ü\ud800", "b": [1, 2]})
    assert durable.read_sealed(path) == {"schema_version": 1, "a": "ü\ud800", "b": [1, 2]}


@pytest.mark.parametrize("write", [durable.replace, durable.write_sealed])
def test_nobody_else_may_write_it_and_where_asked_nobody_else_may_read_it(tmp_path, write):
    content = b"x" if write is durable.replace else {"x": 1}
    write(tmp_path / "open", content)
    write(tmp_path / "private", content, 0o600)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) & 0o133 == 0
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) & 0o400
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_what_a_crash_has_left_of_a_longer_one_is_no_part_of_it(tmp_path):
    (tmp_path / "report.new").write_bytes(b"n" * 1000)
    durable.replace(tmp_path / "report", b"short")
    assert (tmp_path / "report").read_bytes() == b"short"


def test_a_short_write_is_not_an_end(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    durable.replace(tmp_path / "report", b"0123456789")
    assert (tmp_path / "report").read_bytes() == b"0123456789"


def test_no_file_stays_open_whether_it_could_be_written_or_not(tmp_path):
    lowest = os.dup(0)
    os.close(lowest)
    durable.replace(tmp_path / "report", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match="folder"):
        durable.replace(tmp_path / "folder", b"x")
    again = os.dup(0)
    os.close(again)
    assert again == lowest


# -- what is read -------------------------------------------------------------------------------------------


def test_what_contradicts_its_checksum_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(durable.sealed({"a": 1}).replace(b'"a":1', b'"a":2'))
    with pytest.raises(durable.StateDamaged, match=r"state\.json is damaged: it contradicts") as caught:
        durable.read_sealed(path, "remove it")
    assert caught.value.hint == "remove it"
    with pytest.raises(durable.StateDamaged) as caught:
        durable.read_sealed(path)
    assert caught.value.hint is None


def test_a_later_version_is_told_from_damage(tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(durable.seal(b'{"schema_version":2}'))
    said = r"state\.json has schema_version 2; this version of rad-engineer reads 1"
    with pytest.raises(durable.LaterVersion, match=said) as caught:
        durable.read_sealed(path, "remove it")
    assert caught.value.hint == "use the version that wrote it, or start anew with `run --fresh`"


def test_only_a_file_whose_end_is_there_looks_whole():
    data = durable.sealed({"attempt": 1, "text": "x" * 20})
    checksum = len(data) - 10
    assert [length for length in range(len(data) + 1) if durable.looks_whole(data[:length])] == list(
        range(checksum, len(data) + 1)
    )
    for at in range(len(data)):
        assert durable.looks_whole(data[:at] + b"\x00" + data[at + 1 :]), at
    assert not any(durable.looks_whole(data + b"\x00" * more) for more in (1, 8, len(data)))
    assert not durable.looks_whole(b"\x00" * len(data))
    assert durable.looks_whole(b"\x00" * 50 + b'"}')


# -- what cannot be written ---------------------------------------------------------------------------------


def test_the_free_space_is_told_where_the_file_is_or_would_be(tmp_path):
    said = str(durable.cannot_write(tmp_path / "report", FULL))
    assert said.startswith(f"cannot write {tmp_path}/report: No space left on device (")
    (told,) = re.findall(r"\((\d+) MB free\)", said)
    assert shutil.disk_usage(tmp_path).free / 4e6 <= int(told) <= shutil.disk_usage(tmp_path).free / 2.5e5
    for path in ("/proc", "/proc/none"):
        if Path("/proc/self").exists():
            assert "(0 MB free)" in str(durable.cannot_write(Path(path), FULL))
    assert "(unknown free)" in str(durable.cannot_write(tmp_path / "gone/deeper/report", FULL))


def test_a_way_on_goes_with_every_failure(tmp_path):
    path = tmp_path / "report"
    for error, words, way in (
        (FULL, "No space left on device", "make room or mend the permissions, then: rad-engineer resume"),
        (OSError("odd"), "odd", "make room or mend the permissions, then: rad-engineer resume"),
        (
            FileNotFoundError(),
            "its folder has been removed",
            "what has landed is on the branch; go on with: rad-engineer run PRD",
        ),
        (
            OSError(errno.ENOMEM, "Cannot allocate"),
            "Cannot allocate",
            "free processes, memory or open files (`ulimit -a`), then: rad-engineer resume",
        ),
    ):
        refused = durable.cannot_write(path, error)
        assert f"{path}: {words}" in str(refused)
        assert refused.hint == way


def test_what_belongs_to_no_run_is_not_resumed(tmp_path):
    full = durable.cannot_write(tmp_path / "report", FULL, of_run=False)
    assert full.hint == "make room or mend the permissions, then: run the same command again"
    with pytest.raises(
        CannotWrite, match=f"cannot write {tmp_path}/none/x: there is no folder {tmp_path}/none"
    ) as gone:
        durable.export(tmp_path / "none" / "x", b"")
    assert gone.value.hint == "make the folder, or name another place"
    nowhere = durable.cannot_write(tmp_path / "x", FileNotFoundError(), of_run=False)
    assert str(nowhere) == f"cannot write {tmp_path}/x: no file can be made there"


def test_where_no_more_files_can_be_opened_the_disk_is_not_blamed(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(CannotWrite) as caught:
            durable.replace(tmp_path / "report", b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert str(caught.value) == f"cannot go on with {tmp_path}/report: Too many open files"
    assert "`ulimit -a`), then: rad-engineer resume" in str(caught.value.hint)


def test_other_errors_pass_through_a_failed_write_untouched(tmp_path):
    with pytest.raises(ValueError, match="not about files"), durable.writing(tmp_path):
        raise ValueError("not about files")


# -- files that users name ----------------------------------------------------------------------------------


def test_an_export_changes_nothing_beside_it_and_follows_no_planted_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.prom.new").write_text("precious")
    (tmp_path / "b.prom.new").symlink_to(victim)
    for name in ("a.prom", "b.prom"):
        durable.export(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "a.prom.new").read_text() == "precious"
    assert victim.read_text() == "mine"


def test_an_export_leaves_a_pipe_a_pipe_and_a_link_a_link(tmp_path):
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    link.symlink_to(target)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    durable.export(pipe, b"x")
    assert os.read(reader, 9) == b"x"
    os.close(reader)
    assert pipe.is_fifo()
    durable.export(link, b"y")
    assert link.is_symlink()
    assert target.read_bytes() == b"y"


@pytest.mark.parametrize("name", [".", "folder", "/"])
def test_an_export_to_a_folder_is_refused_and_leaves_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match="directory"):
        durable.export(Path(name), b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


# -- what is read -------------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_only_files_are_read(tmp_path, kind):
    path = tmp_path / "state"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(durable.Irregular, match="no regular file"):
        durable.read_regular(path, 10)
    with pytest.raises(durable.StateDamaged, match=f"{path} is damaged: it is no regular file") as error:
        durable.read_sealed(path, "remove it")
    assert error.value.hint == "remove it"


def test_no_more_is_read_than_was_allowed(tmp_path):
    path = tmp_path / "sparse"
    path.write_bytes(b"0123456789")
    assert durable.read_regular(path, 10) == b"0123456789"
    os.truncate(path, 5 << 30)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        durable.read_regular(path, 10)
