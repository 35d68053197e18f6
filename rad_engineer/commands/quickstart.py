"""quickstart: a small project with a PRD of five stories and a recording, to be run without a key."""

from pathlib import Path
from shlex import quote

from rad_engineer.core.printable import one_line, plain
from rad_engineer.projects import examples


def quickstart(folder: str | None) -> int:
    """Makes the project and says what to type."""
    target = Path(folder or "pocketbook")
    examples.copy("quickstart", target)
    print(
        f"made {one_line(str(target))}, a repository with five stories that recorded answers of a model carry out; next:"
    )
    print(f"  cd {plain(quote(str(target)))}")
    print("  rad-engineer plan prd.json")
    print("  rad-engineer run prd.json   # its gate needs pytest for the python3 on your PATH")
    return 0
