"""status, explain and logs read a run directory from anywhere, while it runs and after, without a lock."""

import json
import os
import threading

import pytest
from past_runs import GATE, STORIES, Past, git, repository, write_prd

from rad_engineer.commands.explain import explain
from rad_engineer.commands.logs import logs
from rad_engineer.commands.status import status
from rad_engineer.errors import NoInput


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = repository(tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


def document(capsys, *arguments, **options):
    assert status(*arguments, json=True, **options) == 0
    return json.loads(capsys.readouterr().out)


def statuses(found):
    return {story["key"]: story["status"] for story in found["stories"]}


def finished(place):
    past = Past(place)
    past.land("US-1")
    past.fail("US-2")
    past.finish(1)
    return past


def test_nothing_has_been_run(place):
    with pytest.raises(NoInput, match="nothing has been run"):
        status()


def test_a_prd_that_was_never_run_shows_its_stories(place, capsys):
    found = document(capsys, "prd.json")
    assert found["state"] == "never"
    assert statuses(found) == {"US-1": "pending", "US-2": "pending", "US-3": "pending"}


def test_a_finished_run(place, capsys):
    finished(place)
    found = document(capsys)
    assert (found["state"], found["exit_code"], found["branch"]) == ("finished", 1, "rad/prd")
    assert statuses(found) == {"US-1": "passed", "US-2": "failed", "US-3": "blocked"}
    assert found["stories"][0]["criteria"][0]["proved_by"]["command"] == "pytest -q"
    assert status() == 0
    text = capsys.readouterr().out
    assert "1 of 3 stories landed on rad/prd; 1 failed, 1 blocked" in text
    assert "next:   rad-engineer explain US-2" in text


def test_from_a_folder_below_and_from_another_work_tree(place, capsys, monkeypatch, tmp_path):
    finished(place)
    (place / "deep" / "er").mkdir(parents=True)
    git(place, "worktree", "add", "-q", str(tmp_path / "second"))
    for folder in (place / "deep" / "er", tmp_path / "second"):
        monkeypatch.chdir(folder)
        assert statuses(document(capsys))["US-1"] == "passed"


def test_running_and_interrupted_are_told_apart_by_the_process(place, capsys):
    past = Past(place, alive=True)
    past.say("story_started", "US-1", slot=0)
    found = document(capsys)
    assert (found["state"], statuses(found)["US-1"]) == ("running", "running")
    dead = Past(place, run="20260102-000000-bbbb")
    dead.say("story_started", "US-1", slot=0)
    found = document(capsys)
    assert (found["state"], statuses(found)["US-1"]) == ("interrupted", "interrupted")


def test_a_torn_last_line_is_normal(place, capsys):
    past = Past(place, alive=True)
    past.land("US-1")
    with past.rundir.journal.open("ab") as file:
        file.write(b'{"event":"story_started","seq":99,"at')
    assert statuses(document(capsys))["US-1"] == "passed"


def test_the_run_of_a_prd_not_the_newest(place, capsys):
    finished(place)
    write_prd(place / "other.json", [{"id": "X-1", "title": "else", "passes": False}], name="other")
    Past(place, run="20260103-000000-cccc", files=("other.json",)).finish(4)
    assert document(capsys)["run"] == "20260103-000000-cccc"
    assert document(capsys, "prd.json")["run"] == "20260101-000000-aaaa"
    assert document(capsys, run="20260101")["run"] == "20260101-000000-aaaa"
    with pytest.raises(NoInput, match="there is no run nope"):
        status(run="nope")
    with pytest.raises(NoInput):
        status("missing.json")


def test_a_renamed_prd_keeps_its_run_and_a_deleted_one_is_read_from_the_run(place, capsys):
    finished(place)
    (place / "prd.json").rename(place / "plan.json")
    assert document(capsys, "plan.json")["run"] == "20260101-000000-aaaa"
    (place / "plan.json").unlink()
    found = document(capsys)
    assert statuses(found) == {"US-1": "passed", "US-2": "failed", "US-3": "blocked"}
    assert found["stories"][0]["prd"] == "prd.json"


def test_a_prd_that_has_become_another_is_read_from_the_run(place, capsys):
    finished(place)
    write_prd(place / "prd.json", [{"id": "N-1", "title": "new", "passes": False}])
    assert set(statuses(document(capsys))) == {"US-1", "US-2", "US-3"}


def test_what_has_been_merged_is_not_offered_again(place, capsys):
    past = Past(place)
    git(place, "switch", "-q", "-c", "rad/prd")
    git(place, "commit", "-q", "--allow-empty", "-m", "landed")
    past.land("US-1", commit=git(place, "rev-parse", "HEAD"))
    past.finish(1)
    git(place, "switch", "-q", "main")
    assert document(capsys)["how_to_merge"] == "git merge rad/prd"
    git(place, "merge", "-q", "rad/prd")
    assert document(capsys)["how_to_merge"] is None


def test_watch_follows_to_the_end(place, capsys):
    past = Past(place, alive=True)

    def rest():
        past.land("US-1")
        with past.rundir.journal.open("ab") as file:
            file.write(b'{"torn')
        os.truncate(past.rundir.journal, past.rundir.journal.stat().st_size - 6)
        past.fail("US-2")
        past.finish(1)

    worker = threading.Timer(0.1, rest)
    worker.start()
    try:
        assert status(watch=True, plain=True) == 0
    finally:
        worker.join()
    seen = capsys.readouterr()
    assert "US-1 landed as aaaaaaaaaa" in seen.err
    assert "US-2 FAILED" in seen.err
    assert "1 of 3 stories landed" in seen.out


def test_watch_as_json_prints_the_events(place, capsys):
    past = Past(place, alive=True)
    worker = threading.Timer(0.1, lambda: (past.land("US-1"), past.finish(0)))
    worker.start()
    try:
        assert status(watch=True, json=True) == 0
    finally:
        worker.join()
    kinds = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["run_started", "story_started", "story_verified", "story_landed", "run_finished"]


def test_watch_of_a_run_that_is_over_just_shows_it(place, capsys):
    finished(place)
    assert status(watch=True) == 0
    assert "1 of 3 stories landed" in capsys.readouterr().out


# --- explain ------------------------------------------------------------------------------------------------


def test_explain_a_failure(place, capsys):
    past = finished(place)
    (past.folder("US-2") / "gates" / "unit-tests.log").write_text(
        "ok\n\x1b[31mE  assert 1 == 2\x1b[0m\n" * 40
    )
    (past.folder("US-2") / "agent.log").write_text("thinking\n")
    assert explain("us-2") == 0
    text = capsys.readouterr().out
    assert "state:   failed, attempt 1" in text
    assert "a gate is red because of this story: 1 test fails" in text
    assert "E  assert 1 == 2" in text
    assert "\x1b" not in text
    assert text.count("assert 1 == 2") <= 20
    assert "unverified  Tests pass" in text
    assert "test_a.py::test_b" in text
    assert ".rad-engineer/runs/20260101-000000-aaaa/stories/" in text
    assert "next:    change the story or what its failing output names" in text


def test_explain_what_was_proved(place, capsys):
    finished(place)
    assert explain("US-1", json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema_version"] == 1
    assert found["criteria"][0]["proved_by"]["sha256"] == GATE["sha256"]
    assert found["criteria"][1]["proved_by"] is None
    assert explain("US-1") == 0
    assert (
        "by `pytest -q` (exit 0, output sha256 555555555555, commit cccccccccccc)" in capsys.readouterr().out
    )


def test_explain_what_is_in_the_way(place, capsys):
    past = finished(place)
    assert explain("US-3") == 0
    text = capsys.readouterr().out
    assert "why:     needs US-2, which failed" in text
    assert "next:    rad-engineer explain US-2" in text
    assert past.rundir.run
    Past(place, run="20260105-000000-dddd", alive=True)
    assert explain("US-2") == 0
    assert "why:     needs US-1" in capsys.readouterr().out


def test_explain_an_unknown_story_names_what_is_near(place):
    finished(place)
    with pytest.raises(NoInput, match="there is no story US-22") as caught:
        explain("US-22")
    assert "US-2" in (caught.value.hint or "")


def test_a_story_of_an_older_run_is_found(place, capsys):
    finished(place)
    write_prd(place / "other.json", [{"id": "X-1", "title": "else", "passes": False}], name="other")
    Past(place, run="20260103-000000-cccc", files=("other.json",)).finish(4)
    assert explain("US-2") == 0
    assert "failed" in capsys.readouterr().out


# --- logs ---------------------------------------------------------------------------------------------------


def two_attempts(place):
    past = finished(place)
    for attempt in (1, 2):
        folder = past.folder("US-2", attempt)
        (folder / "agent.log").write_bytes(b"attempt %d\n\x1b[1mbold\x1b[0m 10%%\r99%%\nno end" % attempt)
        (folder / "gates" / "unit-tests.log").write_text(f"gate says {attempt}\n")
        (folder / "gates" / "lint.log").write_text(f"lint says {attempt}\n")
    return past


def test_logs_of_the_last_attempt(place, capsys):
    two_attempts(place)
    assert logs("US-2") == 0
    assert capsys.readouterr().out == (
        "==> attempt 2: agent <==\nattempt 2\n99%\nno end\n"
        "==> attempt 2: gate lint <==\nlint says 2\n"
        "==> attempt 2: gate unit-tests <==\ngate says 2\n"
    )


def test_logs_of_one_gate_of_one_attempt_and_raw(place, capsys):
    two_attempts(place)
    assert logs("US-2", attempt=1, gate="unit tests") == 0
    assert capsys.readouterr().out == "gate says 1\n"
    assert logs("US-2", attempt=1, raw=True) == 0
    assert "\x1b[1mbold\x1b[0m 10%\r99%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"), [({"attempt": 7}, "no attempt 7"), ({"gate": "nope"}, "no log of a gate nope")]
)
def test_logs_that_are_not_there(place, options, said):
    two_attempts(place)
    with pytest.raises(NoInput, match=said):
        logs("US-2", **options)
    with pytest.raises(NoInput, match="has not been started"):
        logs("US-3")


def test_logs_follow_through_the_next_attempt_to_the_end(place, capsys):
    past = Past(place, alive=True)
    past.say("story_started", "US-1", slot=0)
    first = past.folder("US-1") / "agent.log"
    first.write_text("one\n")

    def rest():
        with first.open("a") as file:
            file.write("two\n")
        (past.folder("US-1", 2) / "agent.log").write_text("three")
        past.finish(1)

    worker = threading.Timer(0.4, rest)
    worker.start()
    try:
        assert logs("US-1", follow=True) == 0
    finally:
        worker.join()
    out = capsys.readouterr().out
    assert out.startswith("==> attempt 1: agent <==\none\n")
    assert out.endswith("==> attempt 2: agent <==\nthree\n")


def test_many_stories_are_read_fast_enough_to_follow(place, capsys):
    stories = [{**STORIES[0], "id": f"S-{number}", "title": f"t{number}"} for number in range(300)]
    write_prd(place / "many.json", stories, name="many")
    past = Past(place, run="20260104-000000-eeee", files=("many.json",))
    for key in past.graph.keys[:200]:
        past.land(key)
    past.finish(4)
    found = document(capsys, "many.json")
    assert found["totals"]["passed"] == 200
