"""Which container engine is taken, and what is said where none can be."""

import pytest

from rad_engineer.delivery import deploy_engine
from rad_engineer.errors import ConfigInvalid
from tests.integration import engine_programs as programs
from tests.integration.engine_programs import COMPOSE_1, COMPOSE_2, DEAD, DOCKER, ORBSTACK, PODMAN, put


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "bin"
    place.mkdir()
    return place


def detect(folder, wanted=""):
    return deploy_engine.detect({"PATH": str(folder)}, wanted)


def test_docker_with_compose_2(folder):
    put(folder, "docker", *DOCKER, *COMPOSE_2)
    found = detect(folder)
    assert (found.name, found.version, found.compose_version) == ("Docker", "24.0.7", "2.24.5")
    assert found.compose == (str(folder / "docker"), "compose")


def test_docker_with_compose_1(folder):
    put(folder, "docker", *DOCKER)
    put(folder, "docker-compose", *COMPOSE_1)
    assert detect(folder).compose == (str(folder / "docker-compose"),)
    assert str(detect(folder)) == "Docker 24.0.7, compose 1.29.2"


def test_orbstack_is_told_by_its_name(folder):
    put(folder, "docker", *ORBSTACK, *COMPOSE_2)
    assert detect(folder).name == "OrbStack"


def test_podman_where_docker_does_not_answer(folder):
    put(folder, "docker", *DEAD, *COMPOSE_2)
    put(folder, "podman", *PODMAN)
    put(folder, "podman-compose", *COMPOSE_1)
    found = detect(folder)
    assert (found.name, found.version, found.compose) == (
        "Podman",
        "4.3.1",
        (str(folder / "podman-compose"),),
    )


def test_podman_under_the_name_of_docker_is_podman(folder):
    put(folder, "docker", *PODMAN, *COMPOSE_2)
    assert detect(folder).name == "Podman"


def test_the_one_asked_for_is_taken_although_docker_answers(folder):
    put(folder, "docker", *DOCKER, *COMPOSE_2)
    put(folder, "podman", *PODMAN, *COMPOSE_2)
    assert detect(folder, "podman").name == "Podman"
    assert all(words[0] == "podman" for words in programs.asked(folder))


def test_what_each_lacks_is_said(folder):
    put(folder, "docker", *DEAD)
    put(folder, "podman", *PODMAN)
    with pytest.raises(ConfigInvalid) as refused:
        detect(folder)
    assert "docker: Cannot connect to the Docker daemon" in str(refused.value)
    assert "podman: no compose beside it" in str(refused.value)
    assert "apt-get install" in (refused.value.hint or "")


def test_without_any_engine_the_command_ends_with_78(project, folder):
    project.init({"README.md": "x"})
    ran = project.rad("deploy", "local", env={"PATH": str(folder)})
    assert ran.code == 78
    assert "docker: not installed; podman: not installed" in ran.err


def test_the_status_of_nothing_starts_nothing(project, folder):
    project.init({"README.md": "x"})
    put(folder, "docker", *DOCKER, *COMPOSE_2)
    ran = project.rad("deploy", "local", "--status", env={"PATH": f"{folder}:{project.env['PATH']}"})
    assert (ran.code, ran.out) == (66, "")
    assert "nothing is deployed from this project" in ran.err
    assert [words[1] for words in programs.asked(folder)] == ["--version", "info", "compose"]


def test_two_things_at_once_are_refused(project):
    for words in (["--status", "--down"], ["--purge"], ["--rollback", "--purge"]):
        assert project.rad("deploy", "local", *words).code == 2


def test_a_missing_image_is_never_asked_for_by_a_bare_name(project, folder):
    project.init({"README.md": "x"})
    base = {"words": ["image", "inspect", "base:1"], "out": '[{"Id": "sha256:0"}]'}
    put(folder, "docker", *DOCKER, *COMPOSE_2, base)
    env = {"PATH": f"{folder}:{project.env['PATH']}"}
    ran = project.rad("deploy", "local", "--no-build", "--base", "base:1", env=env)
    assert ran.code == 66
    assert "there is no image localhost/rad-engineer:" in ran.err
    verbs = [words[1] for words in programs.asked(folder)]
    assert "compose" in verbs  # its version was asked for
    assert not {"pull", "run", "build", "volume", "network"} & set(verbs)


def test_no_build_needs_the_base_image_here(project, folder):
    project.init({"README.md": "x"})
    put(folder, "docker", *DOCKER, *COMPOSE_2)
    env = {"PATH": f"{folder}:{project.env['PATH']}"}
    ran = project.rad("deploy", "local", "--no-build", "--base", "base:1", env=env)
    assert ran.code == 78
    assert "the base image base:1 is not here" in ran.err
    assert "pull" not in [words[1] for words in programs.asked(folder)]
