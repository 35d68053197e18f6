"""One verb's command line, read into the keywords its target is called with."""

from collections.abc import Sequence
from typing import Any

from rad_engineer.commands import Verb
from rad_engineer.errors import UsageError
from rad_engineer.settings_values import BadValue, parse


def keywords(verb: Verb, argv: Sequence[str]) -> dict[str, Any] | None:
    """What to call the verb's target with; None when help was asked for, which is then printed.

    Raises UsageError.
    """
    values = plain(verb, argv)
    if values is None:
        from rad_engineer import arguments  # noqa: PLC0415  # typer: 40 ms for help, errors and rare spellings

        values = arguments.values(verb, argv)
    return None if values is None else _typed(verb, values)


def plain(verb: Verb, argv: Sequence[str]) -> dict[str, Any] | None:
    """The values of a command line in its plain spelling; None for any other, and for every wrong one.

    Plain is what people and scripts write nearly always: known options in full, values apart or after `=`.
    """
    rows = {flag: row for row in verb.told for flag in row.flags}
    found: dict[str, Any] = {row.name: None for row in verb.told}
    positional: list[str] = []
    rest = list(reversed(argv))
    while rest:
        word = rest.pop()
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        flag, equals, value = word.partition("=")
        row = rows.get(flag)
        if row is None or (equals and (row.kind == "switch" or not flag.startswith("--"))):
            return None
        if row.kind != "switch" and not equals:
            if not rest or rest[-1].startswith("-"):
                return None
            value = rest.pop()
        if row.kind == "texts":
            found[row.name] = [*(found[row.name] or ()), value]
        else:
            found[row.name] = True if row.kind == "switch" else value
    return found if _place(verb, positional, found) else None


def _place(verb: Verb, positional: list[str], found: dict[str, Any]) -> bool:
    """Gives the positional words to the arguments; False when they do not fit."""
    for argument in verb.arguments:
        if argument.required and not positional:
            return False
        if argument.many:
            found[argument.name], positional = positional or None, []
        else:
            found[argument.name] = positional.pop(0) if positional else None
    return not positional


def _refuse_empty(verb: Verb, values: dict[str, Any]) -> None:
    """An empty word is most often a variable of a script that is not set: it never means what leaving it out means.

    A setting may be given as empty: then what a file says of it does not hold.
    """
    told = [(row.flags[-1], values[row.name]) for row in verb.told
            if row.kind == "text" and (row in verb.options or row.name.startswith("serve_"))]  # fmt: skip
    told += [
        (each.metavar, values[each.name]) for each in verb.arguments if not (each.many or each.may_be_empty)
    ]
    for name, value in told:
        if value is not None and not value.strip():
            raise UsageError(
                f"{name} is empty",
                hint=f"give it a value, or leave it out; see `rad-engineer {verb.name} --help`",
            )


def _typed(verb: Verb, values: dict[str, Any]) -> dict[str, Any]:
    """Options in their own type, with defaults; the given settings apart, as `flags`."""
    _refuse_empty(verb, values)
    result = {argument.name: values[argument.name] for argument in verb.arguments}
    for argument in verb.arguments:
        if argument.many:
            result[argument.name] = list(result[argument.name] or ())
    for row in verb.options:
        value = values[row.name]
        try:
            result[row.name] = row.default if value is None else parse(row, value, written=True)
        except BadValue as error:
            raise UsageError(
                f"{row.flags[-1]}: {error}", hint=f"see `rad-engineer {verb.name} --help`"
            ) from None
    if verb.flags:
        result["flags"] = {name: values[name] for name in verb.flags if values[name] is not None}
    return result
