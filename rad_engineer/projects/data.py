"""Where the folders lie that are handed out as they are: templates, examples, what is deployed."""

from pathlib import Path

import rad_engineer

NAMES = ("deploy", "examples", "templates")
"""Top-level folders of the repository; pyproject.toml puts them into the wheel, as rad_engineer/data/NAME."""


def folder(name: str) -> Path:
    """The folder of this name, in an installed wheel as in a checkout.

    FileNotFoundError where this installation has none.
    """
    package = Path(rad_engineer.__file__).resolve().parent
    for place in (package / "data" / name, package.parent / name):
        if (
            name in NAMES
            and place.is_dir()
            and (place.parent == package / "data" or _checkout(package.parent))
        ):
            return place
    raise FileNotFoundError(2, "this installation of rad-engineer lacks its folder", name)


def _checkout(top: Path) -> bool:
    """Whether this is our repository: a folder of that name beside an installed package is somebody else's."""
    try:
        return '\nname = "rad-engineer"\n' in (top / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False
