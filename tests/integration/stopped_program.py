"""A coordinator with a gateway and clients, as a process that can be stopped: arguments are a folder, an upstream, and JSON."""

import json
import select
import signal
import sys
from pathlib import Path

from rad_engineer.gateway import door
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.credentials import Credentials, Secret


def main() -> None:
    """Says where the gateway is, and hears of it until a signal comes."""
    folder, upstream, settings = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    told = GatewaySettings(upstream=upstream, **settings)
    opened = door.open(told, folder, b"s" * 32, Credentials("key", "a test", Secret(b"sk-ant-a.key")))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    tokens = [opened.session(f"S{number}", 1)[1] for number in range(settings["per_model"])]
    print(json.dumps({"url": opened.base_url, "tokens": tokens, "gateway": opened.pid}), flush=True)
    poller = select.poll()
    poller.register(opened.fileno(), select.POLLIN)
    while not stopped:
        poller.poll(20)
        opened.poll()
    opened.close()
    print(json.dumps(dict(opened.state)), flush=True)


if __name__ == "__main__":
    main()
