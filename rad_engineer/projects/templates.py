"""The templates that new projects are made from: which there are, and what files one of them becomes.

templates/LANGUAGE/LAYER/…: a template is some layers on top of each other. Every file ends in .jinja, so that nothing in
them is taken for a file of this repository: `gitignore.jinja` becomes `.gitignore`.
"""

import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer.errors import UsageError
from rad_engineer.projects import data

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

PRD = "prd/next.json"
LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "none")
_SUFFIX = ".jinja"
_NAMED_AS = {"gitignore": ".gitignore", "github": ".github", "PACKAGE": "{package}"}


@dataclass(frozen=True, slots=True)
class Template:
    """What can be asked for, and the layers that it is made of."""

    language: str
    name: str
    doc: str
    layers: tuple[str, ...]


TEMPLATES = (
    Template("python", "blank", "a package with a test", ("every", "blank")),
    Template(
        "python", "web", "a small accessible site with its tests and a server", ("every", "site", "web")
    ),
    Template("python", "api", "FastAPI with SQLite, migrations and tests", ("every", "service", "api")),
    Template("python", "fullstack", "the site and the API, wired", ("every", "site", "service", "fullstack")),
    Template("typescript", "blank", "a module with a test", ("every", "blank")),
    Template("typescript", "web", "a small accessible site with Vite and vitest", ("every", "web")),
)
LANGUAGES = tuple(dict.fromkeys(template.language for template in TEMPLATES))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a template is told of the project."""

    name: str
    package: str
    licence: str
    holder: str
    year: int


def find(language: str, name: str) -> Template:
    """The template that is asked for; UsageError, with what there is, where there is no such one."""
    for template in TEMPLATES:
        if (template.language, template.name) == (language, name):
            return template
    there = "; ".join(f"{spoken}: {', '.join(named(spoken))}" for spoken in LANGUAGES)
    raise UsageError(f"there is no template {name!r} for {language}", hint=f"there are {there}")


def named(language: str) -> tuple[str, ...]:
    """The names of a language's templates."""
    return tuple(template.name for template in TEMPLATES if template.language == language)


def render(template: Template, facts: Facts) -> dict[str, str]:
    """The files of the project: path and content. A later layer replaces files of those below it."""
    top = data.folder("templates")
    sources: dict[str, Path] = {}
    for layer in template.layers:
        sources.update(_files(top / template.language / layer, facts))
    if facts.licence != "none":
        sources["LICENSE"] = top / "licences" / f"{facts.licence}{_SUFFIX}"
    values = {**asdict(facts), "language": template.language, "template": template.name}
    return {
        path: _environment().from_string(source.read_text(encoding="utf-8")).render(values)
        for path, source in sorted(sources.items())
    }


def _files(folder: Path, facts: Facts) -> Iterator[tuple[str, Path]]:
    for source in sorted(folder.rglob(f"*{_SUFFIX}")):
        parts = source.relative_to(folder).as_posix().removesuffix(_SUFFIX).split("/")
        yield "/".join(_NAMED_AS.get(part, part).format(package=facts.package) for part in parts), source


@functools.cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined  # noqa: PLC0415 - 30 ms that only new projects need
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    return SandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
