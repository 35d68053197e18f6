"""What is and what is not enforced here, tested by trying: each harm once in a box of every level, and once without one.

A harm counts as tried only where it succeeds without a sandbox; what was tried and did not succeed is held.
"""

import os
import select
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rad_engineer import process
from rad_engineer.errors import RadError
from rad_engineer.process.child import Child, spawn
from rad_engineer.sandbox import environment, open_box
from rad_engineer.sandbox.ownership import hand_over, owner
from rad_engineer.sandbox.seam import LEVELS, Level, Place

Found = Literal["held", "open", "unknown"]
"""Unknown: nothing could be tried."""

_SECONDS = 20.0
_WORKED, _TRIED = "worked", "tried"


@dataclass(frozen=True, slots=True)
class Harm:
    """Something that a command should not be able to do, as a script for bash that says so when it could."""

    defence: str
    script: str
    how: str
    kills: bool = False  # seen from outside: whether a process there has ended
    needs: str = ""  # a program without which it cannot be tried
    everywhere: bool = False  # not tried without a sandbox, for it would do harm there


HARMS = (
    Harm("files beside the working copy are not read", 'read -r x <"$OUT/secret"', "a file of a trial folder is opened"),
    Harm("files beside the working copy are not written", 'echo x >>"$OUT/secret"', "a line is added to one in a trial folder"),
    Harm("files beside the working copy are not removed", 'rm "$OUT/other"', "a file of a trial folder is removed"),
    Harm("files beside the working copy are not even seen", '[ -e "$OUT/secret" ]', "does a file of a trial folder exist?"),
    Harm("your files keep their modes", 'chmod 0640 "$OUT/mode"', "the mode of one in a trial folder is changed"),
    Harm("what setup made is read-only for gates", "echo x >made/planted", "a file is planted in it"),
    Harm("the system is not written", ': >"/usr/rad-engineer-trial" && rm -f /usr/rad-engineer-trial', "a file is made in /usr",
         everywhere=True),
    Harm("no TCP to this machine's own network", '( exec 3<>"/dev/tcp/127.0.0.1/$PORT" )', "a listener of ours is connected to"),
    Harm("no socket with a path", 'curl -sm 1 --unix-socket "$OUT/socket" http://x/ -o /dev/null; [ $? != 7 ]',
         "a listener of ours is connected to", needs="curl"),
    Harm("other processes are not seen", 'for f in /proc/[0-9]*/cmdline; do case $(tr "\\0" " " <"$f") in *"$A$B"*) found=1;; esac; done; '
         '[ -n "$found" ]', "one is looked for by its arguments"),
    Harm("the environment of other processes is not read", 'for f in /proc/[0-9]*/environ; do case $(tr "\\0" " " <"$f") in *"$A$B"*) found=1;; esac; done; '
         '[ -n "$found" ]', "one is looked for by a variable"),
    Harm("other processes are not signalled", 'kill -KILL "$VICTIM"', "one is killed", kills=True),
    Harm("your environment stays outside", '[ -n "$RAD_TRIAL_SECRET" ]', "a variable is looked for"),
    Harm("no setuid files", "cp /bin/true setuid && chmod 4755 setuid", "one is made"),
    Harm("no further namespaces", "unshare --user true", "one is made", needs="unshare"),
    Harm("not root", '[ "$(id -u)" = 0 ]', "who are we?"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """For each level why it does not work here, if so; for each defence what was found at each level that does."""

    unusable: dict[Level, str] = field(default_factory=dict)
    found: dict[str, dict[Level, Found]] = field(default_factory=dict)


def report() -> Report:
    """Tries everything."""
    told = Report(found={harm.defence: {} for harm in HARMS})
    for level in LEVELS:
        try:
            for harm, result in _try_level(level):
                told.found[harm.defence][level] = result
        except RadError as error:
            told.unusable[level] = str(error)
            for row in told.found.values():
                row.pop(level, None)
    for harm in HARMS:  # what does not succeed without a sandbox says nothing of one
        row = told.found[harm.defence]
        if row.get("off") == "unknown" and not harm.everywhere:
            row.update({level: "unknown" for level, found in row.items() if found == "held"})
    return told


def _try_level(level: Level) -> Iterator[tuple[Harm, Found]]:
    with _ground() as (slot, outside, variables), ExitStack() as stack:
        place = Place(slot, "/src/trial", read_only=("made",), owner=owner() if level != "off" else None)
        box = stack.enter_context(open_box(level, place))
        secret = {"RAD_TRIAL_SECRET": "x"}
        for harm in HARMS:
            if level == "off" and harm.everywhere:
                yield harm, "unknown"
                continue
            with _victim(variables) as victim:
                given = {**variables, "OUT": str(outside), "VICTIM": str(victim.pid)}
                env = (
                    {**os.environ, **secret, **given}
                    if level == "off"
                    else environment({**os.environ, **secret}, given)
                )
                needed = f"command -v {harm.needs} >/dev/null || exit 0\n" if harm.needs else ""
                script = f"{needed}echo {_TRIED}\n{{ {harm.script}; }} 2>/dev/null && echo {_WORKED}"
                ended = box.run(
                    ["bash", "-c", script], cwd=slot, env=env, limits=process.Limits(seconds=_SECONDS)
                )
                lines = ended.output.split()
                worked = _WORKED in lines and (not harm.kills or _has_ended(victim))
            yield harm, ("open" if worked else "held" if _TRIED in lines and level != "off" else "unknown")


def _has_ended(victim: Child) -> bool:
    """A signal that was sent to it takes a moment; one that another process got that has its number takes none."""
    pidfd = victim.pidfd()
    if pidfd is None:
        return victim.poll() is not None
    ended = bool(select.select([pidfd], [], [], 1.0)[0])
    os.close(pidfd)
    return ended


@contextmanager
def _ground() -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """A slot, a folder beside it with a file and sockets in it, and what scripts are told of that."""
    folder = Path(tempfile.mkdtemp(prefix="rad-engineer-"))
    try:
        folder.chmod(0o711)
        slot, outside = folder / "slot", folder / "outside"
        (slot / "made").mkdir(parents=True)
        outside.mkdir(mode=0o777)
        outside.chmod(0o777)
        for name in ("secret", "other", "mode"):
            (outside / name).write_text("not for strangers\n")
            (outside / name).chmod(0o666)
        hand_over(slot, owner())
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(outside / "socket"))
            (outside / "socket").chmod(0o777)
            unix.listen()
            yield slot, outside, {"PORT": str(tcp.getsockname()[1]), "A": "86400.0", "B": str(os.getpid())}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _victim(variables: dict[str, str]) -> Iterator[Child]:
    """A process outside, with something to look for in its arguments and its environment."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    word = variables["A"] + variables["B"]
    child = spawn(
        ["sleep", word],
        None,
        {"PATH": os.defpath, "RAD_TRIAL": word},
        (nothing, nothing, nothing),
        new_session=True,
    )
    try:
        yield child
    finally:
        os.close(nothing)
        with suppress(ProcessLookupError):
            if child.poll() is None:
                os.kill(child.pid, 9)
        child.wait()
