"""What is distributed: a wheel built from the sdist has every file of the package, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from rad_engineer.projects.data import NAMES

ROOT = Path(__file__).parents[2]


def tracked(*folders):
    """What git has, or would have after `git add .`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}


def in_the_wheel(name):
    """Where a file of the repository lies in the wheel."""
    return name if name.startswith("rad_engineer/") else f"rad_engineer/data/{name}"


def build(kind, top, out):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)],
        cwd=top,
        check=True,
        capture_output=True,
    )
    [made] = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """An sdist, and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    with tarfile.open(build("sdist", ROOT, out)) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
        sdist.extraction_filter = getattr(tarfile, "data_filter", None)  # 3.11.4 and later
        sdist.extractall(out / "unpacked")
    [top] = (out / "unpacked").iterdir()
    return inside, build("wheel", top, out)


@pytest.fixture(scope="module")
def wheel_file(dist):
    return dist[1]


@pytest.fixture(scope="module")
def built(dist):
    """The names in the sdist, those in the wheel, and the metadata."""
    inside, path = dist
    with zipfile.ZipFile(path) as wheel:
        return (
            inside,
            set(wheel.namelist()),
            wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))).decode(),
        )


def test_the_wheel_has_what_git_has_and_nothing_else(built):
    _, wheel, _ = built
    wanted = {in_the_wheel(name) for name in tracked("rad_engineer", *NAMES)}
    assert {name for name in wheel if ".dist-info/" not in name} == wanted


def test_the_schema_and_the_mark_of_types_are_in_the_wheel(built):
    _, wheel, _ = built
    assert {"rad_engineer/py.typed", "rad_engineer/schema/prd-v1.schema.json"} <= wheel


def test_the_licence_is_in_the_wheel(built):
    _, wheel, _ = built
    assert [name for name in wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_sdist_has_what_installing_and_showing_needs(built):
    sdist, _, _ = built
    wanted = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "install.sh", "uninstall.sh"}
    assert wanted | tracked("rad_engineer", *NAMES) <= sdist
    assert not [name for name in sdist if name.startswith(("tests/", ".venv/", ".rad-engineer/"))]


def test_the_metadata_name_the_dependencies(built):
    *_, metadata = built
    needs = sorted(
        line.split(":")[1].split()[0].split("<")[0].split(">")[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    )
    assert needs == [
        "anthropic",
        "genai-prices",
        "h11",
        "httpx2",
        "jinja2",
        "jiter",
        "markdown-it-py",
        "prometheus-client",
        "psutil",
        "pydantic",
        "pyrate-limiter",
        "rich",
        "starlette",
        "structlog",
        "typer",
        "uvicorn",
    ]


def test_an_installed_wheel_is_what_is_imported_and_has_what_is_handed_out(wheel_file, tmp_path):
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment"], check=True)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", "--disable-pip-version-check", wheel_file], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "import rad_engineer as r; from rad_engineer.projects.data import folder as f;"
        "print(r.__file__, f('examples') / 'quickstart', f('templates'), sep=chr(10))"
    )
    ran = subprocess.run([python, "-c", code], cwd=empty, capture_output=True, text=True, check=True)
    package, *folders = map(Path, ran.stdout.splitlines())
    [site] = (tmp_path / "environment").glob("lib/python3*/site-packages")
    assert package == site / "rad_engineer" / "__init__.py"
    assert [path.is_relative_to(package.parent) and any(path.iterdir()) for path in folders] == [True, True]
