"""JSON as people leave it: what is forgiven, what is refused, and where the refusal points."""

import pytest

from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import json_text

STORY = '{"id": 1, "title": "x"}'


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('{"a": [1]}', []),
        ('{"a": "line\nbreak\ttab"}', ["control-characters"]),
        ('// before\n{"a": /* inside */ [1]}', ["comments"]),
        ('{"a": [1, 2,], }', ["trailing-comma"]),
        ('{"a": "http://x/*y*/ // z, ]"}', []),
        ('{"a": [1]}]}\n', ["surplus-brackets"]),
        ('```json\n{"a": [1]}\n```\n', ["code-fence"]),
        ('```json\n{"a": [1]}\n', ["code-fence"]),
        ('```\n{"a": [1],}\n```', ["code-fence", "trailing-comma"]),
        (r'{"a": "\ud83d\ude00"}', []),
        (r'{"a": "\ud83d"}', ["lone-surrogate"]),
        ('{"a": 1}\r\n', []),
    ],
)
def test_what_is_forgiven(text: str, codes: list[str]) -> None:
    parsed = json_text.parse(text, "prd.json")
    assert list(parsed.value) == ["a"]
    assert sorted(finding.code for finding in parsed.findings) == sorted(codes)
    assert len(parsed.text) <= len(text)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ('{"a": [1\n 2]}', "SYNTAX", (2, 2)),
        ('{\n  "a" 1\n}', "SYNTAX", (2, 7)),
        ("{'a': 1}", "SYNTAX", (1, 2)),
        ('{"a": "open\n}', "SYNTAX", (1, 7)),
        ('{"a": [1,', "SYNTAX", (1, 10)),
        ('{"a": 1}\n{"a": 2}', "SYNTAX", (2, 1)),
        ('{\n<<<<<<< HEAD\n"a": 1\n=======\n"a": 2\n>>>>>>> x\n}', "SYNTAX", (2, 1)),
        ('{"a": 1,\n "b": {"a": 1},\n "a": 2}', "DUPLICATE_KEY", (3, 2)),
        ('{"b": {"k": 1}, "c": {"k": 1, "d": {"k": 2}, "k": 3,}}', "DUPLICATE_KEY", (1, 46)),
        ('{"a\\u0062": 1, "ab": 2}', "DUPLICATE_KEY", (1, 16)),
    ],
)
def test_what_is_refused_and_where(text: str, code: str, place: tuple[int, int]) -> None:
    with pytest.raises(PrdInvalid) as refused:
        json_text.parse(text, "prd.json")
    error = refused.value
    assert (error.code, error.line, error.column) == (code, *place)
    message, *context = str(error).split("\n")
    assert message.startswith(f"prd.json:{place[0]}:{place[1]}: ")
    assert context[-1].split("| ", 1)[1] == " " * (place[1] - 1) + "^"
    assert 2 <= len(context) <= 4
    assert error.hint


def test_context_is_three_lines_and_no_line_is_long() -> None:
    text = "{\n" + "".join(f'"k{n}": {n},\n' for n in range(9)) + '"long": "' + "x" * 500 + '" oops\n}'
    with pytest.raises(PrdInvalid) as refused:
        json_text.parse(text, "prd.json")
    lines = str(refused.value).split("\n")[1:]
    assert len(lines) == 4
    assert all(len(line) < 140 for line in lines)
    assert "oops"[:1] == lines[-2][lines[-1].index("^")]


def test_nothing_is_ever_inserted() -> None:
    with pytest.raises(PrdInvalid):
        json_text.parse('[{"title": "a"\n "id": 1}]', "prd.json")
    with pytest.raises(PrdInvalid):
        json_text.parse('[{"title": "a"} {"title": "b"}]', "prd.json")


def test_numbers_keep_their_text() -> None:
    value = json_text.parse('{"a": 3.10, "b": NaN, "c": ' + "9" * 5000 + ', "d": 7}', "prd.json").value
    assert value == {"a": "3.10", "b": "NaN", "c": "9" * 5000, "d": 7}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "[" * 5000 + "]" * 5000 + ","]
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(PrdInvalid) as refused:
        json_text.parse(text, "prd.json")
    assert refused.value.code == "TOO_DEEP"


def test_positions_survive_comments_and_commas() -> None:
    text = '{ // one\n "userStories": [ /* two\n lines */ {"id": 1, "title": "x",}, ]}'
    parsed = json_text.parse(text, "prd.json")
    assert len(parsed.text) == len(text)
    assert parsed.text.count("\n") == text.count("\n")
    assert parsed.text.index('{"id"') == text.index('{"id"')


def test_a_region_is_all_that_is_read() -> None:
    text = 'He said "hi // there\n```json\n{"a": 1,}\n```\nand "left'
    start, end = text.index("{"), text.index("}") + 1
    parsed = json_text.parse(text, "plan.md", region=(start, end))
    assert parsed.value == {"a": 1}
    assert parsed.start == start
