"""Patches as values: what git and diff write, read without mistaking content for structure."""

from rad_engineer.core import diff
from rad_engineer.core.diff import Line
from tests.patches import changes, patch


def one(text):
    [file] = diff.parse(text.encode("utf-8", "surrogateescape"))
    return file


def test_a_changed_file():
    file = one(patch("src/a.py", "one\ntwo\nthree\n", "one\n2\nthree\nfour\n"))
    assert (file.path, file.old_path, file.status, file.gone, file.binary) == (
        "src/a.py",
        "src/a.py",
        "M",
        False,
        False,
    )
    assert list(file.removed) == [Line(2, "two")]
    assert list(file.added) == [Line(2, "2"), Line(4, "four")]
    assert [hunk.start for hunk in file.hunks] == [2, 4]


def test_lines_around_a_change_only_count():
    file = one(patch("a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", context=3))
    assert [list(file.removed), list(file.added)] == [[Line(5, "5")], [Line(5, "five")]]
    cut = one("--- a/a\n+++ b/a\n@@ -1,2 +1,3 @@ def f():\n one\n+new\n\n")
    assert list(cut.added) == [Line(2, "new")]
    assert cut.hunks[0].section == "def f():"


def test_content_that_looks_like_a_patch_is_content():
    before, after = "-- a/x\n++ b/x\n", "@@ -1 +1 @@\ndiff --git a/y b/y\n"
    [file] = changes(("notes.txt", before, after))
    assert [line.text for line in file.removed] == ["-- a/x", "++ b/x"]
    assert [line.text for line in file.added] == ["@@ -1 +1 @@", "diff --git a/y b/y"]


def test_files_come_and_go():
    new, gone, empty = changes(("new.py", None, "x\n"), ("old.py", "x\n", None), ("empty", None, ""))
    assert (new.path, new.status, new.old_path, new.new_mode) == ("new.py", "A", "", "100644")
    assert (gone.path, gone.status, gone.gone, list(gone.removed)) == ("old.py", "D", True, [Line(1, "x")])
    assert (empty.path, empty.status, empty.hunks) == ("empty", "A", ())


def test_a_line_without_an_end():
    file = one(
        "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n\\ No newline at end of file\n"
    )
    assert [list(file.removed), list(file.added)] == [[Line(1, "x")], [Line(1, "y")]]


def test_renames_copies_and_modes():
    moved = one("diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
                "index 1..2 100644\n--- a/old.py\n+++ b/new.py\n@@ -1 +1 @@\n-x\n+y\n")  # fmt: skip
    assert (moved.path, moved.old_path, moved.status, moved.new_mode) == ("new.py", "old.py", "R", "100644")
    copied = one("diff --git a/a b/b\nsimilarity index 100%\ncopy from a\ncopy to b\n")
    assert (copied.path, copied.status) == ("b", "A")
    mode = one("diff --git a/run b/run\nold mode 100644\nnew mode 100755\n")
    assert (mode.path, mode.status, mode.old_mode, mode.new_mode) == ("run", "M", "100644", "100755")
    link = one(
        "diff --git a/run b/run\nold mode 100644\nnew mode 120000\n--- a/run\n+++ b/run\n@@ -1 +1 @@\n-x\n+/etc\n"
    )
    assert (link.status, link.new_mode) == ("T", diff.LINK)


def test_what_is_no_text_is_binary():
    told = one(
        "diff --git a/x.png b/x.png\nnew file mode 100644\nindex 0..1\nBinary files /dev/null and b/x.png differ\n"
    )
    assert (told.binary, told.status, told.path) == (True, "A", "x.png")
    given, after = diff.parse(
        b"diff --git a/x b/x\nindex 0..1\nGIT binary patch\nliteral 3\nKcmZ\n\n"
        + patch("a", "1\n", "2\n").encode()
    )
    assert (given.binary, after.path) == (True, "a")
    assert one(patch("a.py", "x\n", "y\0z\n")).binary


def test_names_with_unusual_characters():
    file = one('diff --git "a/gr\\303\\274n \\"x\\".py" "b/gr\\303\\274n \\"x\\".py"\n--- "a/gr\\303\\274n \\"x\\".py"\n'
               '+++ "b/gr\\303\\274n \\"x\\".py"\n@@ -1 +1 @@\n-x\n+y\n')  # fmt: skip
    assert file.path == 'grün "x".py'
    assert one('diff --git "a/t\\tb" "b/t\\tb"\nold mode 100644\nnew mode 100755\n').path == "t\tb"
    assert one("diff --git a/a b/a b/a b/a\nold mode 1\nnew mode 2\n").path == "a b/a"
    assert diff._plain('"') == '"'


def test_a_plain_diff_without_git():
    file = one("--- old/a.py\t2020-01-01\n+++ new/a.py\t2020-01-02\n@@ -1 +1 @@\n-x\n+y\n")
    assert (file.path, file.old_path, file.status) == ("new/a.py", "old/a.py", "M")
    assert one("--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+y\n").status == "A"


def test_anything_else_is_passed_over():
    assert diff.parse(b"") == diff.parse(b"From 123\nSubject: x\n--- not a header\n\n") == ()
    first, second = diff.parse(
        b"Subject: x\n\n" + (patch("a", "1\n", "2\n") + "-- \n2.39\n" + patch("b", "1\n", "2\n")).encode()
    )
    assert (first.path, second.path) == ("a", "b")
    assert one("diff --git a/a b/a\n").path == "a"
