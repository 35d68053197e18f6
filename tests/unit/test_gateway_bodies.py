"""Bodies of requests, read: as the standard library reads them, whoever does it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.gateway.exchange import Refusal
from rad_engineer.gateway.messages import understand

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def body(rest: bytes, encoding: str = "utf-8") -> bytes:
    text = f'{{"model": "m", "messages": [], "x": {rest.decode("latin-1")}}}'
    return text.encode(encoding)


@pytest.mark.parametrize(
    "value",
    [b"-0", b"[-0.0, 1E400, 5e-324, 1e23]", b"12345678901234567890123", b'{"a": 1, "a": 2}', b'"\\ud800"',
     b'"\\u00e9\\ud83d\\ude00"', b"[NaN]", b"[" * 300 + b"]" * 300],
)  # fmt: skip
def test_odd_values_are_what_the_standard_library_takes_them_for(value):
    assert repr(understand(body(value))) == repr(json.loads(body(value)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_are_read(encoding):
    assert understand(body(b'"\xe9"', encoding))["x"] == "é"


@given(JSON)
def test_any_value_is_read_as_it_was_written(value):
    written = json.dumps({"model": "m", "messages": [], "x": value}).encode()
    assert repr(understand(written)) == repr(json.loads(written))


@pytest.mark.parametrize(
    ("wrong", "where"),
    [(b"{", "line 1 column 2"), (b'{"model": "m",}', "line 1 column 15"), (b'"\xff"', "position 1"), (b"", "line 1 column 1")],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place(wrong, where):
    with pytest.raises(Refusal, match="the body is not JSON") as refused:
        understand(wrong)
    assert where in refused.value.message
