"""What gates said of a tree, remembered from run to run."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from rad_engineer import gates
from rad_engineer.worker import readings


@dataclass
class Place:
    rules: SimpleNamespace


def test_what_another_version_has_read_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may know the tests by other names, or have found none: a story would be blamed for what was there before."""
    place = Place(SimpleNamespace(cache=str(tmp_path), setup=None, sandbox="off"))
    gate = gates.gate("test", "make test")
    seen = gates.Baseline("test", 1, ("works",), None, green=False)
    readings.remember(place, gate, "tree", seen)
    assert readings.recall(place, gate, "tree") == seen
    monkeypatch.setattr(readings, "__version__", "9.9")
    assert readings.recall(place, gate, "tree") is None
