"""Boxes that are opened before their stages come: taken only where they are exactly right, and never left behind."""

import os
import select
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from rad_engineer import sandbox
from rad_engineer.sandbox import Box, Grants, Listener, Mount
from rad_engineer.sandbox.namespace import BoxFailed
from rad_engineer.worker.ahead import Ahead
from tests.sandboxes import needs_bubblewrap, place, sh, slot_in

NONE = Grants()


@pytest.fixture
def ahead():
    needs_bubblewrap()
    found = Ahead()
    yield found
    found.close()


def waiting(ahead: Ahead) -> list[Box]:
    return [each.box for each in ahead._waiting.values()]


def init_of(box: Box) -> int:
    """A descriptor of the init of a box, which is readable when nothing of the box is left."""
    box.ready()
    return os.pidfd_open(box._namespace.init)  # type: ignore[attr-defined]


def over(pidfd: int) -> bool:
    gone = bool(select.select([pidfd], [], [], 0)[0])
    os.close(pidfd)
    return gone


def took(ahead: Ahead, *asked) -> bool:
    """Whether the stage got the box that waited; if not, nothing of that one is left."""
    (before,) = waiting(ahead)
    init = init_of(before)
    with ahead.take("bubblewrap", *asked) as box:
        assert sh(box, asked[0].slot, "echo works").output == "works\n"
        assert waiting(ahead) == []
        same = box is before
        assert over(init) is not same
    return same


def test_the_next_stage_gets_the_box_that_waits(ahead, tmp_path):
    where = place(slot_in(tmp_path))
    ahead.open("bubblewrap", where, NONE)
    assert ahead.waits(where)
    assert took(ahead, where, NONE)
    assert not ahead.waits(where)


def test_it_shows_what_has_come_into_the_copy_since(ahead, tmp_path):
    where = place(slot_in(tmp_path))
    ahead.open("bubblewrap", where, NONE)
    (where.slot / "new").write_text("new\n")
    with ahead.take("bubblewrap", where, NONE) as box:
        assert sh(box, where.slot, "cat new").output == "new\n"


@pytest.mark.parametrize("what", ["mount", "read-only", "grants", "owner"])
def test_a_stage_that_wants_another_one_does_not_get_it(ahead, tmp_path, what):
    slot, beside = slot_in(tmp_path), tmp_path / "beside"
    beside.mkdir(mode=0o755)
    (slot / "made").mkdir()
    ahead.open("bubblewrap", place(slot), NONE)
    other = {
        "mount": (place(slot, Mount(beside, "/beside")), NONE),
        "read-only": (place(slot, read_only=("made",)), NONE),
        "grants": (place(slot), Grants(variables={"A": "1"})),
        "owner": (sandbox.Place(slot, "/src/other", (), (), sandbox.owner()), NONE),
    }[what]
    assert not took(ahead, *other)


@pytest.mark.parametrize("what", ["copy", "file", "link", "output"])
def test_what_was_exchanged_since_is_looked_up_again(ahead, tmp_path, what):
    slot, file = slot_in(tmp_path), tmp_path / "prompt"
    file.symlink_to("one")
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name}\n")
    (slot / "made").mkdir()
    where = place(slot, Mount(file, "/rad/prompt"), read_only=("made",))
    ahead.open("bubblewrap", where, NONE)
    init_of_old = init_of(waiting(ahead)[0])  # it has found the old ones
    os.close(init_of_old)
    if what == "copy":
        slot.rename(tmp_path / "old")
        slot.mkdir()
        (slot / "made").mkdir()
        sandbox.hand_over(slot, sandbox.owner())
    elif what == "file":
        (tmp_path / "two").replace(tmp_path / "one")
    elif what == "link":
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(file)
    else:
        (slot / "made").rename(tmp_path / "old")
        (slot / "made").mkdir()
    assert not took(ahead, where, NONE)


def test_what_cannot_be_opened_is_left_to_the_stage(ahead, tmp_path):
    slot = slot_in(tmp_path)
    where = place(slot, Mount(tmp_path / "later", "/rad/later"))
    ahead.open("bubblewrap", where, NONE)
    assert waiting(ahead) == []
    (tmp_path / "later").write_text("later\n")
    with ahead.take("bubblewrap", where, NONE) as box:
        assert sh(box, slot, "cat /rad/later").output == "later\n"


def test_one_that_could_not_be_opened_is_another_ones_trouble(ahead, tmp_path):
    slot, beside = slot_in(tmp_path), tmp_path / "beside"
    beside.mkdir(mode=0o755)
    where = place(slot, Mount(beside, "/beside"))
    ahead.open("bubblewrap", where, NONE)
    beside.rename(tmp_path / "away")
    with suppress(BoxFailed):  # unless it was quick
        waiting(ahead)[0].ready()
    (tmp_path / "away").rename(beside)
    with ahead.take("bubblewrap", where, NONE) as box:
        assert sh(box, slot, "echo works").output == "works\n"


def test_one_that_was_killed_is_opened_again(ahead, tmp_path):
    where = place(slot_in(tmp_path))
    ahead.open("bubblewrap", where, NONE)
    (box,) = waiting(ahead)
    os.kill(box._namespace._child.pid, 9)
    with ahead.take("bubblewrap", where, NONE) as box:
        assert sh(box, where.slot, "echo works").output == "works\n"


def test_before_a_copy_changes_nothing_in_it_is_looked_up_any_more(ahead, tmp_path):
    """A link in the place of what setup made would show whatever it leads to."""
    slot, secret = slot_in(tmp_path), tmp_path / "secret"
    secret.mkdir(mode=0o755)
    (secret / "key").write_text("key\n")
    for _ in range(3):
        (slot / "made").mkdir()
        where = place(slot, read_only=("made",))
        ahead.open("bubblewrap", where, NONE)
        ahead.settle(slot)
        shutil.rmtree(slot / "made")
        (slot / "made").symlink_to(secret)
        (box,) = waiting(ahead)
        said = sh(box, slot, "cat made/key")
        (slot / "made").unlink()
        ahead.close()
        assert "key\n" not in said.output.replace("made/key", "")


def test_a_copy_has_one_box_at_most_and_none_is_left(ahead, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    one, other = place(slot_in(first)), place(slot_in(second))
    ahead.open("bubblewrap", one, NONE)
    init = init_of(waiting(ahead)[0])
    ahead.open("bubblewrap", one, NONE)
    assert over(init)
    ahead.open("bubblewrap", other, NONE)
    inits = [init_of(box) for box in waiting(ahead)]
    assert len(inits) == 2
    ahead.close()
    assert all(map(over, inits))


def test_others_are_opened_when_they_are_wanted(ahead, tmp_path):
    where = place(slot_in(tmp_path))
    served = Grants(listeners=(Listener(8000, lambda _listening: lambda: None),))
    for level, grants in (("bubblewrap", served), ("landlock", NONE), ("off", NONE)):
        ahead.open(level, where, grants)
        assert waiting(ahead) == []
    ahead.open("bubblewrap", place(Path(tmp_path / "nowhere")), NONE)
    assert waiting(ahead) == []
