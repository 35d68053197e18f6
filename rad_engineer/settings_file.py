"""What the configuration files of a project say: rad-engineer.toml, and [tool.rad-engineer] of pyproject.toml."""

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rad_engineer.errors import ConfigInvalid
from rad_engineer.settings_schema import SETTINGS, Setting
from rad_engineer.settings_values import parse

FILE = "rad-engineer.toml"
PYPROJECT = "pyproject.toml"
_LARGEST = 10_000_000  # bytes
_REPLACE = "put a readable file in its place, or remove it"
_TABLE = ("tool", "rad-engineer")


def files(
    root: Path, instead: Mapping[Path, str] | None = None
) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """The configuration files there are, weakest first, with the table that is ours; `instead` of some, other text."""
    for name, table in ((PYPROJECT, _TABLE), (FILE, ())):
        path = root / name
        if instead and path in instead:
            yield path, instead[path].removeprefix("\ufeff"), table
            continue
        try:
            status = path.stat()
            if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR) or status.st_size > _LARGEST:
                raise ConfigInvalid(f"{path}: not a file of settings", hint=_REPLACE)
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                raise ConfigInvalid(f"{path}: a link to a file that is not there", hint=_REPLACE) from None
            continue
        except OSError as error:
            raise ConfigInvalid(f"{path}: {error.strerror}", hint=_REPLACE) from error
        if table and b"rad-engineer" not in data:
            continue
        try:
            yield path, data.decode("utf-8-sig"), table
        except UnicodeDecodeError as error:
            raise ConfigInvalid(
                f"{path}: not UTF-8 at byte {error.start}", hint="save it as UTF-8"
            ) from error


def read(path: Path, text: str, table: tuple[str, ...]) -> dict[str, Any]:
    """The settings in a file's text, by name; raises ConfigInvalid for what is unknown or cannot be read."""
    found: dict[str, Any] = {}
    for key, value in _leaves(_ours(path, text, table)):
        name, worth = _entry(_place(path, text, table, key), key, value, table)
        found[name] = worth
    return found


def problems(path: Path, text: str, table: tuple[str, ...]) -> tuple[int, list[ConfigInvalid]]:
    """How many settings a file's text has, and everything that is wrong with it."""
    wrong: list[ConfigInvalid] = []
    try:
        leaves = list(_leaves(_ours(path, text, table)))
    except ConfigInvalid as error:
        return 0, [error]
    for key, value in leaves:
        try:
            _entry(_place(path, text, table, key), key, value, table)
        except ConfigInvalid as error:
            wrong.append(error)
    return len(leaves), wrong


def _place(path: Path, text: str, table: tuple[str, ...], key: str) -> str:
    return f"{path}:{_line(text, (*table, *key.split('.')))}"


def _ours(path: Path, text: str, table: tuple[str, ...]) -> dict[str, Any]:
    """The table that is ours; raises ConfigInvalid where the text is no TOML."""
    import tomllib  # noqa: PLC0415  # 15 ms that a folder without configuration need not pay

    try:
        data: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path}: {error}", hint="the file is not valid TOML") from error
    except RecursionError:
        raise ConfigInvalid(f"{path}: nested too deeply", hint="the file is not valid TOML") from None
    for part in table:
        data = data.get(part, {}) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise ConfigInvalid(f"{path}: [{'.'.join(table)}] is not a table")
    return data


def _entry(place: str, key: str, value: Any, table: tuple[str, ...]) -> tuple[str, Any]:
    """The name and value of one setting; raises ConfigInvalid."""
    setting = BY_KEY.get(key)
    if setting is not None:
        return setting.name, checked(setting, value, f"{place}: {key}", written=False)
    if key in SECTIONS:
        raise ConfigInvalid(
            f"{place}: `{key}` is a table",
            hint=f"write [{'.'.join((*table, key))}] on a line of its own",
        )
    raise ConfigInvalid(f"{place}: unknown key `{key}`", hint=meant(key))


def _leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in BY_KEY and key in SECTIONS:
            yield from _leaves(value, f"{key}.")
        elif key == "agent" and isinstance(value, str):
            yield "agent.name", value
        else:
            yield key, value


def checked(setting: Setting, value: Any, place: str, *, written: bool = True) -> Any:
    """The value in its own type; raises ConfigInvalid that names its place."""
    try:
        return parse(setting, value, written=written)
    except ValueError as error:
        hint = "`rad-engineer config reference` lists all settings"
        raise ConfigInvalid(f"{place}: {error}", hint=hint) from None


def meant(key: str) -> str:
    """A hint for a key that does not exist: the nearest one that does."""
    import difflib  # noqa: PLC0415  # only for a typing error

    near = difflib.get_close_matches(key, BY_KEY, n=1) or difflib.get_close_matches(
        key.rpartition(".")[2], [known.rpartition(".")[2] for known in BY_KEY], n=1
    )
    for known in BY_KEY:
        if near and near[0] in (known, known.rpartition(".")[2]):
            return f"did you mean `{known}`?"
    return "`rad-engineer config reference` lists all settings"


def _line(text: str, path: tuple[str, ...]) -> int:
    """The line on which a key stands, as well as can be told without a parser that keeps positions."""
    table: tuple[str, ...] = ()
    best = 1
    length = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            table = here = _parts(header[1])
        else:
            assignment = _ASSIGNMENT.match(line)
            if not assignment:
                continue
            here = (*table, *_parts(assignment[1]))
        shared = len(here) if here == path[: len(here)] else 0
        if shared > length:
            best, length = number, shared
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")
_ASSIGNMENT = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
BY_KEY = {setting.key: setting for setting in SETTINGS.values() if setting.key is not None}
SECTIONS = frozenset(key.rpartition(".")[0] for key in BY_KEY if "." in key)
