"""The Typer app: help, completion, and every spelling of a command line that is not plain."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from rad_engineer.commands import VERBS, Verb
from rad_engineer.errors import UsageError
from rad_engineer.settings_schema import GROUPS, Setting
from rad_engineer.settings_values import time_text

PROGRAM = "rad-engineer"
_CONTEXT = {"help_option_names": ["-h", "--help"]}


class _AsTyped:
    """Leaves values as they were typed: typer would load pydantic (85 ms) to turn text into text."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002
        """Nothing given is nothing, or an empty list where several are taken."""
        if value is None and (param.multiple or param.nargs == -1):
            return ()
        return value


class _Command(TyperCommand):
    """A command that loads nothing for plain text and shows its options in groups."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters with the help option, none of which converts anything."""
        params = list(super().get_params(ctx))
        for param in params:
            param._runtime_param = _AsTyped()  # type: ignore[attr-defined]  # noqa: SLF001
        return params

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Writes arguments and options, one section for each group."""
        verb = next(verb for verb in VERBS if verb.target == getattr(self.callback, "target", ""))
        sections = {"Arguments": [(_shape(argument), argument.doc) for argument in verb.arguments]}
        for group, rows in GROUPS.items():
            sections[group] = [_described(row) for row in rows if row.name in verb.flags]
        sections["Output" if verb.flags else "Options"] = [
            *(_described(row) for row in verb.options),
            ("-h, --help", "show this text"),
        ]
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def values(verb: Verb, argv: Sequence[str]) -> dict[str, Any] | None:
    """What was given for each argument and option; None when help was asked for, which is then printed.

    Raises UsageError.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    _register(app, verb, verb.name)
    command = get_command(app)
    try:
        given = command.main(args=list(argv), prog_name=f"{PROGRAM} {verb.name}", standalone_mode=False)
    except typer.TyperException as error:
        raise _usage_error(error, verb) from None
    return given if isinstance(given, dict) else None


def _usage_error(error: typer.TyperException, verb: Verb) -> UsageError:
    near = getattr(error, "possibilities", None)
    if near:
        message, meant = str(error), f"did you mean {' or '.join(sorted(near))}? "
    else:
        message, meant = getattr(error, "format_message", error.__str__)(), ""
    message = message[:1].lower() + message[1:].rstrip(".")
    return UsageError(message, hint=f"{meant}see `{PROGRAM} {verb.name} --help`")


def completion(argv: Sequence[str]) -> None:
    """Answers a shell that asks for completions, or installs them; ends the process."""
    app = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
        help="Runs PRD files with coding agents.",
    )
    groups: dict[str, typer.Typer] = {}
    for verb in VERBS:
        group, _, name = verb.name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(rich_markup_mode=None)
            app.add_typer(groups[group], name=group)
        _register(groups.get(group, app), verb, name)
    app(args=list(argv), prog_name=PROGRAM)


def _register(app: typer.Typer, verb: Verb, name: str) -> None:
    examples = "\n".join(f"  {example}" for example in verb.examples)
    heading = "Example:" if len(verb.examples) == 1 else "Examples:"
    app.command(
        name=name,
        cls=_Command,
        help=f"{verb.doc[0].upper()}{verb.doc[1:]}.",
        epilog=f"\b\n{heading}\n{examples}",
        context_settings=_CONTEXT,
    )(_function(verb))


def _function(verb: Verb) -> Any:
    """A function with the verb's signature, for typer to read; it returns what it was given."""

    def given(**values: Any) -> dict[str, Any]:
        return values

    parameters = []
    for argument in verb.arguments:
        kind: Any = list[str] if argument.many else str
        info = typer.Argument(metavar=argument.metavar, help=argument.doc)
        default = inspect.Parameter.empty if argument.required else None
        if default is None:
            kind = kind | None
        parameters.append((argument.name, Annotated[kind, info], default))
    for row in verb.told:
        kind = {"switch": bool, "texts": list[str]}.get(row.kind, str)
        parameters.append((row.name, Annotated[kind | None, _option(row)], None))
    given.target = verb.target  # type: ignore[attr-defined]
    given.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, annotation, default in parameters
        ]
    )
    return given


def _option(row: Setting) -> Any:
    spellings = list(row.flags)
    if row.kind == "switch" and row.key is not None:
        spellings[-1] += f"/--no-{row.flags[-1].removeprefix('--')}"
    return typer.Option(*spellings, help=row.doc, metavar=row.metavar or None)


def _shape(argument: Any) -> str:
    shape = f"{argument.metavar}…" if argument.many else argument.metavar
    return shape if argument.required else f"[{shape}]"


def _described(row: Setting) -> tuple[str, str]:
    """The two columns of help: spelling and meaning."""
    if row.kind == "switch" and row.default is True:
        return f"--no-{row.flags[-1].removeprefix('--')}", row.off
    shape = row.metavar or "|".join(row.choices)
    doc = row.doc
    if row.kind in ("duration", "span") and row.default:
        doc += f" (default {time_text(row.default)})"
    elif row.kind in ("count", "jobs", "choice") and row.default is not None:
        doc += f" (default {row.default})"
    return " ".join(part for part in (", ".join(row.flags), shape) if part), doc
