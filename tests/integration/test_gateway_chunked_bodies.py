"""A body that does not say how long it is keeps room for what it is, no more."""

import json
from concurrent.futures import ThreadPoolExecutor

from tests import faulty_upstream
from tests.gateways import MODEL, opened


def test_small_requests_in_chunks_do_not_wait_for_each_other(tmp_path):
    with (
        faulty_upstream.serve(otherwise=faulty_upstream.answers(3)) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):

        def ask(number):
            _, token = gateway.door.session("s", 1)
            said = [{"role": "user", "content": f"q{number}"}]
            body = json.dumps({"model": MODEL, "max_tokens": 100, "messages": said}).encode()
            answer = gateway.client.post(
                "/v1/messages", content=iter([body]), headers={"authorization": f"Bearer {token}"}
            )
            return answer.status_code, answer.elapsed.total_seconds()

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(ask, range(6)))
    assert {status for status, _ in found} == {200}
    assert max(seconds for _, seconds in found) < 5.5
