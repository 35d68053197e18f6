"""What nobody can use fewer than no times lowers no reservation."""

import pytest

from tests import faulty_upstream
from tests.gateways import opened

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": -1_000_000}
FETCH = {
    "type": "web_fetch_20250910",
    "name": "web_fetch",
    "max_uses": 1,
    "max_content_tokens": -1_000_000_000,
}


@pytest.mark.parametrize("tool", [SEARCH, FETCH], ids=["searches", "tokens"])
def test_a_cap_holds_against_a_server_tool_with_a_number_below_0(tmp_path, tool):
    used = faulty_upstream.answers(tokens=60_000)
    with (
        faulty_upstream.serve(otherwise=used) as upstream,
        opened(tmp_path / "g", upstream.url, run_micro_usd=10_000) as gateway,
    ):
        answer = gateway.ask("x", max_tokens=64_000, tools=[tool])
        spent = sum(event["micro_usd"] for event in gateway.named("spend"))
    assert (answer.status_code, spent) == (400, 0)
