"""Why a gate may have failed that is no fault of the story: what its sandbox cannot run, told by what it printed."""

import re

from rad_engineer.rules import Level

_READ_ONLY = r"\bEROFS\b|\bRead-only file system\b|\[Errno 30\]"
_REFUSED = r"(?:EPERM|EACCES|Operation not permitted|Permission denied)"
_LANDLOCK = {
    "a socket, not even for a server of its own": rf"(?:socket|listen|connect|bind)\b[^\n]*(?:\n[^\n]*)?{_REFUSED}",
    "semaphore between processes, and no /dev/shm": rf"(?:SemLock|sem_open|/dev/shm)(?:[^\n]*\n){{0,2}}[^\n]*{_REFUSED}|{_REFUSED}[^\n]*/dev/shm",
    "a pseudo-terminal": rf"out of pty devices|(?:openpty|pseudo-terminal|posix_openpt|/dev/ptmx)(?:[^\n]*\n){{0,2}}[^\n]*{_REFUSED}",
    "/tmp: its folder for temporary files is $TMPDIR": rf"(?<![\w-])/tmp/[^\n]*{_REFUSED}|{_REFUSED}[^\n]*[\s'\"]/tmp/",  # noqa: S108
}


def told(level: Level, output: str) -> str:
    """A sentence on what the sandbox may have to do with a failure; empty where nothing looks like it."""
    if level == "bubblewrap" and re.search(_READ_ONLY, output, re.IGNORECASE):
        return "what setup made is read-only for gates: its caches have to lie elsewhere"
    if level != "landlock":
        return ""
    lacking = [what for what, pattern in _LANDLOCK.items() if re.search(pattern, output, re.IGNORECASE)]
    if not lacking:
        return ""
    return f"the sandbox may be to blame, not the story: under landlock there is no {'; no '.join(lacking)}"
