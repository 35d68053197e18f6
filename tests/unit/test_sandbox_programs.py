"""What an installed program brings along into a box, in made-up home folders."""

import os

import pytest

from rad_engineer.sandbox import programs, toolchains


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home" / "ada"
    (folder / ".local/bin").mkdir(parents=True)
    return folder


def installed(home, place, text="#!/usr/bin/env node\n"):
    real = home / place
    real.parent.mkdir(parents=True, exist_ok=True)
    real.write_text(text)
    return real


def linked(home, real):
    link = home / ".local/bin/tool"
    link.symlink_to(os.path.relpath(real, link.parent))
    return link


def seen(home, path, entries=(".local/bin",)):
    toolchains._resolve.cache_clear()
    search = os.pathsep.join([*(str(home / entry) for entry in entries), "/usr/bin", "/bin"])
    name, mounts = programs.visible(str(path), {"PATH": search, "HOME": str(home)})
    assert all(str(mount.host) == mount.inner and not mount.writable for mount in mounts)
    return name, [os.path.relpath(mount.inner, home) for mount in mounts]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (".npm-global/lib/node_modules/@maker/tool/bin/cli.js", ".npm-global/lib/node_modules"),
        ("work/node_modules/tool/node_modules/other/cli.js", "work/node_modules"),
        (".pnpm-global/5/.pnpm/tool@1/node_modules/tool/cli.js", ".pnpm-global/5/.pnpm"),
        (".local/share/tool/versions/2026.1/tool", ".local/share/tool/versions/2026.1"),
        ("tool", "tool"),
    ],
)
def test_a_program_brings_its_package(home, place, shown):
    link = linked(home, installed(home, place))
    assert seen(home, link) == (str(link), [shown])


def test_a_binary_brings_nothing_but_itself(home):
    link = linked(home, installed(home, ".local/share/tool/versions/2.1", "\x7fELF"))
    assert seen(home, link) == (str(link), [".local/share/tool/versions/2.1"])


def test_where_its_link_is_not_seen_it_has_its_own_name(home):
    real = installed(home, "work/node_modules/tool/cli.js")
    link = home / "tool"
    link.symlink_to(real)
    assert seen(home, link, ("",)) == (str(real), ["work/node_modules"])


def test_what_is_seen_anyway_brings_nothing(home):
    assert seen(home, "/usr/bin/env") == ("/usr/bin/env", [])
    plain = installed(home, ".local/bin/plain")
    assert seen(home, plain) == (str(plain), [])
    versioned = linked(home, installed(home, ".nvm/versions/node/v20/lib/node_modules/tool/cli.js"))
    assert seen(home, versioned) == (str(versioned), [])


def test_a_folder_of_packages_that_holds_the_home_folder_is_not_one(tmp_path):
    home = tmp_path / "node_modules" / "ada"
    real = installed(home, "apps/tool.sh")
    assert seen(home, real, ()) == (str(real), ["apps"])
