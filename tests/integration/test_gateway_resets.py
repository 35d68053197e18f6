"""What an upstream answers with that is no answer ends that call only, and nobody else's."""

import gzip
import socket
import struct

import pytest

from tests import faulty_upstream
from tests.gateways import opened

LONG = gzip.compress(b" " * (65 << 20))


async def slams(wire):
    """A real reset: the other end is told so, and told so again by whatever it does next."""
    at_once = struct.pack("ii", 1, 0)
    wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    wire.reset()


@pytest.mark.parametrize(
    ("move", "why"),
    [
        (slams, "Connection reset by peer"),
        (faulty_upstream.raw(200, LONG, content_encoding="gzip"), "more than 64 MB in one answer"),
    ],
    ids=["reset", "too long"],
)
def test_a_gateway_goes_on_after_an_upstream_that_broke_off(tmp_path, move, why):
    with (
        faulty_upstream.serve({"break": [move]}) as upstream,
        opened(tmp_path / "g", upstream.url, first_wait=0.001) as gateway,
    ):
        gateway.client.timeout = 15
        pid = gateway.door.pid
        refused = gateway.ask("break")
        assert refused.status_code == 502
        assert why in refused.json()["error"]["message"]
        assert gateway.ask("go on").status_code == 200
        assert gateway.door.pid == pid


def test_a_stream_without_end_is_ended(tmp_path):
    begins, *_ = faulty_upstream.events({"model": "m"})
    more = faulty_upstream.event("ping", filler="x" * 1_000_000)
    endless = faulty_upstream.streams(begins, *[more] * 80, end="silence")
    with (
        faulty_upstream.serve({"break": [endless]}) as upstream,
        opened(tmp_path / "g", upstream.url, first_wait=0.001) as gateway,
    ):
        said = gateway.ask("break", stream=True)
        assert said.text.rstrip().rpartition("event: ")[2].startswith("error\n")
        assert "more than 64 MB in one answer" in said.text[-500:]
        assert gateway.ask("go on").status_code == 200
