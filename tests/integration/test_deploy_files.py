"""What engines and clusters are given: valid by the schemas of others, the same each time, with nothing hidden in it."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import rad_engineer
from rad_engineer.commands import VERBS
from rad_engineer.delivery import deploy_image, deploy_kubernetes, deploy_wheels
from rad_engineer.errors import UsageError
from tests.conftest import ROOT

TOOLS = ROOT / ".venv-tools" / "bin"
IMAGE = "registry.example.org/rad-engineer:1.2.0"


def tool(name, *arguments):
    program = TOOLS / name
    if not program.exists():
        pytest.skip("requirements/venv tools has not been run")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_compose_yaml_keeps_to_the_specification(tmp_path):
    path = deploy_image.FILES / "compose.yaml"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text().replace("read_only: true", "readonly: true"))
    seen = tool(
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "--output-format", "json", path, wrong
    )
    found = json.loads(seen.stdout)
    assert seen.returncode == 1
    assert {Path(error["filename"]).name for error in found["errors"]} == {"wrong.yaml"}
    assert found["parse_errors"] == []


def test_every_option_that_compose_yaml_gives_is_one_of_serve():
    text = (deploy_image.FILES / "compose.yaml").read_text()
    given = set(re.findall(r"--[a-z-]+(?==)", text[text.index("      - serve\n") : text.index("aliases")]))
    serve = next(verb for verb in VERBS if verb.name == "serve")
    assert len(given) >= 5
    assert given <= {flag for row in serve.told for flag in row.flags}


def test_nothing_in_compose_yaml_is_built_or_has_a_name_of_its_own():
    text = (deploy_image.FILES / "compose.yaml").read_text()
    assert "build:" not in text
    assert set(re.findall(r"image: (.+)", text)) == {
        f'"${{RAD_DEPLOY_{name}IMAGE}}"' for name in ("", "DOOR_", "PROMETHEUS_")
    }


def test_each_stage_of_the_dockerfile_is_labelled_first_and_no_argument_is_a_secret():
    lines = (deploy_image.FILES / "Dockerfile").read_text().splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    assert all(lines[number + 1].startswith("LABEL rad-engineer.image=") for number in stages)
    assert [line for line in lines if line.startswith("ARG ")] == ["ARG BASE=python:3.11-slim-bookworm"]


def test_the_wheel_is_the_package_that_runs_and_the_same_each_time():
    wheel = deploy_wheels.own_wheel()
    assert wheel == deploy_wheels.own_wheel()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        init = archive.read("rad_engineer/__init__.py")
    assert init == Path(rad_engineer.__file__).read_bytes()
    assert "rad_engineer/delivery/container/compose.yaml" in names
    assert wheel.name == f"rad_engineer-{rad_engineer.__version__}-py3-none-any.whl"


def test_hidden_files_and_bytecode_stay_out_of_the_wheel(tmp_path):
    package = tmp_path / "rad_engineer"
    package.mkdir()
    (package / "__init__.py").write_text("")
    plain = deploy_wheels.own_wheel(package)
    (package / ".env").write_text("x")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert deploy_wheels.own_wheel(package) == plain
    (package / "__init__.py").write_text("x = 1\n")
    assert deploy_wheels.own_wheel(package) != plain


def test_what_is_needed_is_pinned_and_what_only_tests_need_is_not():
    pins = deploy_wheels.pins()
    assert {"uvicorn", "starlette", "pydantic", "anyio"} <= set(pins)
    assert not {"pytest", "ruff", "rad-engineer", "cryptography"} & set(pins)


def test_manifests_are_valid_for_a_cluster(tmp_path):
    paths = deploy_kubernetes.write(tmp_path / "k8s", deploy_kubernetes.manifests("shop", IMAGE))
    deployment = next(path for path in paths if path.name == "deployment.yaml")
    for wanted in ("startupProbe", "livenessProbe", "readinessProbe", "maxUnavailable: 0", "secretName: shop-token",
                   f"image: {IMAGE}", "limits:"):  # fmt: skip
        assert wanted in deployment.read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        deployment.read_text().replace("replicas: 1", "replicas: one").replace("name: shop", "name: wrong")
    )
    seen = tool("kubernetes-validate", "--strict", *paths, wrong)
    said = (seen.stdout + seen.stderr).splitlines()
    assert len([line for line in said if "passed for resource" in line]) == 3
    assert seen.returncode != 0
    assert any("one" in line and "passed" not in line for line in said)


@pytest.mark.parametrize(
    "image", ["", "rad-engineer", "rad-engineer:latest", "a b:1", "x:1\n  evil: y", "registry:5000/rad"]
)
def test_an_image_that_is_not_fixed_is_refused(image):
    with pytest.raises(UsageError, match="--image"):
        deploy_kubernetes.manifests("shop", image)


def test_a_digest_is_fixed_and_a_bad_name_is_refused():
    assert deploy_kubernetes.manifests("shop", "rad@sha256:" + "0" * 64)
    for name in ("", "Shop", "a b", "-a", "x" * 54):
        with pytest.raises(UsageError, match="--name"):
            deploy_kubernetes.manifests(name, IMAGE)


def test_files_changed_by_hand_are_not_written_over(tmp_path):
    files = deploy_kubernetes.manifests("shop", IMAGE)
    deploy_kubernetes.write(tmp_path, files)
    deploy_kubernetes.write(tmp_path, files)
    (tmp_path / "service.yaml").write_text("mine")
    with pytest.raises(UsageError, match="says something else"):
        deploy_kubernetes.write(tmp_path, files)
    assert (tmp_path / "service.yaml").read_text() == "mine"


def test_the_script_that_starts_an_engine_is_sound():
    path = ROOT / "tests" / "engine"
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    if shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", path], check=False).returncode == 0
