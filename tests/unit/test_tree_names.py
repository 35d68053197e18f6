"""Names in a tree, what is kept beside it, and what passes for `.git`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.slots.staging import leaves_tree
from rad_engineer.slots.tree_names import Kept, Names, is_dot_git

PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


def built(paths):
    names = Names()
    for path in paths:
        names.add(path)
    return names


def shape(names):
    return (
        {folder: inside for folder, inside in names.files.items() if inside},
        {folder: inside for folder, inside in names.folders.items() if inside},
    )


def files_only(paths):
    """Without those that are the folder of another one."""
    return {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}


@given(st.sets(PATHS), st.sets(PATHS))
def test_names_follow_from_one_tree_to_another(old, new):
    old, new = files_only(old), files_only(new)
    names = built(old)
    for path in old - new:
        names.drop(path)
    for path in new - old:
        names.add(path)
    assert shape(names) == shape(built(new))
    for path in new:
        assert names.has(path)
        assert names.has(path.split("/")[0])


def test_a_git_link_is_a_folder_with_nothing_in_it():
    names = built(["a/b"])
    names.add("a/sub", gitlink=True)
    assert names.folders["a"] == {"sub"}
    assert names.gitlinks == {"a/sub"}
    names.drop("a/b")
    assert names.has("a")
    names.drop("a/sub")
    assert not names.has("a")
    assert not names.gitlinks


@pytest.mark.parametrize(
    ("pattern", "kept", "not_kept"),
    [
        ("node_modules", ["node_modules"], ["a/node_modules", "node_modules2"]),
        ("/node_modules/", ["node_modules"], ["a/node_modules"]),
        ("**/node_modules", ["node_modules", "a/node_modules", "a/b/node_modules"], ["a/node_modules/x"]),
        ("packages/*/dist", ["packages/one/dist"], ["packages/dist", "packages/one/two/dist"]),
        ("*.egg-info", ["x.egg-info"], ["a/x.egg-info", "x_egg-info"]),
        ("a[bc]", ["ab", "ac", "a[bc]"], ["ad"]),
        ("a[!b]", ["ac"], ["ab"]),
        ("build/**", ["build/x", "build/x/y"], ["build"]),
        ("a.b", ["a.b"], ["axb"]),
        ("?", ["x", "\n"], ["xy", "/"]),
    ],
)
def test_kept_paths(pattern, kept, not_kept):
    rule = Kept([pattern])
    assert [path for path in kept if path not in rule] == []
    assert [path for path in not_kept if path in rule] == []


def test_folders_on_the_way_to_what_is_kept():
    rule = Kept(["a/b/c", "packages/*/dist", "**/x", "deep/**/y"])
    assert [path for path in ("a", "a/b", "packages", "packages/one", "deep") if not rule.below(path)] == []
    assert [path for path in ("b", "a/b/c/d", "packages/one/two", "z", "deep/er") if rule.below(path)] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".git", True),
        (".GIT", True),
        (".Git. .", True),
        ("git~1", True),
        ("GIT~1", True),
        (".git:stream", True),
        (".git\\x", True),
        (".g\u200dit", True),
        ("\ufeff.git", True),
        (".gitignore", False),
        (".github", False),
        ("git", False),
        ("x.git", False),
        ("git~", False),
        (".git2", False),
    ],
)
def test_what_passes_for_dot_git(name, expected):
    assert is_dot_git(name) is expected


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("link", "file", False),
        ("link", "./a/b", False),
        ("a/link", "../file", False),
        ("a/b/link", "../../file", False),
        ("a/link", ".", False),
        ("link", "..", True),
        ("a/link", "../../file", True),
        ("link", "/etc", True),
        ("link", "", True),
        ("a/link", "b/../c", True),  # b may be a link to anywhere in the tree, and .. is taken from there
        ("a/link", "..//./..", True),
    ],
)
def test_links_that_leave_the_tree(path, target, expected):
    assert leaves_tree(path, target) is expected
