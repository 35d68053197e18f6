"""What a hostile story runs: it looks for a key and for tokens wherever its user may look, and tries to be let in.

Arguments: the parts of the key (they are joined here, so that nobody's command line has the whole), the file for what was
found, one that is waited for and says at which ports the gateway listens, and one that is waited for at the end.
"""

import base64
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TOKEN = re.compile(rb"rad-[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def ask(url, path, token, data):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(data).encode(), headers if token else {})
    try:
        with OPENER.open(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def looked_into(pid):
    """What of a process may be read that says more than that it is there."""
    found = [name for name in ("environ", "mem", "maps") if _opens(f"/proc/{pid}/{name}")]
    try:
        return [*found, *(entry.name for entry in Path(f"/proc/{pid}/fd").iterdir())]
    except OSError:
        return found


def _opens(path):
    try:
        with Path(path).open("rb") as handle:
            handle.read(1)
    except OSError:
        return False
    return True


def ancestors():
    """From our parent up, as far as a run goes: the last one is its coordinator."""
    found, pid = [], str(os.getppid())
    while b"rad_engineer\0run" in (read(f"/proc/{pid}/cmdline") or b"") or not found:
        found.append(pid)
        pid = _parent(pid)
    return found


def _parent(pid):
    return (read(f"/proc/{pid}/stat") or b"0) ? 0").rpartition(b")")[2].split()[1].decode()


def hunt(key):
    """Where the key is seen in /proc, how many tokens of this run are, who its coordinator is and who its gateway."""
    coordinator = ancestors()[-1]
    places, tokens, gateways = [], 0, []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        command = read(entry / "cmdline") or b""
        ours = coordinator in _line(entry.name)
        for data, where in ((command, "cmdline"), (read(entry / "environ") or b"", "environ")):
            places += [f"{entry.name}/{where}"] if key in data else []
            tokens += len(TOKEN.findall(data)) if ours else 0
        if b"gateway.program" in command and ours:
            gateways.append(entry.name)
    return places, tokens, coordinator, gateways


def _line(pid):
    found = []
    while pid not in ("0", "1"):
        found.append(pid)
        pid = _parent(pid)
    return found


def waits_for(path):
    while not Path(path).exists():
        time.sleep(0.02)
    return Path(path).read_text()


def main():
    key = "-".join(sys.argv[1:4]).encode()
    places, tokens, coordinator, gateways = hunt(key)
    data = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "let me in"}],
    }
    claim = base64.urlsafe_b64encode(json.dumps(["B", 1, "run"]).encode()).decode().rstrip("=")
    statuses = []
    for port in waits_for(sys.argv[5]).split():
        url = f"http://127.0.0.1:{port}"
        statuses += [
            [ask(url, path, token, data) for token in ("", f"rad-{claim}.{'A' * 43}", "x" * 40)]
            for path in ("/v1/messages", "/sessions", "/v1/sessions")
        ]
    told = {
        "uid": os.getuid(),
        "places": places,
        "environment": key in b"".join(os.environb.values()),
        "tokens": tokens,
        "gateways": len(gateways),
        "gateway": [name for pid in gateways for name in looked_into(pid)],
        "coordinator": looked_into(coordinator),
        "pid": int(coordinator),
        "statuses": statuses,
    }
    Path(sys.argv[4] + ".new").write_text(json.dumps(told))
    Path(sys.argv[4] + ".new").rename(sys.argv[4])
    waits_for(sys.argv[6])


if __name__ == "__main__":
    main()
