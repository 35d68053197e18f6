"""test --smoke: four tests, a certificate; and one that fails is told, not smoothed over."""

import os
import shutil
import signal
import time

import pytest

from rad_engineer.delivery import smoke
from tests.conftest import Project
from tests.required import needs

CAMPAIGN = pytest.mark.skipif("RAD_READINESS" not in os.environ, reason="takes a minute: set RAD_READINESS")


@CAMPAIGN
@pytest.mark.timeout(600)
def test_the_screen_and_its_certificate(project: Project):
    needs("ssh-keygen", shutil.which("ssh-keygen"))
    ran = project.rad("test", "--smoke", "--output", "readiness.json", timeout=500)
    assert (ran.code, ran.out) == (
        0,
        (
            "✓ Project Creation: PASS\n✓ Project Import: PASS\n✓ Agent Execution: PASS\n✓ Checkpoint/Recovery: PASS\n"
            "\nProduction Smoke Tests: ALL PASS\n"
        ),
    ), ran
    assert "certificate: readiness.json (signed by SHA256:" in ran.err
    verified = project.rad("test", "--verify", "readiness.json")
    assert (verified.code, verified.out.startswith("readiness.json: valid: ALL PASS, made ")) == (0, True)
    data = (project.folder / "readiness.json").read_bytes()
    (project.folder / "readiness.json").write_bytes(data.replace(b'"PASS"', b'"pASS"', 1))
    flipped = project.rad("test", "--verify", "readiness.json")
    assert (flipped.code, flipped.out.startswith("readiness.json: changed: ")) == (1, True)


def test_creation_and_import_happen_in_a_home_of_their_own(project: Project):
    before = sorted(project.folder.parent.iterdir())
    tests = {name: smoke.TESTS[name] for name in ("Project Creation", "Project Import")}
    assert [(one.name, one.status) for one in smoke.run(tests)] == [(name, "PASS") for name in tests]
    assert sorted(project.folder.parent.iterdir()) == before


def test_what_does_not_land_fails_and_what_cannot_be_tried_is_left_out():
    def lands(home: smoke.Home) -> str:
        project = home.folder / "project"
        home.git(home.folder, "init", "-q", "-b", "rad/pocketbook", str(project))
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        home.git(project, *identity, "commit", "-q", "--allow-empty", "-m", "x\n\nRad-Story: PB-1")
        (project / "prd.json").write_text(
            '{"userStories": [{"id": "PB-1", "passes": true}, {"id": "PB-2", "passes": true}]}'
        )
        smoke._check_landed(home, project, smoke.STORIES[:2])
        return "landed"

    def missing(home: smoke.Home) -> str:
        smoke._needs_verb(home, "no-such-verb")
        return "there"

    failed, left_out = smoke.run({"lands": lands, "missing": missing})
    assert (failed.status, failed.evidence) == (
        "FAIL", "landed on rad/pocketbook: PB-1; expected PB-1, PB-2 once each")  # fmt: skip
    assert (left_out.status, left_out.evidence) == ("SKIP", "this version has no `no-such-verb`")
    assert not smoke.passed([failed])
    assert not smoke.passed([left_out])


def test_a_signal_in_the_middle_leaves_nothing_behind(project: Project):
    places = project.folder / "places"
    places.mkdir()
    running = project.start("test", "--smoke", env={"TMPDIR": str(places)})
    while not list(places.glob("rad-smoke-*/smoke-project")):  # it is at work
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (143, "rad-engineer: interrupted\n")
    assert list(places.iterdir()) == []
