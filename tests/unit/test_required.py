"""RAD_REQUIRE turns a skip into a failure, and only that of what it names."""

import pytest

from tests import required


def test_what_is_found_is_needed_in_vain(monkeypatch):
    monkeypatch.setenv("RAD_REQUIRE", "engine")
    required.needs("engine", "/usr/bin/podman")


@pytest.mark.parametrize("named", ["", "chromium", "chromium, promtool"])
def test_what_nobody_requires_is_skipped(monkeypatch, named):
    monkeypatch.setenv("RAD_REQUIRE", named)
    with pytest.raises(pytest.skip.Exception, match="NO EVIDENCE: engine: not here: it does not answer"):
        required.needs("engine", None, "it does not answer")


@pytest.mark.parametrize("named", ["engine", "chromium, engine", "engine,"])
def test_what_is_required_fails(monkeypatch, named):
    monkeypatch.setenv("RAD_REQUIRE", named)
    with pytest.raises(pytest.fail.Exception, match=r"engine: not here: .*RAD_REQUIRE names it"):
        required.needs("engine", None)


def test_a_name_that_nothing_asks_for_is_refused():
    with pytest.raises(pytest.UsageError, match="RAD_REQUIRE: docker: there are check-jsonschema,"):
        required.wanted({"RAD_REQUIRE": "docker,engine"})
