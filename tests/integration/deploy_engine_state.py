"""What a container engine has, as far as a deployment may change it; and a prober."""

import http.client
import json
import subprocess
import threading
import time
from pathlib import Path


def docker(*words):
    ended = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def everything():
    """Ids of all there is, by kind; names of volumes."""
    return {
        "containers": set(docker("ps", "--all", "--quiet", "--no-trunc").split()),
        "images": set(docker("images", "--all", "--quiet", "--no-trunc").split()),
        "networks": set(docker("network", "ls", "--quiet", "--no-trunc").split()),
        "volumes": set(docker("volume", "ls", "--quiet").split()),
    }


def bytes_of(volume):
    """Every file of a volume with its content, its mode and its times."""
    top = Path(json.loads(docker("volume", "inspect", volume))[0]["Mountpoint"])
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.relative_to(top).as_posix()] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found


class Prober:
    """Asks ten times a second, each time on a connection of its own, until it is left."""

    def __init__(self, port, path="/health"):
        self.port, self.path = port, path
        self.answers = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._left.set()
        self._thread.join()

    def _run(self):
        begun, asked = time.monotonic(), 0
        while not self._left.wait(max(0.0, begun + asked / 10 - time.monotonic())):
            asked += 1
            self.answers.append(ask(self.port, self.path)[0])


def ask(port, path, headers=None):
    """Status, or what went wrong, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return repr(error), ""
    finally:
        connection.close()
