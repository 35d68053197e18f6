"""What strangers send is answered, and is never a bug of ours."""

import asyncio

import pytest

from rad_engineer.delivery import certificate
from rad_engineer.server.configuration import Serving
from rad_engineer.server.guard import Guard


def test_an_origin_whose_bracket_does_not_close_is_foreign():
    sent = []

    async def send(message):
        sent.append(message)

    async def app(_scope, _receive, _send):
        pytest.fail("it was let in")

    serving = Serving("127.0.0.1", 9090, b"x" * 20, frozenset({"::1"}), 0, None, 10, 10)
    scope = {
        "type": "http", "method": "GET", "path": "/metrics", "raw_path": b"/metrics", "query_string": b"",
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"[::1"), (b"origin", b"http://[::1")],
    }  # fmt: skip
    asyncio.run(Guard(app, serving)(scope, None, send))
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_certificate_that_is_nested_without_end_is_changed(tmp_path, text):
    file = tmp_path / "certificate.json"
    file.write_text(text)
    assert certificate.check(file, {}, signers=[], max_age_days=1).answer == "changed"
