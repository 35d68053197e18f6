"""To whom the files of a copy belong: where root runs us, to the user without rights that strangers' commands run as."""

import os
from collections.abc import Collection

Owner = tuple[int, int]
"""A user and a group, as numbers."""


def belongs_to(path: str, owner: Owner | None) -> bool:
    """Whether a copy was made for them; for nobody in particular: for us."""
    return os.lstat(path).st_uid == (os.geteuid() if owner is None else owner[0])


def hand_over(top: str, owner: Owner | None, *, leave: Collection[str] = ()) -> bool:
    """Gives a folder and what is in it to them; whether anything was not theirs before. No link is followed.

    Nobody else may be at work there. What lies at the paths to leave was made by them.
    """
    if owner is None:
        return False
    given = _give(top, os.lstat(top), owner)
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if folder == top and entry.name in leave:
                    continue
                given = _give(entry.path, entry.stat(follow_symlinks=False), owner) or given
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return given


def _give(path: str, about: os.stat_result, owner: Owner) -> bool:
    if (about.st_uid, about.st_gid) == owner:
        return False
    os.chown(path, *owner, follow_symlinks=False)
    return True
