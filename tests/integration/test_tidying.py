"""archive and compact move and remove only what they say, and never work that exists nowhere else."""

import json
import time

import pytest
from past_runs import STORIES, Past, git, repository, write_prd

from rad_engineer import locks
from rad_engineer.commands.archive import archive
from rad_engineer.commands.compact import compact
from rad_engineer.errors import Locked, NoInput
from rad_engineer.launch import ground

DAY = 86_400.0
NOW = 2_000_000_000.0


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = repository(tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


def done(place, run="20260101-000000-aaaa"):
    past = Past(place, run=run)
    for key in ("US-1", "US-2", "US-3"):
        past.land(key)
    past.finish(0)
    return past


# --- archive ------------------------------------------------------------------------------------------------


def test_a_finished_prd_is_put_aside_with_its_report_and_notes(place, capsys):
    done(place)
    (place / "progress.txt").write_text("learned a lot\n")
    before = git(place, "rev-parse", "HEAD")
    assert archive("prd.json", today="2026-03-04") == 0
    folder = place / "archive" / "2026-03-04-toy"
    assert sorted(path.name for path in folder.iterdir()) == [
        "prd.json",
        "progress.txt",
        "report.json",
        "report.md",
    ]
    assert not (place / "prd.json").exists()
    assert not (place / "progress.txt").exists()
    assert "3 of 3 stories landed" in (folder / "report.md").read_text()
    assert json.loads((folder / "report.json").read_text())["run"] == "20260101-000000-aaaa"
    assert git(place, "rev-parse", "HEAD") == before
    out = capsys.readouterr().out
    assert "moved prd.json to archive/2026-03-04-toy" in out
    assert "nothing was committed" in out


def test_open_stories_are_refused_and_named(place, capsys):
    past = Past(place)
    past.land("US-1")
    past.finish(4)
    assert archive("prd.json") == 4
    err = capsys.readouterr().err
    assert "2 stories of prd.json are open: US-2, US-3" in err
    assert "--yes" in err
    assert (place / "prd.json").exists()
    assert archive("prd.json", yes=True, today="2026-03-04") == 0
    assert not (place / "prd.json").exists()


def test_a_prd_that_the_file_itself_calls_done_needs_no_run(place):
    write_prd(place / "prd.json", [{**story, "passes": True} for story in STORIES])
    assert archive("prd.json", today="2026-03-04") == 0
    assert sorted(path.name for path in (place / "archive" / "2026-03-04-toy").iterdir()) == ["prd.json"]


def test_a_second_archive_of_the_same_name_gets_a_number(place):
    for _ in range(2):
        write_prd(place / "prd.json", [{**story, "passes": True} for story in STORIES])
        assert archive("prd.json", today="2026-03-04") == 0
    assert sorted(path.name for path in (place / "archive").iterdir()) == [
        "2026-03-04-toy",
        "2026-03-04-toy-2",
    ]


def test_notes_that_another_prd_goes_on_with_are_copied(place, capsys):
    done(place)
    write_prd(place / "next.json", STORIES, name="next")
    (place / "package.json").write_text('{"name": "x"}')
    (place / "progress.txt").write_text("shared\n")
    assert archive("prd.json", today="2026-03-04") == 0
    assert (place / "progress.txt").exists()
    assert (place / "archive" / "2026-03-04-toy" / "progress.txt").exists()
    assert "next.json uses it too" in capsys.readouterr().out


def test_a_link_goes_with_the_file_it_leads_to_only_where_that_lies_beside_it(place, capsys):
    (place / "plans").mkdir()
    for real in (place / "real.json", place / "plans" / "far.json"):
        write_prd(real, [{**story, "passes": True} for story in STORIES])
        (place / "link.json").symlink_to(real.relative_to(place))
        assert archive("link.json", today="2026-03-04") == 0
        assert not (place / "link.json").is_symlink()
    assert [path.name for path in (place / "archive" / "2026-03-04-toy").iterdir()] == ["real.json"]
    assert [path.name for path in (place / "archive" / "2026-03-04-toy-2").iterdir()] == ["link.json"]
    assert not (place / "real.json").exists()
    assert (place / "plans" / "far.json").exists()
    assert "the file it led to stays" in capsys.readouterr().out


def test_a_prd_that_is_being_worked_on_is_refused(place):
    Past(place, alive=True)
    with pytest.raises(Locked, match="still working"):
        archive("prd.json", yes=True)
    with pytest.raises(NoInput):
        archive("missing.json")


# --- compact ------------------------------------------------------------------------------------------------


def old(place, number, *, days=30.0, **about):
    """A run that ended so many days ago; the stories are marked in the PRD, as write-back leaves them."""
    past = Past(place, run=f"2026010{number}-000000-aaa{number}", at=NOW - days * DAY, **about)
    past.folder("US-1").joinpath("agent.log").write_text("x" * 5000)
    past.land("US-1", commit=git(place, "rev-parse", "HEAD"))
    past.say("story_marked", "US-1")
    return past


def names(place):
    return sorted(path.name[:8] for path in (place / ".rad-engineer" / "runs").iterdir())


def document(capsys, **options):
    assert compact(json=True, now=NOW, **options) == 0
    return json.loads(capsys.readouterr().out)


def test_old_runs_go_the_newest_stay(place, capsys):
    for number in range(1, 6):
        old(place, number).finish(1)
    plan = document(capsys, dry_run=True)
    assert [step["run"][:8] for step in plan["removed"]] == ["20260102", "20260101"]
    assert plan["bytes"] > 10_000
    assert len(names(place)) == 5
    assert document(capsys)["bytes"] == plan["bytes"]
    assert names(place) == ["20260103", "20260104", "20260105"]
    assert document(capsys)["removed"] == []
    log = [json.loads(line) for line in (place / ".rad-engineer" / "compact.log").read_text().splitlines()]
    assert [(record["event"], record["run"][:8]) for record in log] == [
        ("run removed", "20260102"),
        ("run removed", "20260101"),
    ]


def test_young_unfinished_and_damaged_runs_stay(place, capsys):
    old(place, 1, days=2).finish(1)
    old(place, 2).finish(4)
    old(place, 3)
    damaged = old(place, 4)
    damaged.finish(1)
    lines = damaged.rundir.journal.read_bytes().splitlines(keepends=True)
    damaged.rundir.journal.write_bytes(b"".join([lines[0], b"garbage\n", *lines[1:]]))
    why = {entry["run"][:8]: entry["why"] for entry in document(capsys, keep=0)["kept"]}
    assert why["20260101"] == "it is not old enough"
    assert why["20260102"] == why["20260103"] == "it is unfinished"
    assert "damaged" in why["20260104"]
    assert len(names(place)) == 4


def test_unmerged_work_is_never_let_go(place, capsys):
    past = old(place, 1)
    past.finish(1)
    tree = git(place, "rev-parse", "HEAD^{tree}")
    lost = git(place, "commit-tree", tree, "-p", "HEAD", "-m", "only here")
    for ref in (f"refs/rad/{past.rundir.run}/US-2-abc", f"refs/rad/rescue/{past.rundir.run}/US-2-abc/1"):
        git(place, "update-ref", ref, lost)
        plan = document(capsys, keep=0)
        assert plan["removed"] == []
        assert plan["kept"][0]["why"] == f"{ref} holds work that no branch has"
        git(place, "update-ref", "-d", ref)
    git(place, "update-ref", f"refs/rad/{past.rundir.run}/US-2-abc", lost)
    git(place, "branch", "kept", lost)
    assert [step["refs"] for step in document(capsys, keep=0)["removed"]] == [
        [f"refs/rad/{past.rundir.run}/US-2-abc"]
    ]
    assert git(place, "for-each-ref", "refs/rad/") == ""
    assert git(place, "rev-parse", "kept") == lost
    assert names(place) == []


def test_refs_of_other_runs_are_left_alone(place, capsys):
    old(place, 1).finish(1)
    head = git(place, "rev-parse", "HEAD")
    others = ["refs/rad/20260101-000000-aaa1x/base", "refs/rad/rescue/other/US-1/1", "refs/rad/other/tip"]
    for ref in (
        *others,
        "refs/rad/20260101-000000-aaa1/base",
        "refs/rad/20260101-000000-aaa1-candidates/US-1",
    ):
        git(place, "update-ref", ref, head)
    document(capsys, keep=0)
    assert sorted(git(place, "for-each-ref", "--format=%(refname)", "refs/rad/").split()) == sorted(others)


def test_the_only_record_of_finished_stories_is_slimmed_not_removed(place, capsys):
    past = Past(place, at=NOW - 30 * DAY)
    past.folder("US-1").joinpath("agent.log").write_text("x" * 5000)
    past.land("US-1")
    past.finish(1)
    plan = document(capsys, keep=0)
    assert plan["removed"][0]["slim"] is True
    assert not past.rundir.stories.exists()
    assert past.rundir.journal.exists()
    assert document(capsys, keep=0)["kept"][0]["why"] == "it is the only record of finished stories"


def test_rehearsals_hold_nothing(place, capsys):
    past = old(place, 1, kind="rehearsal")
    past.finish(69)
    tree = git(place, "rev-parse", "HEAD^{tree}")
    git(
        place,
        "update-ref",
        f"refs/rad/{past.rundir.run}/US-1-a",
        git(place, "commit-tree", tree, "-m", "mock"),
    )
    assert len(document(capsys, keep=0)["removed"]) == 1
    assert git(place, "for-each-ref", "refs/rad/") == ""


def test_leftovers_in_the_cache_go_and_links_are_not_followed(place, capsys, tmp_path):
    past = old(place, 1)
    past.finish(1)
    cache = ground.look({"XDG_CACHE_HOME": str(tmp_path / "cache")}).cache / "runs"
    for name in (past.rundir.run, "20250101-000000-ffff", "not-a-run"):
        (cache / name / "objects").mkdir(parents=True)
        (cache / name / "objects" / "pack").write_text("p" * 100)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep me")
    (cache / "20250202-000000-eeee").symlink_to(precious)
    (past.rundir.path / "link").symlink_to(precious)
    (place / ".rad-engineer" / "runs" / ".gone-20250101-000000-ffff").mkdir()
    plan = document(capsys, keep=0)
    assert len(plan["leftovers"]) == 2
    assert sorted(path.name for path in cache.iterdir()) == ["20250202-000000-eeee", "not-a-run"]
    assert (precious / "file").read_text() == "keep me"
    assert names(place) == []


def test_a_dry_run_and_its_words(place, capsys):
    old(place, 1).finish(1)
    assert compact(keep=0, now=NOW, dry_run=True) == 0
    out = capsys.readouterr().out
    assert "20260101-000000-aaa1: would be removed" in out
    assert "would be freed" in out
    assert compact(keep=0, now=NOW) == 0
    assert "20260101-000000-aaa1: removed" in capsys.readouterr().out


def test_compact_waits_for_nobody(place):
    old(place, 1).finish(1)
    with locks.acquire(ground.look({}).lock, 0.0, {"command": "run"}), pytest.raises(Locked):
        compact(keep=0, now=NOW)
    assert len(names(place)) == 1


def test_nothing_to_compact(place, capsys):
    assert compact(now=time.time()) == 0
    assert capsys.readouterr().out == "0 bytes freed\n"
