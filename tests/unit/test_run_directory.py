"""What lies in a run's directory beside its journal: its name, the copies of its PRDs, its report."""

import json
import re
import time
import zlib
from dataclasses import replace

import pytest
from runs import prd

from rad_engineer import durable, store
from rad_engineer.errors import CannotWrite, NoInput

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00
JSON, MARKDOWN = b'{"userStories": []}\n', b"# Plan\n"


@pytest.fixture
def noon(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOON)


def source(folder, name, data):
    (folder / name).write_bytes(data)
    kind = "json" if name.endswith(".json") else "markdown"
    return replace(prd(file=f"./{name}"), path=str(folder / name), format=kind)


@pytest.fixture
def sources(tmp_path):
    return [source(tmp_path, "a.json", JSON), source(tmp_path, "b.md", MARKDOWN)]


# -- names --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("there", "moment"),
    [
        ((), "20231115-120000"),
        (("20231115-115959-ffff",), "20231115-120000"),
        (("20231115-120000-ffff",), "20231115-120001"),
        (("20231115-120000-ffff", "20991231-235959-0000"), "21000101-000000"),  # the clock was set back
        (("my-own",), "20231115-120000"),
    ],
)
def test_a_new_run_is_named_after_the_moment_and_sorts_behind_the_others(tmp_path, there, moment):
    for name in there:
        store.create(tmp_path, name, {})
    assert re.fullmatch(moment + "-[0-9a-f]{4}", store.new_name(tmp_path))


@pytest.mark.usefixtures("noon")
def test_runs_of_one_moment_have_names_of_their_own(tmp_path):
    assert len({store.new_name(tmp_path) for _time in range(8)}) > 1


def test_approvals_lie_beside_the_runs(tmp_path):
    assert store.approvals_folder(tmp_path) == tmp_path / ".rad-engineer" / "approvals"
    assert store.runs_folder(tmp_path) == tmp_path / ".rad-engineer" / "runs"


# -- copies of PRDs -----------------------------------------------------------------------------------------


def test_a_run_keeps_what_its_prds_were(tmp_path, sources):
    rundir = store.create(tmp_path, "r1", {}, sources)
    kept = rundir.read_run()["inputs"]
    assert kept == [
        {"file": "./a.json", "path": str(tmp_path / "a.json"), "crc": zlib.crc32(JSON)},
        {"file": "./b.md", "path": str(tmp_path / "b.md"), "crc": zlib.crc32(MARKDOWN)},
    ]
    for each in sources:
        (tmp_path / each.file).unlink()
    copies = [store.kept_prd(rundir, number, entry) for number, entry in enumerate(kept, 1)]
    assert copies == [rundir.path / "prd/1.json", rundir.path / "prd/2.md"]
    assert [copy.read_bytes() for copy in copies] == [JSON, MARKDOWN]


def test_a_prd_that_is_kept_is_not_copied_again_and_a_new_one_is(tmp_path, sources):
    rundir = store.create(tmp_path, "r1", {}, sources)
    kept = rundir.read_run()["inputs"]
    for each in sources:
        (tmp_path / each.file).write_bytes(b"edited since")
    assert store.keep_prds(rundir, sources, kept) == kept
    third = source(tmp_path, "c.md", b"# More\n")
    found = store.keep_prds(rundir, [sources[0], third], kept)
    assert found == [kept[0], {"file": "./c.md", "path": third.path, "crc": zlib.crc32(b"# More\n")}]
    assert store.keep_prds(rundir, [*sources, third], kept)[:2] == kept
    assert [rundir.prd(*which).read_bytes() for which in ((1, ".json"), (2, ".md"), (3, ".md"))] == [
        JSON, b"# More\n", b"# More\n",
    ]  # fmt: skip


def test_a_prd_that_is_gone_before_it_was_copied_is_named(tmp_path, sources):
    (tmp_path / "b.md").unlink()
    with pytest.raises(CannotWrite, match=r"prd/2\.md"):
        store.create(tmp_path, "r1", {}, sources)
    assert store.runs(tmp_path) == []


def test_a_copy_that_was_changed_or_lost_is_refused_by_name(tmp_path, sources):
    rundir = store.create(tmp_path, "r1", {}, sources)
    entry = rundir.read_run()["inputs"][1]
    copy = rundir.prd(2, ".md")
    copy.write_bytes(MARKDOWN + b"!")
    with pytest.raises(durable.StateDamaged, match=r"prd/2\.md is damaged") as caught:
        store.kept_prd(rundir, 2, entry)
    assert "bring back ./b.md" in str(caught.value.hint)
    copy.unlink()
    with pytest.raises(NoInput, match=r"run r1 has lost its copy of \./b\.md"):
        store.kept_prd(rundir, 2, entry)


# -- the report ---------------------------------------------------------------------------------------------

DOCUMENT = durable.dump({"stories": ["ü"]})
TEXT = "# Report\n\nAll is well, ü.\n"


@pytest.fixture
def reported(tmp_path):
    rundir = store.create(tmp_path, "r1", {})
    assert store.read_report(rundir, json=True) is store.read_report(rundir, json=False) is None
    store.write_report(rundir, DOCUMENT, TEXT)
    return rundir


def test_a_report_is_read_as_it_was_written_and_stays_json_and_markdown_for_others(reported):
    assert store.read_report(reported, json=True) == DOCUMENT.decode()
    assert store.read_report(reported, json=False) == TEXT
    assert json.loads(reported.report_json.read_bytes())["stories"] == ["ü"]
    data = reported.report_md.read_bytes()
    assert data == TEXT.encode() + b"\n<!-- ~ %08x -->\n" % zlib.crc32(TEXT.encode())


def test_a_report_names_even_what_is_no_text(reported):
    store.write_report(reported, DOCUMENT, "gone: a\udcff.py\n")
    assert store.read_report(reported, json=False) == "gone: a?.py\n"


@pytest.mark.parametrize("form", ["json", "md"])
def test_a_report_that_was_changed_or_cut_is_none(reported, form):
    path = reported.path / f"report.{form}"
    data = path.read_bytes()
    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            path.write_bytes(changed)
            assert store.read_report(reported, json=form == "json") is None, (at, changed)
