"""What is put into a TOML file leaves every other byte alone, or is refused."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.projects.toml_edit import Unsafe, addition, parse, present, put, replacement
from rad_engineer.settings_values import toml_key, toml_text


def add(text, key, literal):
    return addition(text, key.split("."), literal).applied(text)


ADDED = [
    ("", "gates.test", "[gates]\nx = 1\n".replace("x", "test")),
    ("[gates]\na = 1\n\n# end\n", "gates.test", "[gates]\na = 1\ntest = 1\n\n# end\n"),
    ("[gates]\r\na = 1\r\n", "gates.test", "[gates]\r\na = 1\r\ntest = 1\r\n"),
    ("[gates]\na = 1", "gates.test", "[gates]\na = 1\ntest = 1"),
    ("[gates]\r\na = 1", "gates.test", "[gates]\r\na = 1\r\ntest = 1"),
    ("[gates] # why\n[limits]\njobs = 2\n", "gates.test", "[gates] # why\ntest = 1\n[limits]\njobs = 2\n"),
    ("gates.a = 1\n[limits]\n", "gates.test", "gates.a = 1\ngates.test = 1\n[limits]\n"),
    ("[limits]\njobs = 2", "gates.test", "[limits]\njobs = 2\n\n[gates]\ntest = 1"),
    ("[limits]\r\njobs = 2\r\n", "gates.test", "[limits]\r\njobs = 2\r\n\r\n[gates]\r\ntest = 1\r\n"),
    ("# notes\n\n[limits]\njobs = 2\n", "protect", "# notes\n\nprotect = 1\n\n[limits]\njobs = 2\n"),
    ("[limits]\njobs = 2\n", "protect", "protect = 1\n\n[limits]\njobs = 2\n"),
    ("a = [ # ]\n 1,\n]\n[limits]\n", "protect", "a = [ # ]\n 1,\n]\nprotect = 1\n[limits]\n"),
    ("\ufeff[gates]\na = 1\n", "gates.test", "\ufeff[gates]\na = 1\ntest = 1\n"),
    ("\ufeff", "gates.test", "\ufeff[gates]\ntest = 1\n"),
    ("# only this", "gates.test", "# only this\n\n[gates]\ntest = 1"),
    ("# only this", "protect", "# only this\nprotect = 1"),
    ("[gates]\na = '''\n[limits]\n'''\n[limits]\n", "gates.test",
     "[gates]\na = '''\n[limits]\n'''\ntest = 1\n[limits]\n"),
    ("[tool.rad-engineer]\ngates.a = 1\n", "tool.rad-engineer.gates.test",
     "[tool.rad-engineer]\ngates.a = 1\ngates.test = 1\n"),
    ("[a.b.c]\nd = 1\n", "a.b.test", "[a.b.c]\nd = 1\n\n[a.b]\ntest = 1\n"),
    ("[ 'gates' ]\na = \"# \\\" = \"\n", "gates.test", "[ 'gates' ]\na = \"# \\\" = \"\ntest = 1\n"),
    ("[gates]\na = 1\r\nb = 2\n", "gates.test", "[gates]\na = 1\r\nb = 2\ntest = 1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "key", "after"), ADDED)
def test_a_line_is_added_where_it_belongs(before, key, after):
    assert add(before, key, "1") == after


REFUSED = [
    ('gates = { a = "x" } # mine\n', "gates.test", "written as one value on line 1"),
    ("[gates]\ntest = 2\n", "gates.test", "there already"),
    ("[[gates]]\na = 1\n", "gates.test", "no table"),
    ("gates = 3\n", "gates.test", "written as one value"),
    (
        "[tool]\nrad-engineer = { jobs = 1 }\n",
        "tool.rad-engineer.gates.test",
        "written as one value on line 2",
    ),
]


@pytest.mark.parametrize(("text", "key", "why"), REFUSED)
def test_what_would_change_something_else_is_refused(text, key, why):
    with pytest.raises(Unsafe, match=why):
        add(text, key, "1")


REPLACED = [
    ("[gates]\ntest = 'a' # why\nb = 1\n", "gates.test", '[gates]\ntest = "n" # why\nb = 1\n'),
    ("gates = { x = [1, { y = 2 }], test = 'a' } # mine\n", "gates.test",
     'gates = { x = [1, { y = 2 }], test = "n" } # mine\n'),
    ("gates = { a.test='a',\"b\" = 1 }", "gates.a.test", 'gates = { a.test="n","b" = 1 }'),
    ("a = [\n 1, # one\n 2\n] # end\nb = 1\r\n", "a", 'a = "n" # end\nb = 1\r\n'),
    ("when = 1979-05-27 07:32:00 # then\n", "when", 'when = "n" # then\n'),
    ("a.'b c'.d = '''x\ny'''\n", "a.b c.d", "a.'b c'.d = \"n\"\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "key", "after"), REPLACED)
def test_a_value_is_replaced_and_nothing_around_it(before, key, after):
    assert replacement(before, key.split("."), '"n"').applied(before) == after


def test_a_table_is_not_replaced_by_a_value():
    with pytest.raises(Unsafe, match="not written as one value"):
        replacement("[gates]\na = 1\n", ["gates"], "1")


names = st.sampled_from(["gates", "limits", "a", "b c", "test", "lint", 'q"', "ü"])
ends = st.sampled_from(["\n", "\r\n"])
scalars = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from([1.5, float("nan"), float("inf")]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
LAYOUTS = st.sampled_from(["{}", "{} # note", "  {}", "\t{}\t", "# before\n{}", "{}\n\n# after ]", "\n{}"])


@st.composite
def files(draw):
    """Valid files in every style that people write; their lines end as they like, also one by one."""
    lines = []
    for _ in range(draw(st.integers(0, 7))):
        key = ".".join(toml_key(name) for name in draw(st.lists(names, min_size=1, max_size=3)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            line = f"[{key}]"
        elif kind == 1:
            line = f"[[ {key} ]]"
        elif kind == 2:
            line = f"{key} = [ # [\n  {toml_text(draw(scalars))}, # ]\n]"
        elif kind == 3:
            line = f"{key} = '''\n[not a table]\n# not a comment\n'''"
        else:
            line = f"{key}={toml_text(draw(values))}"
        lines.append(draw(LAYOUTS).format(line) if kind != 3 else line)
    text = draw(st.sampled_from(["", "\ufeff"]))
    for line in "\n".join(lines).split("\n") if lines else []:
        text += line + draw(ends)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    return text


def valid(text):
    try:
        parse(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(files().filter(valid), st.lists(names, min_size=1, max_size=3), values, st.booleans())
@settings(max_examples=120, deadline=None)
def test_without_what_was_put_there_a_file_is_what_it_was(text, path, value, replacing):
    data = parse(text)
    try:
        edit = put(text, path, toml_text(value)) if replacing else addition(text, path, toml_text(value))
    except Unsafe:
        return
    after = edit.applied(text)
    assert present(parse(after), path)
    assert after[: edit.start] == text[: edit.start]
    assert after[edit.start + len(edit.text) :] == text[edit.end :]
    if not present(data, path):
        assert edit.start == edit.end, "nothing is taken away where something is added"
        assert repr(sorted(data)) == repr(sorted(set(parse(after)) - ({path[0]} - set(data))))
        if "\r\n" not in text:
            assert "\r" not in edit.text
        elif text.count("\n") == text.count("\r\n"):
            assert edit.text.count("\n") == edit.text.count("\r\n")


@given(values)
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_as_it_was(value):
    assert repr(tomllib.loads(f"x = {toml_text(value)}")["x"]) == repr(value)
