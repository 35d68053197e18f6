"""The folders that are handed out: found beside the package in a checkout, in it where it is installed, nowhere else."""

from pathlib import Path

import pytest

import rad_engineer
from rad_engineer.projects import data

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that lies in another folder."""
    package = tmp_path / "site-packages" / "rad_engineer"
    package.mkdir(parents=True)
    monkeypatch.setattr(rad_engineer, "__file__", str(package / "__init__.py"))
    return package


def test_a_checkout_has_them_at_its_top():
    assert data.folder("examples") == ROOT / "examples"


def test_an_installed_package_has_them_inside(installed):
    (installed / "data" / "examples").mkdir(parents=True)
    assert data.folder("examples") == installed / "data" / "examples"


@pytest.mark.parametrize("text", [None, '[project]\nname = "other"\n'])
def test_a_folder_of_somebody_else_beside_the_package_is_not_ours(installed, text):
    (installed.parent / "examples").mkdir()
    if text is not None:
        (installed.parent / "pyproject.toml").write_text(text)
    with pytest.raises(FileNotFoundError, match="lacks its folder: 'examples'"):
        data.folder("examples")


@pytest.mark.parametrize("name", ["docs", "../rad_engineer", "."])
def test_other_names_find_nothing(name):
    with pytest.raises(FileNotFoundError):
        data.folder(name)
