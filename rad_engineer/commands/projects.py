"""projects: which projects were imported, and forgetting one."""

import os
import time
from json import dumps

from rad_engineer.core.printable import one_line
from rad_engineer.launch import ground
from rad_engineer.projects import registry


def listing(*, json: bool) -> int:
    """Prints every project that is known."""
    known = registry.projects(os.environ)
    if json:
        rows = [
            {"name": each.name, "path": str(each.path), "added": each.added, "there": each.there,
             "languages": list(each.languages), "gates": dict(each.gates)}
            for each in known
        ]  # fmt: skip
        print(dumps({"schema_version": 1, "projects": rows}, indent=2))
        return 0
    for each in known:
        about = ", ".join((*each.languages, *each.gates)) if each.there else "its folder is gone"
        print(f"{one_line(each.name):20} {time.strftime('%Y-%m-%d', time.localtime(each.added))}  "
              f"{one_line(str(each.path))}  ({one_line(about)})")  # fmt: skip
    if not known:
        print("no projects; `rad-engineer import` adds one")
    return 0


def remove(*, project: str) -> int:
    """Forgets one; its files stay."""
    gone = registry.remove(project, ground.folder(), os.environ)
    print(f"forgot {one_line(str(gone.path))}; its files are as they were")
    return 0
