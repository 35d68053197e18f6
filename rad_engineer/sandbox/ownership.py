"""Who a stranger's commands run as when we are root: somebody without rights, to whom the slot is given."""

import os
from pathlib import Path

UNPRIVILEGED = 63_910
"""The first of the users, and the group, that no distribution gives to anybody."""

_LANES = 1_000


def owner(lane: int = 0) -> tuple[int, int] | None:
    """As whom commands run when this process is root's; None when it is not: then they run as its user.

    The kernel counts processes for each user: with one for each lane, none can take them from the others.
    """
    return (UNPRIVILEGED + lane % _LANES, UNPRIVILEGED) if os.geteuid() == 0 else None


def hand_over(top: Path, to: tuple[int, int] | None) -> None:
    """Gives a folder and all in it to them; no link is followed. None: nothing is to be done."""
    if to is None:
        return
    os.chown(top, *to, follow_symlinks=False)
    for _, folders, files, here in os.fwalk(top):
        for name in (*folders, *files):
            if os.stat(name, dir_fd=here, follow_symlinks=False).st_uid != to[0]:
                os.chown(name, *to, dir_fd=here, follow_symlinks=False)
