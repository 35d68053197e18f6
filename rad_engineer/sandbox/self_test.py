"""Does a back-end work on this machine? It is tried, with a real box, before anything relies on it."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

from rad_engineer import process
from rad_engineer.errors import RadError
from rad_engineer.sandbox import ruleset
from rad_engineer.sandbox.ownership import hand_over, owner
from rad_engineer.sandbox.seam import Box, Grants, Level, Place

_SECONDS = 20.0
_SCRIPT = r"""
fail() { echo "$1"; exit 1; }
echo in >made || fail 'its slot cannot be written'
( read -r line <"$HIDDEN" ) 2>/dev/null && fail 'a file beside its slot can be read'
( echo x >>"$HIDDEN" ) 2>/dev/null && fail 'a file beside its slot can be written'
( echo x >/usr/rad-engineer-self-test ) 2>/dev/null && fail 'the system can be written'
[ "$(id -u)" != 0 ] || fail 'it runs as root'
[ -z "$OUTSIDE" ] || { kill -0 "$OUTSIDE" 2>/dev/null && fail 'a process outside can be signalled'; }
( exec 3<>"/dev/tcp/127.0.0.1/$PORT" ) 2>/dev/null && fail 'it has a network'
chmod 4755 made 2>/dev/null && fail 'it can make setuid files'
echo held
"""


def why_not(level: Level) -> str:
    """Why a back-end cannot be used here; empty when it held in a trial."""
    folder = Path(tempfile.mkdtemp(prefix="rad-engineer-"))
    try:
        (folder / "slot").mkdir()
        (folder / "hidden").write_text("not for strangers")
        (folder / "hidden").chmod(0o666)
        folder.chmod(0o711)
        user = owner()
        hand_over(folder / "slot", user)
        place = Place(folder / "slot", "/src/self-test", owner=user)
        with _open(level, place) as box:
            return _try(box, place.slot, folder / "hidden")
    except RadError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or level}: {error.strerror}"
    finally:
        _remove(folder)


def _open(level: Level, place: Place) -> Box:
    from rad_engineer.sandbox.bubblewrap import Bubblewrap  # noqa: PLC0415 -- only where it is tried
    from rad_engineer.sandbox.landlock import Landlock  # noqa: PLC0415 -- the same

    if level == "bubblewrap":
        return Bubblewrap(place, Grants())
    return Landlock(place, Grants())


def _try(box: Box, slot: Path, hidden: Path) -> str:
    outside = (
        str(os.getpid()) if box.level == "landlock" and ruleset.version() >= ruleset.SCOPES_SINCE else ""
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = box.run(
            [shutil.which("bash") or "/bin/sh", "-c", _SCRIPT],
            cwd=slot,
            env={"HIDDEN": str(hidden), "OUTSIDE": outside, "PORT": str(server.getsockname()[1])},
            limits=process.Limits(seconds=_SECONDS),
        )
    if ended.code == 0 and ended.last_line == "held":
        return ""
    return ended.last_line or f"its trial ended with {ended.reason} and exit code {ended.code}"


def _remove(folder: Path) -> None:
    """What the trial has made is one file: nothing is followed."""
    for path in (folder / "slot" / "made", folder / "hidden"):
        path.unlink(missing_ok=True)
    os.rmdir(folder / "slot")  # noqa: PTH106 -- raises as it should
    folder.rmdir()
