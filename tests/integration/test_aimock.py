"""What the tests of agents and gateway stand on: the mock server and the tap do what they are taken for."""

from pathlib import Path

import anthropic
import httpx2
import pytest

from tests.aimock import serve, tap

HELLO = {"match": {"userMessage": "hi"}, "response": {"content": "hello", "usage": {"input_tokens": 12, "output_tokens": 3}}}  # fmt: skip
ASK = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def client(url: str) -> anthropic.Anthropic:
    inner = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, http_client=inner)


def test_the_sdk_talks_to_the_mock_and_the_tap_sees_it(tmp_path: Path) -> None:
    with serve(tmp_path, [HELLO]) as mock, tap(mock.url) as seen, client(seen.url) as sdk:
        plain = sdk.messages.create(**ASK)
        with sdk.messages.stream(**ASK) as stream:
            streamed = stream.get_final_message()
        assert [plain.usage.output_tokens, streamed.usage.output_tokens] == [3, 3]
        assert [exchange.usage["output_tokens"] for exchange in seen.exchanges] == [3, 3]
        assert len(mock.calls()) == 2
        assert seen.violations() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temperature": 1}, "temperature"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [{"role": "teapot", "content": "hi"}]}, "teapot"),
        ({"tools": [{"type": "bash_20250124", "name": "shell"}]}, "shell"),
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [
            {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}]}]}, "t1"),
    ],
)  # fmt: skip
def test_the_tap_tells_an_unlawful_request(tmp_path: Path, change: dict, says: str) -> None:
    with serve(tmp_path, [HELLO]) as mock, tap(mock.url) as seen:
        headers = {"anthropic-version": "2026-10-21", "authorization": "Bearer k"}
        httpx2.post(f"{seen.url}/v1/messages", json=ASK | change, headers=headers, trust_env=False)
        (said,) = seen.violations()[:1]
        assert says in said
