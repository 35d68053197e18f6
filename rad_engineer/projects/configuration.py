"""The configuration file of a project: found, checked, and changed without a change to anything else in it."""

import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import durable, settings, settings_file
from rad_engineer.errors import ConfigInvalid, RadError, Refused, UsageError
from rad_engineer.projects import toml_edit
from rad_engineer.settings_schema import SETTINGS, TABLES, Setting
from rad_engineer.settings_values import BadValue, parse, toml_text

_NEVER_FROM_FILES = frozenset({"credentials"})
_REFERENCE = "`rad-engineer config reference` lists all settings"


@dataclass(frozen=True, slots=True)
class Target:
    """The file that a project is configured in, as it was read; `table` is the one in it that is ours."""

    path: Path
    text: str
    table: tuple[str, ...]
    exists: bool

    def place(self, key: str) -> tuple[str, ...]:
        """Where a dotted key of ours stands in it."""
        return (*self.table, *key.split("."))


def target(root: Path) -> Target:
    """rad-engineer.toml where there is one, else pyproject.toml where it has our table, else a new rad-engineer.toml.

    Raises ConfigInvalid where one of them cannot be read.
    """
    found = list(settings_file.files(root))
    for path, text, table in reversed(found):
        if not table or _has(text, table):
            return Target(path, path.read_bytes().decode("utf-8"), table, exists=True)
    return Target(root / settings_file.FILE, "", (), exists=False)


def _has(text: str, table: tuple[str, ...]) -> bool:
    try:
        return toml_edit.present(tomllib.loads(text), table)
    except (tomllib.TOMLDecodeError, RecursionError):
        return True  # whoever reads it next says what is wrong with it


def check(root: Path, aim: Target, text: str) -> None:
    """Raises ConfigInvalid where the project could not be run with this text in that file."""
    settings.load(root, {}, {}, {aim.path: text})


def problems(root: Path, env: Mapping[str, str]) -> tuple[dict[str, int], list[RadError]]:
    """How many settings each file of the project has, and all that is wrong with them and with the variables."""
    counts: dict[str, int] = {}
    wrong: list[RadError] = []
    try:
        for path, text, table in settings_file.files(root):
            count, found = settings_file.problems(path, text, table)
            if count or not table:
                counts[path.name] = count
            wrong += found
        if not wrong:
            settings.load(root, {}, env)
    except RadError as error:
        wrong.append(error)
        if os.path.lexists(root / settings_file.FILE):  # though it may be none that can be read
            counts.setdefault(settings_file.FILE, 0)
    return counts, wrong


def refuse_outside(root: Path, aim: Target) -> None:
    """Raises Refused where the file is a link that leads out of a project that nobody has trusted yet."""
    path = aim.path.resolve()
    if not path.is_relative_to(root.resolve()):
        raise Refused(
            f"{aim.path} leads out of the project, to {path}",
            hint="put a file in the place of the link, or change the other one yourself",
        )


def write(aim: Target, text: str) -> None:
    """Replaces the file whole, with the mode it has; raises ConfigInvalid where it is not what was read any more."""
    path = aim.path.resolve()
    with durable.writing(path, of_run=False), _alone(path.parent):
        _write(aim, path, text)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes a configuration in this folder meanwhile: what was compared is what is replaced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(aim: Target, path: Path, text: str) -> None:
    mode = 0o644
    if aim.exists:
        if _bytes(path) != aim.text.encode():
            raise ConfigInvalid(f"{aim.path} was changed meanwhile", hint="run the same command again")
        mode = path.stat().st_mode & 0o7777
    elif path.exists():
        raise ConfigInvalid(f"{aim.path} was made meanwhile", hint="run the same command again")
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(text.encode())
        beside.chmod(mode)
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    durable.sync_folder(path.parent)


def _bytes(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None


def with_value(root: Path, aim: Target, key: str, value: str) -> str:
    """The file's text with a setting; raises UsageError for what is none, or cannot be put there, and ConfigInvalid."""
    if not (key + value).isprintable() and any("\ud800" <= each <= "\udfff" for each in key + value):
        raise UsageError("the key or the value is not UTF-8")
    setting, below = located(key)
    literal = _literal(setting, below, value, key)
    place = (*aim.table, *str(setting.key).split("."), *below)
    try:
        text = toml_edit.put(aim.text, place, literal).applied(aim.text)
    except toml_edit.Unsafe as error:
        raise UsageError(f"{aim.path}: {error}", hint="change it with `rad-engineer config edit`") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigInvalid(f"{aim.path}: {error}", hint="the file is not valid TOML") from None
    check(root, aim, text)
    return text


def located(key: str) -> tuple[Setting, tuple[str, ...]]:
    """The setting that a key of the command line means, and the way below it where it is a table."""
    setting = settings_file.BY_KEY.get(key)
    if setting is None:
        for known, row in settings_file.BY_KEY.items():
            if row.kind in TABLES and key.startswith(f"{known}.") and key != f"{known}.":
                name = key.removeprefix(f"{known}.")
                return row, (name,) if row.kind == "commands" else tuple(name.split("."))
        by_name = SETTINGS.get(key)
        if by_name is not None and by_name.key is None:
            raise UsageError(
                f"`{key}` is no setting of a file", hint=f"it is given to a command: {_flag(by_name)}"
            )
        raise UsageError(f"unknown key `{key}`", hint=settings_file.meant(key))
    if setting.name in _NEVER_FROM_FILES:
        raise UsageError(f"`{key}` cannot be set by a file", hint=f"give it to a command: {_flag(setting)}")
    return setting, ()


def _flag(setting: Setting) -> str:
    return setting.flags[-1] if setting.flags else str(setting.variable)


def _literal(setting: Setting, below: tuple[str, ...], value: str, key: str) -> str:
    """The value as TOML; what is not text by its kind is checked first."""
    try:
        if setting.kind in TABLES:
            if below and setting.kind == "commands":
                return toml_text(parse(setting, {below[0]: value}, written=True)[below[0]])
            return toml_text(_written(value))
        found = parse(setting, value, written=True)
    except BadValue as error:
        raise UsageError(f"{key}: {error}", hint=_REFERENCE) from None
    if setting.kind in ("duration", "span"):
        return toml_text(value.strip())
    if setting.kind == "money":
        return toml_text(found or "none")
    if found is None:
        raise UsageError(f"{key}: a value is missing", hint="take it out with `rad-engineer config edit`")
    return toml_text(found)


def _written(value: str) -> Any:
    """A value in TOML's own words, or else the text itself."""
    try:
        return tomllib.loads(f"x = {value}")["x"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return value


def overruled(setting: Setting, env: Mapping[str, str]) -> str:
    """The variable that wins over what the file says; empty where none is set."""
    return setting.variable if setting.variable and env.get(setting.variable) else ""
