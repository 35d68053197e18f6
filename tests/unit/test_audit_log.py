"""The chain of the audit log: gone on with after every end, and never changed without being seen."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rad_engineer.audit import key, log
from rad_engineer.audit.log import AuditLog, files_of, head_path, open_log, read_head
from rad_engineer.audit.verification import Checked, check, check_files, records
from rad_engineer.errors import CannotWrite, ConfigInvalid, Refused

Env = dict[str, str]


@pytest.fixture
def env(tmp_path: Path) -> Env:
    """Where the key lies."""
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}


def _write(folder: Path, env: Env, count: int, *, rotate: int = 1 << 20, encrypted: bool = False) -> None:
    writer = open_log(folder, folder.name, env, rotate=rotate, encrypted=encrypted)
    for number in range(count):
        _tell(writer, number)
    writer.close()


def _tell(writer: AuditLog, number: int) -> None:
    writer.tell({"kind": "command", "what": "agent", "text": f"echo {number}"}, "S-1", 1)
    writer.commit()


def _check(folder: Path, env: Env, run: str = "") -> Checked:
    own = key.find(env)
    assert own is not None
    name = run or folder.name
    return check(folder, name, own, head_path(env, name))


def _file(folder: Path, number: int = 1) -> Path:
    return folder / f"{number:04}.jsonl"


def test_a_log_is_as_it_was_written(tmp_path: Path, env: Env) -> None:
    """Also when it was gone on with, and over several files."""
    folder = tmp_path / "r1"
    for _again in range(3):
        _write(folder, env, 5, rotate=1000)
    found = _check(folder, env)
    assert found.ok
    assert found.files >= 3
    assert found.notes == []
    told = [record["text"] for record in records(folder, "r1", None) if record["kind"] == "command"]
    assert told == [f"echo {number}" for number in range(5)] * 3
    numbers = [record["seq"] for record in records(folder, "r1", None)]
    assert numbers == list(range(1, found.records + 1))


def test_only_the_user_can_read_it(tmp_path: Path, env: Env) -> None:
    """The key as well."""
    _write(tmp_path / "r1", env, 1)
    for path in (_file(tmp_path / "r1"), key.path(env), head_path(env, "r1")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert key.folder(env).stat().st_mode & 0o077 == 0


def test_every_flipped_bit_is_found(tmp_path: Path, env: Env) -> None:
    """Whichever it is, with the record it lies in or the one behind it."""
    writer = open_log(tmp_path / "r1", "r1", env)
    for code in (0, 1):
        writer.tell({"kind": "run", "code": code})
    writer.close()
    whole, own = _file(tmp_path / "r1").read_bytes(), key.find_or_make(env)
    head = read_head(head_path(env, "r1"), own)
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        assert not check_files([("0001.jsonl", bytes(data))], "r1", own, head).ok, bit
    assert check_files([("0001.jsonl", whole)], "r1", own, head).ok


def test_every_length_is_found(tmp_path: Path, env: Env) -> None:
    """A log that is cut anywhere: the end of the chain is also known elsewhere."""
    _write(tmp_path / "r1", env, 3)
    whole, own = _file(tmp_path / "r1").read_bytes(), key.find_or_make(env)
    head = read_head(head_path(env, "r1"), own)
    for size in range(len(whole)):
        found = check_files([("0001.jsonl", whole[:size])], "r1", own, head)
        assert "the end is cut off" in str(found.damage[-1]), size


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = _file(folder)
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return changed


def _other_run(folder: Path) -> None:
    shutil.copy(_file(folder.parent / "r2"), _file(folder))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_lines(lambda lines: [*lines[:1], *lines[2:]]), "record 2 is missing before record 3"),
        (_lines(lambda lines: lines[3:]), "record 1 to 3 are missing before record 4"),
        (_lines(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]), "record 2 is missing"),
        (_lines(lambda lines: [*lines[:2], lines[0], *lines[2:]]), "record 1 stands where record 3 was"),
        (_lines(lambda lines: [*lines[:2], b"{}\n", *lines[3:]]), "record 3 was changed: this is no record"),
        (_lines(lambda lines: [lines[0].replace(b"echo 0", b"echo 9"), *lines[1:]]), "record 1 was changed"),
        (_other_run, "record 1 was changed, or the one before it, or it is another run's"),
        (lambda folder: _file(folder).unlink(), "record 1 to 5 are missing"),
    ],
)
def test_changes_are_named(tmp_path: Path, env: Env, change: Callable[[Path], None], told: str) -> None:
    """A removed, moved, changed, invented line; the log of another run; no log at all."""
    _write(tmp_path / "r1", env, 5)
    _write(tmp_path / "r2", env, 5)
    change(tmp_path / "r1")
    assert told in " ".join(map(str, _check(tmp_path / "r1", env).damage))


def test_a_damaged_place_is_named_with_its_byte_and_only_once(tmp_path: Path, env: Env) -> None:
    """What stands behind it is still looked at, and found to be good."""
    _write(tmp_path / "r1", env, 5)
    lines = _file(tmp_path / "r1").read_bytes().splitlines(keepends=True)
    _file(tmp_path / "r1").write_bytes(b"".join([lines[0], lines[1].replace(b"echo", b"ohce"), *lines[2:]]))
    (damage,) = _check(tmp_path / "r1", env).damage
    assert (damage.file, damage.byte) == ("0001.jsonl", len(lines[0]))


def test_a_file_in_the_middle_is_missed(tmp_path: Path, env: Env) -> None:
    """And one that was put in another's place."""
    _write(tmp_path / "r1", env, 12, rotate=500)
    files = files_of(tmp_path / "r1")
    assert len(files) > 3
    kept = files[1].read_bytes()
    files[1].unlink()
    told = " ".join(map(str, _check(tmp_path / "r1", env).damage))
    assert "a file is missing before it" in told
    assert "missing before record" in told
    files[1].write_bytes(files[2].read_bytes())
    assert not _check(tmp_path / "r1", env).ok
    files[1].write_bytes(kept)
    assert _check(tmp_path / "r1", env).ok


