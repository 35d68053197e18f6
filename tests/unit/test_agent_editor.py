"""The editor and the tools that only look, on files in a temporary folder."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from rad_engineer.agents.anthropic import confinement, search
from rad_engineer.agents.anthropic.confinement import mask, shown
from rad_engineer.agents.anthropic.editor import edit
from rad_engineer.agents.anthropic.seam import ToolFailed


@pytest.fixture
def slot(tmp_path):
    folder = tmp_path / "slot"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    (folder / "src" / "b.py").write_text("x = 1\n")
    (folder / "src" / "deep" / "c.py").write_text("y = 'one'\n")
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path)
    (folder / "within").symlink_to("src")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "~/x",
        "../secret",
        "src/../../secret",
        "out/secret",
        "out",
        "",
        "a\0b",
        "$PROJECT_ROOT/../secret",
    ],
)
def test_nothing_leads_out_of_the_slot(slot, name):
    for command in ({"command": "view"}, {"command": "create", "file_text": "x"}):
        with pytest.raises(ToolFailed):
            edit(slot, {**command, "path": name})
    with pytest.raises(ToolFailed):
        search.read(slot, {"path": name})
    assert (slot.parent / "secret").read_text() == "secret"


@pytest.mark.parametrize("name", ["a.txt", "./a.txt", "src/../a.txt", "$PROJECT_ROOT/a.txt"])
def test_names_of_a_file(slot, name):
    assert shown(name) == "a.txt"
    assert search.read(slot, {"path": name}).startswith("     1\tone")


@pytest.fixture(params=["kernel", "walk"])
def either_way(request, monkeypatch):
    """With and without the kernel's help: where there is no openat2, no link is followed."""
    if request.param == "walk":
        monkeypatch.setattr(confinement, "_kernel_confines", lambda: False)


@pytest.mark.usefixtures("either_way")
def test_what_lies_outside_stays_untouched_while_folders_and_links_change_places(slot):
    """A command of the agent goes on while a tool looks: `d` is a folder of the slot now, and a link out of it then."""
    outside = slot.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (slot / "d").mkdir()
    (slot / "d" / "f").write_text("mine")
    (slot / "e").symlink_to(outside)
    swap = "import ctypes; c = ctypes.CDLL(None)\nwhile True: c.renameat2(-100, b'd', -100, b'e', 2)"
    with subprocess.Popen([sys.executable, "-c", swap], cwd=slot) as swapper:
        try:
            told = [_tried(slot, name) for _ in range(150) for name in ("d", "e")]
        finally:
            swapper.kill()
    assert sorted(path.name for path in outside.iterdir()) == ["f"]
    assert (outside / "f").read_text() == "secret"
    assert not any("secret" in text for text in told)
    assert any("mine" in text for text in told)


def _tried(slot, name):
    """What all tools say of a folder, refusals left out."""
    said = []
    for tool in (
        lambda: edit(slot, {"command": "view", "path": f"{name}/f"}),
        lambda: search.grep(slot, {"pattern": ".", "path": name}, {"PATH": os.environ["PATH"]}),
        lambda: edit(slot, {"command": "create", "path": f"{name}/f", "file_text": "mine"}),
        lambda: edit(slot, {"command": "create", "path": f"{name}/new", "file_text": "mine"}),
        lambda: edit(slot, {"command": "view", "path": name}),
        lambda: search.glob(slot, {"pattern": "*", "path": name}),
    ):
        with suppress(ToolFailed):
            said.append(tool())
    return " ".join(said)


def test_where_links_are_not_followed_that_is_said(slot, monkeypatch):
    monkeypatch.setattr(confinement, "_kernel_confines", lambda: False)
    assert "x = 1" in edit(slot, {"command": "view", "path": "src/b.py"})
    with pytest.raises(ToolFailed, match="Not a directory"):
        edit(slot, {"command": "view", "path": "within/b.py"})


@pytest.mark.parametrize("name", ["n" * 300, "d/" * 3000 + "x", "src/" + "n" * 300, "a.txt/" + "n" * 300])
def test_a_name_that_no_file_can_have_is_said(slot, name):
    insert = {"command": "insert", "insert_line": 0, "insert_text": "x"}
    calls = [{"command": "view"}, {"command": "create", "file_text": "x"}, insert]
    for call in calls:
        with pytest.raises(ToolFailed) as failed:
            edit(slot, {**call, "path": name})
        assert len(str(failed.value)) < 400
    with pytest.raises(ToolFailed):
        search.read(slot, {"path": name})


def test_links_within_the_slot_may_be_followed(slot):
    assert "x = 1" in edit(slot, {"command": "view", "path": "within/b.py"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "a.txt"}, "     1\tone\n     2\ttwo\n     3\tthree"),
        ({"path": "a.txt", "view_range": [2, -1]}, "     2\ttwo\n     3\tthree"),
        ({"path": "a.txt", "view_range": [2, 2]}, "     2\ttwo"),
        ({"path": "src"}, "src/b.py\nsrc/deep/\nsrc/deep/c.py"),
    ],
)
def test_view(slot, given, says):
    assert edit(slot, {"command": "view", **given}) == says


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"command": "create", "path": "new/d.txt", "file_text": "d"}, "d"),
        ({"command": "create", "path": "a.txt", "file_text": ""}, ""),
        (
            {"command": "str_replace", "path": "a.txt", "old_str": "two\n", "new_str": "2\n"},
            "one\n2\nthree\n",
        ),
        ({"command": "str_replace", "path": "a.txt", "old_str": "two\n"}, "one\nthree\n"),
        (
            {"command": "insert", "path": "a.txt", "insert_line": 0, "insert_text": "zero\n"},
            "zero\none\ntwo\nthree\n",
        ),
        (
            {"command": "insert", "path": "a.txt", "insert_line": 1, "insert_text": "1.5"},
            "one\n1.5\ntwo\nthree\n",
        ),
        (
            {"command": "insert", "path": "a.txt", "insert_line": 3, "insert_text": "end"},
            "one\ntwo\nthree\nend",
        ),
    ],
)
def test_edits(slot, given, content):
    edit(slot, given)
    assert (slot / given["path"]).read_text() == content


