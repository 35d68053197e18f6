"""New projects from somebody's own template: copier makes them, after what it would run has been shown and trusted."""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rad_engineer import process, trust
from rad_engineer.errors import ConfigInvalid, NoInput, UsageError
from rad_engineer.git import beginning
from rad_engineer.projects import creation, questions
from rad_engineer.projects.questions import Said, Terminal

_SECONDS = 300.0
_URL = re.compile(r"(?:https|ssh|file)://[^\s-]\S*|\w[\w.-]*@\w[\w.-]*:[^\s:]\S*")

_SECRET = re.compile(r"https://[^/\s]*@|\w+://[^/\s:]*:[^/\s]*@")


def create(source: str, said: Said, terminal: Terminal, *, yes: bool) -> creation.Made:
    """Makes a project with copier, from a git URL or a folder; Refused where it was not trusted.

    Templates may run commands, as the user and in no sandbox. What is used of a repository is the commit that was
    shown, wherever its branch points by then.
    """
    if said.name is None or said.template or said.language or said.licence:
        raise UsageError(
            "--from goes with --name, and with no template, language or licence of ours",
            hint="rad-engineer init --name NAME --from URL|DIR",
        )
    if _SECRET.match(source):
        raise UsageError(
            "the address of the template has a password or token, which would be kept in the project",
            hint="leave it out, and let a credential helper of git or an ssh key open it",
        )
    _require_copier()
    target = creation.place(said.name, said.parent)
    questions.agree_to_nest(said, terminal, yes=yes)
    author = beginning.author(said.parent) if said.git else None
    with tempfile.TemporaryDirectory(prefix="rad-engineer-") as folder:
        source, commit, look = _fetched(source, Path(folder) / "template")
        commands = list(_commands(look))
        shown = [("template", f"{source} at {commit}" if commit else source), *commands]
        trust.ask(shown, yes=yes, stdin=terminal.stdin, stderr=terminal.stderr)
    _copy(source, commit, target, asking=terminal.answers and not yes, trusted=bool(commands))
    first = None
    if author is not None and not (target / ".git").exists():
        first = beginning.begin(target, author, f"Begin {said.name} from {source}")
    files = (path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    return creation.Made(target, tuple(sorted(path for path in files if not path.startswith(".git/"))), first)


def _require_copier() -> None:
    if importlib.util.find_spec("copier") is None:
        raise ConfigInvalid(
            "--from needs copier, which is not installed",
            hint='install it beside rad-engineer: pip install "rad-engineer[copier]"',
        )


def _fetched(source: str, into: Path) -> tuple[str, str | None, Path]:
    """Where the template is, its commit where it has one, and a folder to look at it in."""
    there = Path(source)
    if there.is_dir() and not (there / ".git").exists():
        return str(there.resolve()), None, there
    if there.is_dir():
        source = str(there.resolve())
    elif not _URL.fullmatch(source):
        raise NoInput(f"{source} is no folder, and no address that git could fetch from",
                      hint="https://…, ssh://…, user@host:path, or a folder")  # fmt: skip
    env = {**os.environ, "GIT_ALLOW_PROTOCOL": "https:ssh:file"}
    _git(["clone", "--quiet", "--depth=1", "--", source, str(into)], env, source)
    commit = _git(["-C", str(into), "rev-parse", "HEAD"], env, source).strip()
    shutil.rmtree(into / ".git")  # now it is a folder, and is read as one
    return source, commit, into


def _git(arguments: list[str], env: dict[str, str], source: str) -> str:
    code, out, err = process.capture(["git", *arguments], env=env, timeout=_SECONDS)
    if code != 0:
        raise NoInput(f"git cannot fetch {source}: {err.decode('utf-8', 'replace').strip()[-500:]}")
    return os.fsdecode(out)


def _commands(look: Path) -> Iterator[tuple[str, str]]:
    """What the template would run on this machine: its tasks, and code that it loads into the one that renders it."""
    from copier._template import Template  # noqa: PLC0415 - what it has no public name for
    from copier.errors import CopierError  # noqa: PLC0415

    try:
        template = Template(url=str(look))
        for task in template.tasks:
            yield "task", task.cmd if isinstance(task.cmd, str) else " ".join(task.cmd)
        for extension in template.jinja_extensions:
            yield "extension", extension
    except (CopierError, ValueError, KeyError, TypeError) as error:
        raise ConfigInvalid(f"the template cannot be read: {error}") from None


@contextmanager
def _printing_elsewhere() -> Iterator[None]:
    """What copier asks and what its tasks print goes to standard error: standard output is for what was made."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _copy(source: str, commit: str | None, target: Path, *, asking: bool, trusted: bool) -> None:
    import copier  # noqa: PLC0415
    from copier.errors import CopierError  # noqa: PLC0415
    from jinja2 import TemplateError  # noqa: PLC0415

    with _printing_elsewhere(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what copier has to say to those who write templates
        try:
            copier.run_copy(
                source if commit is None or Path(source).is_dir() else f"git+{source}",
                target,
                {"project_name": target.name},
                vcs_ref=commit,
                defaults=not asking,
                quiet=True,
                unsafe=trusted,
            )
        except (CopierError, TemplateError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise ConfigInvalid(f"copier could not make the project: {error}") from None
