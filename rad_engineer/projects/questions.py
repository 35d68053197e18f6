"""What a new project is to be: what was said on the command line, and the rest asked for on the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rad_engineer.core.printable import one_line
from rad_engineer.errors import UsageError
from rad_engineer.launch import ground
from rad_engineer.projects import creation, templates


@dataclass(frozen=True, slots=True)
class Said:
    """What the command line says; None is what it does not say."""

    name: str | None
    template: str | None
    language: str | None
    licence: str | None
    git: bool
    parent: Path


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where questions are asked and answers come from."""

    stdin: TextIO
    stderr: TextIO

    @property
    def answers(self) -> bool:
        """Whether there is somebody to ask."""
        return self.stdin.isatty() and self.stderr.isatty()

    def ask(self, question: str, default: str, refuse: Callable[[str], object]) -> str:
        """The first answer that is not refused; UsageError when there will be none."""
        while True:
            self.stderr.write(f"{question} [{default}] " if default else f"{question} ")
            self.stderr.flush()
            line = self.stdin.readline()
            if not line:
                raise UsageError("the questions were not answered, so nothing was made")
            answer = line.strip() or default
            try:
                refuse(answer)
            except UsageError as error:
                self.stderr.write(f"  {one_line(str(error))}\n" + (f"  {error.hint}\n" if error.hint else ""))
            else:
                return answer


def settle(said: Said, terminal: Terminal, *, yes: bool) -> creation.Wish:
    """Everything that has to be known of the project: as said, as asked for, or by default with `yes`.

    Only who has not said what is needed, a name and a template, is asked at all. Raises UsageError.
    """
    language, licence = said.language or "python", said.licence or templates.LICENCES[0]
    if said.template is not None:
        templates.find(language, said.template)  # what cannot be is not asked about
    needed = {"--name": said.name, "--template": said.template or ("blank" if yes else None)}
    missing = [flag for flag, value in needed.items() if value is None]
    if not missing:
        template = templates.find(language, str(needed["--template"]))
        return creation.Wish(str(said.name), template, licence, said.git, said.parent)
    if yes or not terminal.answers:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, and there is no terminal to ask on"
            if not yes
            else f"{' and '.join(missing)} is missing",
            hint="rad-engineer init --name NAME --template blank|web|api|fullstack",
        )
    return _ask(said, terminal)


def agree_to_nest(said: Said, terminal: Terminal, *, yes: bool) -> None:
    """Says that the project would lie in a repository, and asks where that is possible; UsageError when it shall not."""
    outer = ground.work_tree(said.parent.resolve())
    if outer is None:
        return
    where = f"note: {one_line(str(said.parent.resolve()))} lies in the git repository {one_line(str(outer))}"
    if not said.git:
        terminal.stderr.write(f"{where}: the project becomes a part of that one\n")
        return
    terminal.stderr.write(
        f"{where}: the project becomes a repository of its own inside it, with its own first commit"
        " (--no-git makes none)\n"
    )
    if yes or not terminal.answers:
        return
    terminal.stderr.write("Go on? [y/N] ")
    terminal.stderr.flush()
    if terminal.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was made", hint="--into DIR says where else")


def _ask(said: Said, terminal: Terminal) -> creation.Wish:
    name = said.name or terminal.ask(
        "What is the project called?", "", lambda answer: creation.place(answer, said.parent)
    )
    creation.place(name, said.parent)
    language = said.language
    if language is None and said.template is None:
        language = _choice(terminal, "Which language?", templates.LANGUAGES)
    language = language or "python"
    if said.template is None:
        for template in templates.TEMPLATES:
            if template.language == language:
                terminal.stderr.write(f"  {template.name:10}{template.doc}\n")
    chosen = said.template or _choice(terminal, "Which template?", templates.named(language))
    licence = said.licence or _choice(terminal, "Under which licence?", templates.LICENCES)
    return creation.Wish(name, templates.find(language, chosen), licence, said.git, said.parent)


def _choice(terminal: Terminal, question: str, choices: Sequence[str]) -> str:
    def refuse(answer: str) -> None:
        if answer not in choices:
            raise UsageError(f"{answer!r} is none of them")

    return terminal.ask(f"{question} ({', '.join(choices)})", choices[0], refuse)
