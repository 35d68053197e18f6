"""Roles: what an agent is told about its part, as Markdown files that a project may replace."""

from collections.abc import Mapping
from pathlib import Path

from rad_engineer.errors import ConfigInvalid

NAMES = ("developer", "test-writer", "code-reviewer", "planner", "debugger")
"""The roles there are without any of a project's own."""

FOLDER = Path(".rad-engineer", "roles")
_LONGEST = 20_000  # bytes: more would crowd the story out of the prompt


def load(top: Path, home: Path, own: Mapping[str, str]) -> dict[str, str]:
    """The text of every role: `own` names files below `top`, then come those in `home`, then ours.

    Raises ConfigInvalid for a file that cannot be used.
    """
    found = {name: _read(Path(__file__).parent / f"{name}.md", name) for name in NAMES}
    folder = home / FOLDER
    files = sorted(folder.glob("*.md")) if folder.is_dir() else []
    found |= {
        path.stem: _read(_within(home, str(FOLDER / path.name), path.stem), path.stem) for path in files
    }
    return found | {name: _read(_within(top, path, name), name) for name, path in own.items()}


def replaced(texts: Mapping[str, str], name: str) -> bool:
    """Whether a project has put its own text in the place of one of ours."""
    return name in NAMES and texts.get(name) != _read(Path(__file__).parent / f"{name}.md", name)


def _within(top: Path, path: str, name: str) -> Path:
    """A project's file is one of the project: what it names elsewhere would be told to a model."""
    found = (top / path.replace("\0", "/")).resolve()
    if "\0" in path or not found.is_relative_to(top.resolve()):
        raise ConfigInvalid(
            f"{path}: the file for the role {name} is not in the project",
            hint=f"correct [agent.roles] {name}, or put the text there itself",
        )
    return found


def _read(path: Path, name: str) -> str:
    hint = f"correct [agent.roles] {name}, or the file"
    try:
        if not path.is_file():
            raise ConfigInvalid(f"{path}: there is no such file for the role {name}", hint=hint)
        data = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}", hint=hint) from error
    if len(data) > _LONGEST:
        raise ConfigInvalid(f"{path}: longer than {_LONGEST} bytes", hint=hint)
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: not UTF-8 at byte {error.start}", hint=hint) from error
    if not text:
        raise ConfigInvalid(f"{path}: empty", hint=hint)
    return text
