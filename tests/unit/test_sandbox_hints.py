"""What a failed gate printed tells whether its sandbox may be to blame."""

import pytest

from rad_engineer.worker import hints

SERVER = """  File "/usr/lib/python3.11/socket.py", line 232, in __init__
    _socket.socket.__init__(self, family, type, proto, fileno)
PermissionError: [Errno 1] Operation not permitted
"""
LOCK = """    sl = self._semlock = _multiprocessing.SemLock(
                         ^^^^^^^^^^^^^^^^^^^^^^^^^
PermissionError: [Errno 13] Permission denied
"""


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (SERVER, "socket"),
        ("Error: listen EPERM: operation not permitted 127.0.0.1", "socket"),
        ("connect EPERM 127.0.0.1:5432 - Local (undefined:undefined)", "socket"),
        (LOCK, "semaphore"),
        ("OSError: out of pty devices", "pseudo-terminal"),
        ("script: failed to create pseudo-terminal: Permission denied", "pseudo-terminal"),
        ("sh: 1: cannot create /tmp/out: Permission denied", "$TMPDIR"),
        ("PermissionError: [Errno 13] Permission denied: '/tmp/out'", "$TMPDIR"),
        ("E  assert 1 == 2\n3 failed", ""),
        ("the socket is fine\nassert False", ""),
        ("/src/demo/tmp/x: Permission denied", ""),
    ],
)
def test_what_landlock_cannot_run_is_named(output, wanted):
    found = hints.told("landlock", output)
    assert (wanted in found) if wanted else (found == "")
    assert hints.told("off", output) == hints.told("bubblewrap", output) == ""


def test_what_is_read_only_is_named_where_it_is():
    output = "OSError: [Errno 30] Read-only file system: '.venv/x'"
    assert "read-only for gates" in hints.told("bubblewrap", output)
    assert hints.told("landlock", output) == hints.told("off", output) == ""
