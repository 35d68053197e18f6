"""What bubblewrap is told, without bubblewrap: from a place, grants and toolchains to arguments."""

from pathlib import Path

import pytest

from rad_engineer.sandbox import profile
from rad_engineer.sandbox.profile import Ground
from rad_engineer.sandbox.seam import HOME, Grants, Mount, Place
from rad_engineer.sandbox.toolchains import System, Toolchains

SYSTEM = System((("/bin", "usr/bin"),), ("/usr", "/etc/ssl/certs"))
TOOLS = Toolchains("/usr/bin", (Mount(Path("/home/ada/.nvm"), "/home/ada/.nvm"),))
PLACE = Place(Path("/cache/slots/0"), "/src/demo")


def told(place=PLACE, grants=None, **about):
    given = profile.arguments(place, grants or Grants(), Ground(SYSTEM, TOOLS, **about))
    return [each.decode() if isinstance(each, bytes) else each for each in given]


def pairs(given, option):
    """What stands behind an option, two at a time."""
    return [tuple(given[at + 1 : at + 3]) for at, word in enumerate(given) if word == option]


@pytest.mark.parametrize("as_root", [True, False])
def test_everything_is_its_own_and_ends_with_whoever_started_it(as_root):
    given = told(Place(PLACE.slot, PLACE.inner, owner=(7, 8)), as_root=as_root)
    for option in ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try",
                   "--die-with-parent", "--new-session", "--clearenv", "--as-pid-1"):  # fmt: skip
        assert option in given
    assert "--share-net" not in given
    assert ("--unshare-user" in given) is not as_root
    assert ("--cap-drop" in given) is as_root


def test_only_the_slot_can_be_written():
    given = told()
    assert pairs(given, "--bind") == [("/cache/slots/0", "/src/demo")]
    assert ("/home/ada/.nvm", "/home/ada/.nvm") in pairs(given, "--ro-bind")
    assert pairs(given, "--ro-bind-try") == [("/usr", "/usr"), ("/etc/ssl/certs", "/etc/ssl/certs")]


def test_the_root_is_made_read_only_last():
    given = told(Place(PLACE.slot, PLACE.inner, read_only=("node_modules",)), caches=("node_modules/.cache",))
    last = max(
        at
        for at, word in enumerate(given)
        if word in ("--bind", "--ro-bind", "--tmpfs", "--symlink", "--file")
    )
    assert last < given.index("--remount-ro")
    assert given[-6:] == ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def test_what_lies_in_something_else_is_bound_after_it():
    deep = Mount(Path("/d"), "/a/b/c")
    given = told(Place(PLACE.slot, PLACE.inner, (deep, Mount(Path("/s"), "/a"))))
    assert given.index("/a/b/c") > given.index("/a", given.index("/s"))


def test_read_only_outputs_have_caches_in_memory_over_them():
    place = Place(PLACE.slot, PLACE.inner, read_only=("node_modules",))
    given = told(place, caches=("node_modules/.cache",))
    assert ("/cache/slots/0/node_modules", "/src/demo/node_modules") in pairs(given, "--ro-bind")
    assert given.index("/src/demo/node_modules/.cache") > given.index("/src/demo/node_modules")
    assert given[given.index("/src/demo/node_modules/.cache") - 1] == "--tmpfs"


def test_folders_in_memory_have_a_size():
    given = told()
    for folder in (HOME, "/tmp", "/dev/shm"):
        at = given.index(folder, given.index("--tmpfs"))
        assert given[at - 1] == "--tmpfs"
        assert given[at - 3] == "--size"


def test_a_granted_home_is_kept():
    given = told(grants=Grants(home=Path("/runs/1/home")))
    assert ("/runs/1/home", HOME) in pairs(given, "--bind")
    assert (HOME,) not in [
        tuple(given[at + 1 : at + 2]) for at, word in enumerate(given) if word == "--tmpfs"
    ]


def test_etc_names_nobody_of_this_machine():
    given = told()
    contents = [given[at + 1] for at, word in enumerate(given) if word == "--file"]
    assert any(":1000:1000:" in content for content in contents)
    assert not any("ada" in content for content in contents)
    as_root = told(Place(PLACE.slot, PLACE.inner, owner=(7, 8)), as_root=True)
    assert any("agent:x:7:8:" in each for each in as_root)


def test_folders_above_a_mount_can_be_passed_through():
    given = told()
    at = given.index("/home/ada")
    assert given[at - 3 : at] == ["--perms", "0755", "--dir"]
    assert tuple(given[given.index("/src") - 3 : given.index("/src") - 1]) == ("--perms", "0755")


def test_files_of_the_kernel_are_masked_where_there_are_any():
    given = told(kernel_files=("/proc/keys",))
    assert ("/dev/null", "/proc/keys") in pairs(given, "--ro-bind")
    assert ("/proc/sys", "/proc/sys") in pairs(given, "--ro-bind")
    assert "/proc/keys" not in told()


def test_more_user_namespaces_are_forbidden_where_bubblewrap_can():
    assert "--disable-userns" in told(no_new_users=True)
    assert "--disable-userns" not in told()
