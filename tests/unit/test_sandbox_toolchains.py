"""Which toolchains a search path leads to, in made-up home folders."""

import os
import sys

import pytest

from rad_engineer.sandbox import toolchains
from rad_engineer.sandbox.toolchains import in_system


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home" / "ada"
    folder.mkdir(parents=True)
    return folder


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def resolved(home, *entries, **variables):
    toolchains._resolve.cache_clear()
    path = os.pathsep.join([*map(str, entries), "/usr/bin", "/bin"])
    return toolchains.resolve({"PATH": path, "HOME": str(home), **variables})


def shown(found):
    return {mount.inner for mount in found.mounts}


def test_the_system_needs_nothing(home):
    found = resolved(home)
    assert found.path == "/usr/bin:/bin"
    assert found.unseen == ()


def test_nothing_relative_empty_or_missing(home):
    assert resolved(home, "", ".", "bin", home / "missing").path == "/usr/bin:/bin"


@pytest.mark.parametrize("private", ["", "..", "../.."])
def test_a_home_folder_is_never_shown(home, private):
    entry = os.path.normpath(home / private)
    found = resolved(home, entry)
    assert entry in found.unseen
    assert entry not in found.path.split(":")
    assert not any(str(home).startswith(each) for each in shown(found))


@pytest.mark.parametrize("place", ["/root", "/home/somebody"])
def test_nor_is_the_home_folder_of_somebody_else(home, place):
    search = toolchains._Search(str(home), {})
    assert search._is_private(place)
    assert not search._is_private(f"{place}/.nvm/versions")


def test_a_known_root_is_shown_with_the_variable_that_names_it(home):
    program(home / ".pyenv" / "shims" / "python3")
    (home / ".pyenv" / "versions").mkdir()
    found = resolved(home, home / ".pyenv" / "shims")
    assert str(home / ".pyenv") in shown(found)
    assert found.variables["PYENV_ROOT"] == str(home / ".pyenv")
    assert found.path.startswith(str(home / ".pyenv" / "shims"))


def test_a_root_elsewhere_is_found_by_its_variable(home, tmp_path):
    program(tmp_path / "tools" / "nvm" / "versions" / "node" / "v22" / "bin" / "node")
    found = resolved(
        home, tmp_path / "tools/nvm/versions/node/v22/bin", NVM_DIR=str(tmp_path / "tools" / "nvm")
    )
    assert str(tmp_path / "tools" / "nvm") in shown(found)


def test_cargo_comes_with_rustup_and_without_its_tokens(home):
    program(home / ".cargo" / "bin" / "cargo")
    (home / ".cargo" / "credentials.toml").write_text("t")
    (home / ".rustup").mkdir()
    found = resolved(home, home / ".cargo" / "bin")
    assert {str(home / ".cargo" / "bin"), str(home / ".rustup")} <= shown(found)
    assert str(home / ".cargo") not in shown(found)
    assert found.variables == {"RUSTUP_HOME": str(home / ".rustup")}


def test_links_in_a_folder_of_programs_lead_to_their_roots(home):
    tool = program(home / ".local/share/uv/tools/ruff/bin/ruff")
    (home / ".local" / "bin").mkdir()
    (home / ".local" / "bin" / "ruff").symlink_to(tool)
    found = resolved(home, home / ".local" / "bin")
    assert {str(home / ".local" / "bin"), str(home / ".local/share/uv/tools")} <= shown(found)
    assert str(home / ".local/share/uv") not in shown(found)


def test_a_venv_comes_with_the_python_that_it_stands_on(home, tmp_path):
    program(tmp_path / "python" / "bin" / "python3")
    venv = tmp_path / "project" / ".venv"
    program(venv / "bin" / "pytest")
    (venv / "pyvenv.cfg").write_text(
        f"home = {tmp_path / 'python' / 'bin'}\ninclude-system-site-packages = false\n"
    )
    found = resolved(home, venv / "bin")
    assert {str(venv), str(tmp_path / "python")} <= shown(found)
    assert str(tmp_path / "project") not in shown(found)


def test_a_variable_that_names_the_home_folder_shows_nothing_of_it(home):
    program(home / "bin" / "java")
    found = resolved(home, home / "bin", JAVA_HOME=str(home))
    assert str(home) not in shown(found)
    assert str(home) not in found.variables.values()


def test_the_python_that_runs_us_is_always_there(home):
    real = os.path.realpath(sys.base_prefix)
    assert in_system(real) or any(
        real == each or real.startswith(f"{each}/") for each in shown(resolved(home))
    )


def test_nothing_is_bound_twice(home):
    program(home / ".nvm" / "versions" / "node" / "bin" / "node")
    inner = [mount.inner for mount in resolved(home, home / ".nvm/versions/node/bin").mounts]
    assert not [each for each in inner if any(each.startswith(f"{other}/") for other in inner)]


@pytest.mark.parametrize(("path", "inside"), [
    ("/usr", True), ("/usr/lib/x", True), ("/bin", True), ("/lib64/ld.so", True), ("/user", False), ("/opt/x", False),
])  # fmt: skip
def test_what_belongs_to_the_system(path, inside):
    assert in_system(path) is inside


def test_a_java_that_only_its_variable_names_is_shown(home, tmp_path):
    program(tmp_path / "jdk" / "bin" / "java")
    found = resolved(home, JAVA_HOME=str(tmp_path / "jdk"))
    assert str(tmp_path / "jdk") in shown(found)
    assert found.variables == {"JAVA_HOME": str(tmp_path / "jdk")}
    assert resolved(home, JAVA_HOME="/usr/lib/jvm/x").variables == {"JAVA_HOME": "/usr/lib/jvm/x"}
