"""What a new project may be called: a name that is one for packages, folders and modules alike."""

import keyword
import re
import sys

from rad_engineer.errors import UsageError

LONGEST = 50
_SHAPE = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}
# A project's own folder is first on the path of its tests: it would hide what has the same name.
_HIDES = {
    "anyio", "biome", "conftest", "fastapi", "httpx", "jsdom", "mypy", "node_modules", "pip", "pydantic", "pytest",
    "rad_engineer", "ruff", "starlette", "typescript", "uvicorn", "vite", "vitest",
}  # fmt: skip
_FOLDERS = {"dist", "docs", "migrations", "package", "prd", "public", "requirements", "scripts", "site", "src", "tests",
            "tmp", "venv"}  # fmt: skip


def package(name: str) -> str:
    """The name of the project's Python package; UsageError where no project can be called so."""
    if len(name) > LONGEST or not _SHAPE.fullmatch(name):
        raise UsageError(
            f"a project cannot be called {name[: LONGEST + 10]!r}",
            hint=f"a name has lower-case letters, digits, - and _, begins with a letter, and is no longer than {LONGEST}",
        )
    found = name.replace("-", "_")
    if keyword.iskeyword(found) or keyword.issoftkeyword(found):
        raise UsageError(f"{name!r} is a word of Python", hint=f"for example --name {name}-app")
    if found in sys.stdlib_module_names or found in _HIDES:
        raise UsageError(
            f"{name!r} would hide the module of that name", hint=f"for example --name {name}-app"
        )
    if found in _DEVICES or found in _FOLDERS:
        raise UsageError(
            f"{name!r} is the name of something else in a project", hint=f"for example --name my-{name}"
        )
    return found
