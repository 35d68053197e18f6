"""What is remembered of a deployment: its port, its token, where the door sends, what was done."""

import json
import socket
import stat

import pytest

from rad_engineer.delivery import deploy_record
from rad_engineer.delivery.deploy_record import Generation, Record
from rad_engineer.durable import StateDamaged
from rad_engineer.errors import UsageError


@pytest.fixture
def where(tmp_path):
    top = tmp_path / "My Shop"
    return deploy_record.place(top, top, "identity", {"XDG_STATE_HOME": str(tmp_path / "state")})


def test_the_name_says_which_project_and_is_one_for_engines(where, tmp_path):
    assert where.name.startswith("rad-my-shop-")
    other = deploy_record.place(tmp_path / "My Shop", tmp_path, "another", {"HOME": str(tmp_path)})
    assert other.name != where.name


def test_a_record_is_read_as_it_was_written(where):
    record = Record(
        9091, "door:1", 1, Generation(2, "image:2", "volume-2"), Generation(1, "image:1", "volume-1"), 2
    )
    assert deploy_record.read(where) is None
    deploy_record.write(where, record)
    assert deploy_record.read(where) == record


def test_a_record_with_a_flipped_byte_is_refused(where):
    deploy_record.write(where, Record(9091))
    path = where.folder / "record.json"
    path.write_bytes(path.read_bytes().replace(b"9091", b"9092"))
    with pytest.raises(StateDamaged, match="damaged"):
        deploy_record.read(where)


def test_the_port_is_chosen_once(where):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert deploy_record.free_port(number) > number
    first = deploy_record.with_ports(None, None, None)
    assert first.port >= deploy_record.FIRST_PORT
    assert deploy_record.with_ports(Record(4711), None, None).port == 4711
    assert deploy_record.with_ports(Record(4711), 4712, None).port == 4712  # nothing was ever published
    published = Record(4711, current=Generation(1, "image", "volume"))
    with pytest.raises(UsageError, match="4711"):
        deploy_record.with_ports(published, 4712, None)
    assert deploy_record.with_ports(published, 4711, 9999).prometheus_port == 9999


def test_the_token_is_made_once_and_only_its_owner_reads_it(where):
    path = deploy_record.token(where)
    first = path.read_bytes()
    assert len(first) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert deploy_record.token(where).read_bytes() == first


def test_the_door_is_told_the_best_first(where):
    deploy_record.aim(where, 7, 6)
    assert (where.door / "targets").read_text() == "generation-7:9090\ngeneration-6:9090\n"


def test_history_keeps_the_order_and_passes_over_what_a_crash_cut_off(where):
    deploy_record.write(where, Record(1))
    deploy_record.note(where, "deploy", generation=1, outcome="healthy")
    deploy_record.note(where, "rollback", generation=1)
    with (where.folder / "history.jsonl").open("a") as file:
        file.write('{"schema_version": 1, "wh')
    found = deploy_record.history(where)
    assert [entry["what"] for entry in found] == ["deploy", "rollback"]
    assert found[0]["outcome"] == "healthy"
    assert json.dumps(found)


def test_the_folder_of_runs_is_hidden_from_git(where):
    deploy_record.make_runs(where)
    assert where.runs.is_dir()
    assert (where.runs.parent / ".gitignore").read_text() == "*\n"
