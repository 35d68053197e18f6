"""login, logout: keeps the API key that the gateway uses, and forgets it."""

import os
import sys
from getpass import getpass

from rad_engineer import first_run
from rad_engineer.audit import of_user
from rad_engineer.gateway import credentials


def login() -> int:
    """Reads a key from the terminal, unseen, or from standard input, and keeps it."""
    where = first_run.keep_key(
        getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline(), os.environ
    )
    print(f"kept in {where}")
    return 0


def logout() -> int:
    """Removes the key from wherever it was kept."""
    gone = credentials.forget(os.environ)
    for place in gone:
        of_user({"kind": "key", "what": "forgotten", "source": place})
    print("\n".join(f"removed from {place}" for place in gone) or "no key was kept")
    return 0
