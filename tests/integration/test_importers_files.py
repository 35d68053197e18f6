"""Files as they lie on a disk: encodings, links, pointers, manifests, and what is no file at all."""

import codecs
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from rad_engineer import importers
from rad_engineer.errors import NoInput, PrdInvalid
from rad_engineer.importers import text
from tests.story_texts import story_texts

PRD = '{"project": "Café", "userStories": [{"id": "A", "title": "Größe", "passes": false}]}'


def refusal(path: Path | str, **options: Path) -> PrdInvalid:
    with pytest.raises(PrdInvalid) as refused:
        importers.load(path, **options)
    return refused.value


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (PRD.encode(), []),
        (codecs.BOM_UTF8 + PRD.encode(), []),
        (codecs.BOM_UTF16_LE + PRD.encode("utf-16-le"), []),
        (codecs.BOM_UTF16_BE + PRD.encode("utf-16-be"), []),
        (codecs.BOM_UTF32_LE + PRD.encode("utf-32-le"), []),
        (PRD.encode("utf-16-le"), []),
        (PRD.encode("cp1252"), ["cp1252"]),
        (PRD.replace(" ", "\r\n").encode(), []),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, codes: list[str]) -> None:
    file = tmp_path / "prd.json"
    file.write_bytes(data)
    (prd,) = importers.load(file)
    assert (prd.project, prd.stories[0].title) == ("Café", "Größe")
    assert [finding.code for finding in prd.findings if finding.code != "no-acceptance"] == codes
    decoded = text.decode(data, shown="prd.json")
    assert decoded.mark + decoded.text.encode(decoded.encoding) == data
    assert json.loads(story_texts(prd)[0])["id"] == "A"


def test_cp1252_says_where(tmp_path: Path) -> None:
    file = tmp_path / "prd.json"
    file.write_bytes(PRD.replace(' "userStories"', '\n"userStories"').replace("é", "e").encode("cp1252"))
    finding = importers.load(file)[0].findings[0]
    assert (finding.code, finding.line, finding.column) == ("cp1252", 2, 41)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "EMPTY"),
        (b" \n\t\r\n", "EMPTY"),
        (codecs.BOM_UTF8, "EMPTY"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "ENCODING"),
        (bytes(range(256)) * 20, "ENCODING"),
        (b"\xff\xfe{\x00\x22", "ENCODING"),
        (b"{\x81\x8d}", "ENCODING"),
        (b'{"a": "\0"}', "ENCODING"),
        (b"tasks:\n  - id: 1\n", "SYNTAX"),
        (b"just prose", "SYNTAX"),
    ],
)
def test_what_is_no_prd_text(tmp_path: Path, data: bytes, code: str) -> None:
    file = tmp_path / "prd.json"
    file.write_bytes(data)
    error = refusal(file)
    assert error.code == code
    assert error.hint
    assert not importers.parses(data, "prd.json")


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.json"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, "/dev/null", "/dev/zero"):
        assert refusal(path).code == "NOT_A_FILE"
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    for path in (
        tmp_path / "nope.json",
        tmp_path / "nope" / "x.json",
        f"{tmp_path}/a\0b",
        tmp_path / ("x" * 300),
        loop,
        fifo / "x",
    ):
        with pytest.raises(NoInput):
            importers.load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "prd.json"
    file.write_text(PRD)
    file.chmod(0)
    with pytest.raises(NoInput, match="permission denied"):
        importers.load(file)


def test_a_giant_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "prd.json"
    with file.open("wb") as sparse:
        sparse.truncate(20 * 1024**3)
    error = refusal(file)
    assert error.code == "TOO_LARGE"
    assert "20480 MB" in str(error)


def test_a_small_file_needs_little_memory(tmp_path: Path) -> None:
    """A run reads its PRDs again each time it marks a story, also where memory is limited."""
    (tmp_path / "prd.json").write_text("{}")
    tracemalloc.start()
    text.read(tmp_path / "prd.json", shown="prd.json")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1_000_000