def test_a_torn_line_never_happened(tmp_path: Path, env: Env) -> None:
    """The run was killed while it wrote: the chain goes on behind the last whole record."""
    _write(tmp_path / "r1", env, 2)
    with _file(tmp_path / "r1").open("ab") as handle:
        handle.write(b'{"seq":3,"at":17')
    found = _check(tmp_path / "r1", env)
    assert found.ok
    assert "was cut off while it was written" in found.notes[0]
    _write(tmp_path / "r1", env, 1)
    assert _check(tmp_path / "r1", env) == Checked(3, 1)


def test_the_head_may_be_behind(tmp_path: Path, env: Env) -> None:
    """Killed between the record and the note of where the chain ends."""
    _write(tmp_path / "r1", env, 1)
    head = head_path(env, "r1")
    before = head.read_bytes()
    _write(tmp_path / "r1", env, 2)
    head.write_bytes(before)
    found = _check(tmp_path / "r1", env)
    assert found.ok
    assert found.notes == ["2 records were written after the end was last noted: it was killed there"]
    _write(tmp_path / "r1", env, 1)
    assert _check(tmp_path / "r1", env) == Checked(4, 1)


@pytest.mark.parametrize("size", [0, 100, 300])
def test_a_log_that_was_cut_is_gone_on_with_and_stays_damaged(tmp_path: Path, env: Env, size: int) -> None:
    """The next run says so in a new file; nothing is made good silently."""
    _write(tmp_path / "r1", env, 4)
    path = _file(tmp_path / "r1")
    path.write_bytes(path.read_bytes()[:size])
    _write(tmp_path / "r1", env, 1)
    kinds = [record["kind"] for record in records(tmp_path / "r1", "r1", None)]
    assert kinds[-2:] == ["damaged", "command"]
    assert "missing before record 5" in " ".join(map(str, _check(tmp_path / "r1", env).damage))


@pytest.mark.parametrize("content", [b"", b"{}", b'{"run":"r1","seq":9,"mac":"ab","code":"cd"}'])
def test_a_forged_head_is_not_believed(tmp_path: Path, env: Env, content: bytes) -> None:
    """It is signed with the key."""
    _write(tmp_path / "r1", env, 2)
    head_path(env, "r1").write_bytes(content)
    assert "nobody knows where the chain ended" in str(_check(tmp_path / "r1", env).damage[0])
    _write(tmp_path / "r1", env, 1)
    assert "damaged" in [record["kind"] for record in records(tmp_path / "r1", "r1", None)]


