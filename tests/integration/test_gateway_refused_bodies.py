"""A refused request leaves nothing of its body behind."""

from pathlib import Path

import pytest

from tests import faulty_upstream
from tests.gateways import opened

SIZE = 8_000_000


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("model", [{}, {"model": "no-such-model"}], ids=["by the upstream", "by us"])
def test_bodies_of_refused_requests_do_not_stay(tmp_path, model):
    refuses = faulty_upstream.says(400, "invalid_request_error")
    with (
        faulty_upstream.serve(otherwise=refuses) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):
        gateway.ask("first")
        before = resident(gateway.door.pid)
        for number in range(24):
            source = {"type": "base64", "media_type": "image/png", "data": f"{number:08}" + "A" * SIZE}
            image = [{"type": "image", "source": source}]
            said = [{"role": "user", "content": image}]
            assert gateway.ask("", story=f"s{number}", messages=said, **model).status_code == 400
        assert resident(gateway.door.pid) - before < 15 * SIZE