def test_links_inside_are_followed(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "real.json").write_text(PRD)
    link = tmp_path / "prd.json"
    link.symlink_to("plans/real.json")
    (prd,) = importers.load(link, root=tmp_path)
    assert prd.file == str(link)
    assert prd.path == str(tmp_path / "plans" / "real.json")


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(PRD)
    inner = tmp_path / "repository"
    inner.mkdir()
    (inner / "prd.json").symlink_to("../secret.json")
    for options in ({}, {"root": inner}):
        assert refusal(inner / "prd.json", **options).code == "POINTER"
    assert importers.load(inner / "prd.json", root=tmp_path)


def test_a_file_outside_the_root_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "prd.json").write_text(PRD)
    (tmp_path / "root").mkdir()
    assert importers.load(tmp_path / "elsewhere" / "prd.json", root=tmp_path / "root")


@pytest.mark.parametrize(
    "content", ["plans/real.json", "@plans/real.json do all of it\n", "./plans/real.json\n", "../top.json"]
)
def test_pointers(tmp_path: Path, content: str) -> None:
    (tmp_path / "sub" / "plans").mkdir(parents=True)
    (tmp_path / "sub" / "plans" / "real.json").write_text(PRD)
    (tmp_path / "top.json").write_text(PRD)
    file = tmp_path / "sub" / "prd.json"
    file.write_text(content)
    (prd,) = importers.load(file, root=tmp_path)
    assert prd.file == str(file)
    assert Path(prd.path).name in ("real.json", "top.json")


def test_a_pointer_from_the_top_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "ralph").mkdir()
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "prd.json").write_text(PRD)
    (tmp_path / "ralph" / "PROMPT.json").write_text("@plans/prd.json")
    assert importers.load(tmp_path / "ralph" / "PROMPT.json", root=tmp_path)[0].stories


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("../../etc/x.json", "outside"),
        ("/etc/x.json", "not valid JSON"),
        ("gone.json", "does not exist"),
        ("prd.json", "is this file"),
        ("other.json", "circle"),
    ],
)
def test_pointers_that_lead_nowhere(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "prd.json").write_text(content)
    (tmp_path / "other.json").write_text("prd.json")
    assert words in str(refusal(tmp_path / "prd.json"))


def test_a_manifest_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    for name in ("m1", "m2"):
        (tmp_path / "tasks" / f"prd-{name}.json").write_text(
            json.dumps({"name": name, "stories": [{"id": "A", "title": name}]})
        )
    manifest = {
        "project": "Shop",
        "milestones": [
            {"id": "M1", "file": "tasks/prd-m1.json", "stories": 1},
            {"id": "M2", "file": "tasks/prd-m2.json", "stories": 1, "dependsOn": ["m1", "elsewhere"]},
        ],
    }
    file = tmp_path / "prd.json"
    file.write_text(json.dumps(manifest))
    first, second = importers.load(file, root=tmp_path)
    assert (first.name, second.name) == ("m1", "m2")
    assert second.file == str(tmp_path / "tasks" / "prd-m2.json")
    assert second.needs == ("tasks/prd-m1.json", "elsewhere")
    (tmp_path / "tasks" / "prd-m2.json").unlink()
    assert refusal(file, root=tmp_path).code == "POINTER"


def test_manifests_that_list_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"prds": [{"file": "b.json", "stories": 1}]}')
    (tmp_path / "b.json").write_text('{"prds": [{"file": "a.json", "stories": 1}]}')
    assert "circle" in str(refusal(tmp_path / "a.json"))


def test_stories_with_files_are_no_manifest(tmp_path: Path) -> None:
    file = tmp_path / "prd.json"
    file.write_text(
        '{"tasks": [{"id": 1, "title": "x", "file": "package.json"}, {"id": 2, "title": "y", "file": "data.json"}]}'
    )
    assert len(importers.load(file)[0].stories) == 2


def test_large_plans_load_quickly(tmp_path: Path) -> None:
    stories = [
        {
            "id": f"US-{n}",
            "title": f"Story {n}",
            "acceptanceCriteria": [f"It does {n}", "Typecheck passes"],
            "passes": False,
        }
        for n in range(10_000)
    ]
    file = tmp_path / "prd.json"
    file.write_text(json.dumps({"userStories": stories}, indent=2))
    (prd,) = importers.load(file)
    assert json.loads(story_texts(prd)[-1]) == stories[-1]
