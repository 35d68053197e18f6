"""Who a stranger's commands run as when we are root: somebody without rights, to whom the slot is given."""

import os
import stat
from pathlib import Path

from rad_engineer.errors import ConfigInvalid

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


def let_through(path: Path, owner: tuple[int, int]) -> None:
    """Raises ConfigInvalid where somebody without rights cannot pass the folders above."""
    for folder in path.parents:
        about = folder.stat()
        shift = 6 if about.st_uid == owner[0] else 3 if about.st_gid == owner[1] else 0
        if not about.st_mode >> shift & stat.S_IXOTH:
            raise ConfigInvalid(
                f"{path}: started by root, commands run as a user without rights, who cannot pass {folder}",
                hint="landlock cannot show it elsewhere: keep it where others may pass (XDG_CACHE_HOME=/var/cache "
                "for working copies), start as another user, or use bubblewrap",
            )


def admit(folder: Path) -> None:
    """Where nothing can be shown elsewhere: the users that commands run as may pass, and nobody else. For root only."""
    if os.geteuid() == 0:
        os.chown(folder, -1, UNPRIVILEGED)
        folder.chmod(0o710)
        let_through(folder / "slots", (UNPRIVILEGED, UNPRIVILEGED))