def test_it_says_whether_a_file_was_there_before(slot):
    told = [edit(slot, {"command": "create", "path": "new/d.txt", "file_text": "d"}) for _ in range(2)]
    assert told == ["new/d.txt: created, 1 lines", "new/d.txt: overwritten, 1 lines"]


def test_line_ends_stay_what_they_are(slot):
    (slot / "dos.txt").write_bytes(b"a\r\nb\r\n")
    edit(slot, {"command": "str_replace", "path": "dos.txt", "old_str": "b", "new_str": "c"})
    assert (slot / "dos.txt").read_bytes() == b"a\r\nc\r\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"command": "undo_edit", "path": "a.txt"}, "unknown command"),
        ({}, "unknown command"),
        ({"command": "view"}, "`path`"),
        ({"command": "view", "path": 3}, "`path`"),
        ({"command": "view", "path": "gone.txt"}, "No such file"),
        ({"command": "view", "path": "a.txt", "view_range": [4, 9]}, "3 lines"),
        ({"command": "view", "path": "a.txt", "view_range": "all"}, "`view_range`"),
        ({"command": "create", "path": "src", "file_text": "x"}, "directory"),
        ({"command": "create", "path": "a.txt/b", "file_text": "x"}, "a.txt/b: "),
        ({"command": "create", "path": "pipe", "file_text": "x"}, "regular file"),
        ({"command": "view", "path": "pipe"}, "regular file"),
        ({"command": "view", "path": "bytes"}, "UTF-8"),
        ({"command": "str_replace", "path": "a.txt", "old_str": "four", "new_str": ""}, "0 times"),
        (
            {"command": "str_replace", "path": "a.txt", "old_str": "o", "new_str": ""},
            "2 times in a.txt (lines 1, 2)",
        ),
        ({"command": "str_replace", "path": "a.txt", "old_str": "", "new_str": "x"}, "0 times"),
        ({"command": "insert", "path": "a.txt", "insert_line": 4, "insert_text": "x"}, "0 and 3"),
        ({"command": "insert", "path": "a.txt", "insert_line": True, "insert_text": "x"}, "integer"),
    ],
)
def test_what_cannot_be_done_is_said(slot, given, says):
    os.mkfifo(slot / "pipe")
    (slot / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ToolFailed) as failed:
        edit(slot, given)
    assert says in str(failed.value)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", "src/b.py\nsrc/deep/c.py"),
        ("src/*.py", "src/b.py"),
        ("src/**/*.py", "src/b.py\nsrc/deep/c.py"),
        ("**/c.py", "src/deep/c.py"),
        ("src/**", "src/b.py\nsrc/deep/c.py"),
        ("*.rs", "(no file matches)"),
    ],
)
def test_glob(slot, pattern, found):
    assert search.glob(slot, {"pattern": pattern}) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"pattern": "one"}, "a.txt:1:one\nsrc/deep/c.py:1:y = 'one'"),
        ({"pattern": "one", "glob": "*.py"}, "src/deep/c.py:1:y = 'one'"),
        ({"pattern": "^t", "path": "a.txt"}, "a.txt:2:two\na.txt:3:three"),
        ({"pattern": "-x"}, "(no line matches)"),
    ],
)
def test_grep(slot, given, found):
    assert search.grep(slot, given, {"PATH": os.environ["PATH"]}) == found


def test_grep_where_a_name_looks_like_a_place(slot):
    (slot / "odd:²:name").write_text("odd\n")
    found = search.grep(slot, {"pattern": "odd"}, {"PATH": os.environ["PATH"]})
    assert found == "odd:²:name:1:odd"


def test_read(slot):
    assert search.read(slot, {"path": "a.txt", "offset": 2, "limit": 1}) == "     2\ttwo\n(1 more lines)"
    with pytest.raises(ToolFailed):
        search.grep(slot, {"pattern": "("}, {"PATH": os.environ["PATH"]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{slot}/a.txt {real} {above}/gates run-7", "$PROJECT_ROOT/a.txt $PROJECT_ROOT $CACHE/gates $RUN"),
        ("-I{slot}/include file://{slot}.", "-I$PROJECT_ROOT/include file://$PROJECT_ROOT."),
        ("{slot}2 {slot}-x {slot}.py run-77", "$CACHE/slot2 $CACHE/slot-x $CACHE/slot.py run-77"),
        (
            "/app/x.py (/app) src/app.py src/app /application",
            "$REPO/x.py ($REPO) src/app.py src/app /application",
        ),
    ],
)
def test_what_differs_between_machines_is_masked(slot, text, shown):
    masked = mask(
        slot, {str(slot.parent): "$CACHE", "run-7": "$RUN", "": "never", "/": "never", "/app": "$REPO"}
    )
    assert masked(text.format(slot=slot, real=slot.resolve(), above=slot.parent)) == shown
