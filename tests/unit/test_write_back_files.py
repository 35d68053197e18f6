"""Write-back to files and over the whole corpus: atomic, through links, and back to the same bytes."""

import fcntl
import json
import resource
from pathlib import Path

import pytest

from rad_engineer import importers
from rad_engineer.errors import CannotWrite, RadError
from rad_engineer.importers import write_back
from rad_engineer.importers.markdown import load_markdown
from rad_engineer.importers.write_back import mark, write

SHARED = Path(__file__).parents[2].parent / "shared"


def stories(*passes: bool) -> str:
    items = [{"id": f"S-{n}", "title": f"T{n}", "passes": done} for n, done in enumerate(passes, 1)]
    return json.dumps({"userStories": items}, indent=2)


def test_writing_replaces_the_target_of_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "real" / "prd.json"
    real.parent.mkdir()
    real.write_text(stories(False))
    real.chmod(0o640)
    link = tmp_path / "prd.json"
    link.symlink_to("real/prd.json")
    (prd,) = importers.load(link, root=tmp_path)
    assert write(link, prd, {"S-1": True, "gone": True}) == ["gone"]
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert json.loads(real.read_text())["userStories"][0]["passes"] is True
    assert [path.name for path in real.parent.iterdir()] == ["prd.json"]


def test_nothing_to_change_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prd.json"
    path.write_text(stories(True))
    (prd,) = importers.load(path)
    before = path.stat()
    assert write(path, prd, {"S-1": True}) == []
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_without_write_permission_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "prd.json"
    path.write_text(stories(False))
    path.chmod(0o444)
    (prd,) = importers.load(path)
    assert write(path, prd, {"S-1": True}) == []
    assert path.stat().st_mode & 0o777 == 0o444
    assert importers.load(path)[0].stories[0].state == "done"


def test_what_cannot_be_written_is_an_error_and_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "prd.json"
    path.write_text(stories(False))
    (prd,) = importers.load(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # as a full disk: the write breaks off
    try:
        with pytest.raises(CannotWrite, match=r"prd\.json: cannot be written"):
            write(path, prd, {"S-1": True})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["prd.json"]


def test_what_a_killed_process_left_is_taken_away_and_what_another_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "prd.json"
    path.write_text(stories(False))
    (prd,) = importers.load(path)
    left = write_back._temporary(path)
    left.write_text("half of")
    with left.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CannotWrite, match="something else keeps writing"):
            write(path, prd, {"S-1": True})
    assert left.read_text() == "half of"
    assert write(path, prd, {"S-1": True}) == []
    assert importers.load(path)[0].stories[0].state == "done"
    assert [found.name for found in tmp_path.iterdir()] == ["prd.json"]


def test_a_file_deleted_meanwhile_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "prd.json"
    path.write_text(stories(False))
    (prd,) = importers.load(path)
    path.unlink()
    assert write(path, prd, {"S-1": True}) == ["S-1"]
    assert list(tmp_path.iterdir()) == []


corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")


@corpus
def test_the_master_plan_changes_boxes_and_both_trackers_only() -> None:
    content = (SHARED / "plans" / "master-plan-production-readiness.md").read_text("utf-8")
    prd = load_markdown(content, "plan.md", "/plan.md")
    new = mark(content.encode(), prd, {"W1-S1": True})[0].decode()
    changed = [(a, b) for a, b in zip(content.splitlines(), new.splitlines(), strict=True) if a != b]
    assert len(changed) == 5  # three tests, two trackers
    assert all(a.replace("[ ]", "[x]", 1) == b for a, b in changed)
    assert [
        story.id for story in load_markdown(new, "plan.md", "/plan.md").stories if story.state == "done"
    ] == ["W1-S1"]
    assert mark(new.encode(), prd, {"W1-S1": False}) == (content.encode(), [])


@corpus
def test_the_corpus_can_be_marked_and_unmarked() -> None:
    files = sorted((SHARED / "prd-corpus" / "files").iterdir()) + sorted(
        (SHARED / "prd-corpus" / "phases").iterdir()
    )
    written = 0
    for path in files:
        try:
            prds = importers.load(path, root=path.parent)
        except RadError:
            continue
        for prd in prds:
            data = Path(prd.path).read_bytes()
            fields = {story.id: True for story in prd.stories if story.state != "done" and story.done_field}
            new, missing = mark(data, prd, fields)
            assert missing == [], path
            written += new != data
            if new.count(b":") > data.count(b":"):
                continue  # a story got the field of the others
            back, missing = mark(new, prd, dict.fromkeys(fields, False))
            assert (back, missing) == (data, []), path
    assert written > 30