def test_another_key_verifies_nothing(tmp_path: Path, env: Env) -> None:
    """Who makes a new key cannot make an old log fit it."""
    _write(tmp_path / "r1", env, 2)
    key.path(env).unlink()
    key.find_or_make(env)
    assert not _check(tmp_path / "r1", env).ok


def test_a_key_that_others_can_read_is_refused(env: Env) -> None:
    """And one that is none, or a link."""
    key.find_or_make(env)
    path = key.path(env)
    path.chmod(0o644)
    with pytest.raises(Refused, match="others may read"):
        key.find(env)
    path.chmod(0o600)
    path.write_text("zz")
    with pytest.raises(Refused, match="is no key any more"):
        key.find(env)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(Refused):
        key.find(env)


def test_of_two_that_make_a_key_both_get_the_same(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one finds that the name is taken."""
    first = key.find_or_make(env)
    answers = iter((None, first))
    monkeypatch.setattr(key, "find", lambda _env: next(answers))
    assert key.find_or_make(env) == first


def test_an_encrypted_log_shows_nothing_without_the_key(tmp_path: Path, env: Env) -> None:
    """With it, everything; and it is verified as any other."""
    pytest.importorskip("cryptography")
    _write(tmp_path / "r1", env, 3, encrypted=True)
    data = _file(tmp_path / "r1").read_bytes()
    assert b"echo" not in data
    assert b"command" not in data
    assert _check(tmp_path / "r1", env) == Checked(3, 1)
    told = [record.get("text") for record in records(tmp_path / "r1", "r1", key.find(env))]
    assert told == ["echo 0", "echo 1", "echo 2"]
    assert {record["kind"] for record in records(tmp_path / "r1", "r2", key.find(env))} == {"unreadable"}


def test_encryption_needs_its_package(tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says which."""
    monkeypatch.setattr("rad_engineer.audit.encryption.find_spec", lambda _name: None)
    with pytest.raises(ConfigInvalid, match="the package for that is not installed"):
        open_log(tmp_path / "r1", "r1", env, encrypted=True)


def test_a_full_disk_stops_the_run_and_the_chain_goes_on(
    tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a record was written: nothing is appended to it by the one that failed, and the next one repairs it."""
    folder = tmp_path / "r1"
    writer = open_log(folder, "r1", env)
    _tell(writer, 0)

    def full(handle: int, data: bytes) -> None:
        os.write(handle, data[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log.durable, "write_all", full)
        with pytest.raises(CannotWrite, match="No space left"):
            _tell(writer, 1)
    with pytest.raises(CannotWrite):
        _tell(writer, 2)
    with pytest.raises(CannotWrite):
        writer.close()
    _write(folder, env, 1)
    assert _check(folder, env) == Checked(2, 1)


def test_a_failed_sync_is_told(tmp_path: Path, env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs are made beside the writer: what one says is heard at the next record, at the latest at the end."""

    def broken(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    writer = open_log(tmp_path / "r1", "r1", env)
    monkeypatch.setattr(log, "_sync_data", broken)
    _tell(writer, 0)
    with pytest.raises(CannotWrite, match="Input/output error"):
        writer.close()


def test_a_record_nested_without_end_is_none(tmp_path: Path, env: Env) -> None:
    folder = tmp_path / "r1"
    _write(folder, env, 2)
    with _file(folder).open("ab") as file:
        file.write(b'{"seq":' + b"[" * 90_000 + b"]" * 90_000 + b',"mac":"' + b"a" * 64 + b'"}\n')
    assert [damage.what for damage in _check(folder, env).damage] == [
        "record 3 was changed: this is no record"
    ]


def test_a_pipe_in_the_place_of_a_file_hangs_nothing(tmp_path: Path, env: Env) -> None:
    folder = tmp_path / "r1"
    _write(folder, env, 2)
    _file(folder).unlink()
    os.mkfifo(_file(folder))
    assert "the end is cut off" in str(_check(folder, env).damage[0])
    with pytest.raises(CannotWrite, match=re.escape(str(_file(folder)))):
        _write(folder, env, 1)
