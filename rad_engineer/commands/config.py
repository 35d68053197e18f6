"""config: the settings in force, all there are, and the file they are kept in."""

import os
import sys
from json import dumps
from pathlib import Path
from typing import Any

from rad_engineer import settings
from rad_engineer.core.printable import one_line, plain, several
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground
from rad_engineer.projects import configuration
from rad_engineer.settings_schema import GROUPS, SETTINGS, Setting
from rad_engineer.settings_values import time_text, toml_text


def show(*, origin: bool, features: bool, json: bool) -> int:
    """Prints every setting, or every feature flag, with where it came from when asked."""
    found = settings.load(project_root(ground.folder()), {}, os.environ)
    values = {name: getattr(found, name) for name, row in SETTINGS.items() if row.feature or not features}
    if json:
        origins = {name: origin for name, origin in found.origins.items() if name in values or not features}
        _print_json(values, origins)
        return 0
    for name, setting in SETTINGS.items():
        if name not in values or (setting.key is None and setting.variable is None):
            continue  # says what one command does, not how things are set
        line = f"{setting.key or name} = {_shown(setting, values[name])}"
        print(f"{line:<44}  # {found.origins[name]}" if origin else line)
    return 0


def change(*, key: str, value: str) -> int:
    """Writes one setting into the project's file, and nothing else in it."""
    aim = configuration.target(project_root(ground.folder()))
    text = configuration.with_value(aim.path.parent, aim, key, value)
    configuration.write(aim, text)
    print(
        f"{os.path.relpath(aim.path)}: {one_line(key)} {'is set' if text != aim.text else 'was set so already'}"
    )
    if variable := configuration.overruled(configuration.located(key)[0], os.environ):
        print(f"rad-engineer: note: ${variable} is set here, and wins", file=sys.stderr)
    return 0


def edit() -> int:
    """Opens the project's file in the user's editor."""
    from rad_engineer.projects import editing  # noqa: PLC0415 - only for whoever edits

    root = project_root(ground.folder())
    changed = editing.edit(root, os.environ)
    print(
        f"{os.path.relpath(configuration.target(root).path)}: {'changed' if changed else 'nothing was changed'}"
    )
    return 0


def validate(*, json: bool) -> int:
    """Says of each file what is wrong with it; 78 when something is."""
    root = project_root(ground.folder())
    files, wrong = configuration.problems(root, os.environ)
    if json:
        problems = [{"message": str(error), "hint": error.hint} for error in wrong]
        document = {"schema_version": 1, "ok": not wrong, "files": files, "problems": problems}
        print(dumps(document, indent=2))
    else:
        for error in wrong:
            print(plain(f"{error}\n  hint: {error.hint}" if error.hint else str(error)))
        for name, count in files.items():
            print(f"{name}: {several(count, 'setting')}")
        if not files:
            print(f"{one_line(str(root))}: no configuration; every setting has its default")
        print(several(len(wrong), "problem") if wrong else "valid")
    return ExitCode.BAD_CONFIG if wrong else ExitCode.OK


def reference() -> int:
    """Prints docs/configuration.md."""
    print(document(), end="")
    return 0


def project_root(start: Path) -> Path:
    """The folder whose configuration counts: the top of the repository around `start`, else `start`."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return start


def document() -> str:
    """Every setting with its key, flag, variable, default and meaning, as Markdown."""
    lines = [_INTRODUCTION, *_features()]
    for group, rows in GROUPS.items():
        lines += [f"## {group}", "", "| key | flag | variable | default | meaning |", "|---|---|---|---|---|"]
        lines += [_row(row) for row in rows]
        lines.append("")
    return "\n".join(lines)


def _features() -> list[str]:
    """The switches that are feature flags, as a section of their own."""
    rows = [row for row in SETTINGS.values() if row.feature]
    lines = [
        "## Feature flags",
        "",
        _FEATURES,
        "| key | variable | default | what it turns on |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{row.key}` | `{row.variable}` | `{_shown(row, row.default)}` | {row.doc} |" for row in rows
    ]
    return [*lines, ""]


def _row(row: Setting) -> str:
    flag = ", ".join(row.flags) + (f" {row.metavar}" if row.metavar else "")
    if row.kind == "switch" and row.default is True and row.flags:
        flag = f"--no-{row.flags[-1].removeprefix('--')}"
    if row.choices:
        flag = f"{flag} {'|'.join(row.choices)}"
    cells = [f"`{cell}`" if cell else "" for cell in (row.key, flag.strip(), row.variable)]
    default = "" if row.default in (None, (), {}) else f"`{_shown(row, row.default)}`"
    return " | ".join(["", *(cell.replace("|", "\\|") for cell in (*cells, default, row.doc)), ""]).strip()


def _shown(setting: Setting, value: Any) -> str:
    if value is None:
        return "none" if setting.kind == "duration" else "(not set)"
    if setting.kind in ("duration", "span"):
        return time_text(value)
    return toml_text(value)


def _print_json(values: dict[str, Any], origins: Any) -> None:
    print(dumps({"schema_version": 1, "settings": values, "origins": dict(origins)}, indent=2))


_FEATURES = """\
A feature flag turns a whole way of working on or off: for a project in its file, on one machine by the variable, in one
run by the flag where it has one. `rad-engineer config show --features --origin` says which are on, and why.
"""

_INTRODUCTION = """\
# Configuration

This page is generated by `rad-engineer config reference`.

A setting is taken from the first of these that has it:

1. the flag on the command line
2. the variable in the environment
3. `rad-engineer.toml` at the top of the repository
4. `[tool.rad-engineer]` in `pyproject.toml`
5. your own `rad-engineer.toml`, in `~/.config/rad-engineer` or `$XDG_CONFIG_HOME/rad-engineer`; `rad-engineer setup` writes it
6. the default

Tables of gates are merged name by name. Unknown keys are refused, so that a typing error is not silently ignored.
Times are written `90s`, `15m`, `2h`, `7d` or as plain seconds; `none` means no limit. Lists in variables are separated
by commas. `rad-engineer config show --origin` tells what is in force and where it came from.

```toml
protect = ["tests/contract/**"]

[gates]
test = "pytest -q"
lint = "ruff check ."

[final_gates]
build = "python -m build"

[agent]
name = "command"
command = "claude -p --permission-mode acceptEdits"

[workspace]
setup = "npm ci"
copy = [".env.test"]

[limits]
jobs = 4
story_timeout = "30m"

[landing]
branch = "feature/phase1"
```

The agent is `mock` (a rehearsal that changes nothing) with `--agent mock`, `RAD_AGENT=mock` or `USE_REAL_AGENTS=false`;
a command line for the agent implies `command`. Commands that come from files are shown and asked for once before they
run; see `rad-engineer trust --help`.

`config set` and `config edit` change the file that the project has, or make a `rad-engineer.toml`. `config set` changes
or adds one value; every other byte of the file stays: comments, order, line ends, a byte order mark. What cannot be put
there without a change to something else is refused. `config edit` opens `$VISUAL` or `$EDITOR` on a copy, which takes
the file's place when it is valid; else it is kept, and you are told where. `config validate` says everything that is
wrong, with lines, and ends with 78.

<!-- project: shop -->
```console
$ rad-engineer config set limits.jobs 4
rad-engineer.toml: limits.jobs is set
$ rad-engineer config set gates.lint "ruff check ."
rad-engineer.toml: gates.lint is set
$ rad-engineer config set protect "tests/contract/**, conftest.py"
rad-engineer.toml: protect is set
$ rad-engineer config validate
rad-engineer.toml: 4 settings
valid
```
"""
