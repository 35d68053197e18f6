"""The shape of the code: sizes, names, docstrings, depth, and that nothing lies about unused."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from rad_engineer.commands import VERBS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rad_engineer"
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 50
MOST_PARAMETERS = 7
FORBIDDEN_NAMES = {
    "manager", "service", "handler", "helper", "helpers", "util", "utils", "common", "base", "misc", "processor",
}  # fmt: skip
BROAD_EXCEPT_ALLOWED = {"rad_engineer/cli.py", "rad_engineer/worker/jobs.py"}
UNFINISHED = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")
_DOTTED = re.compile(r"rad_engineer(?:\.\w+)+(?::\w+)?")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef))


LARGE_PLUGINS = {("agents", "acp"), ("agents", "anthropic")}  # plug-ins that are rooms of their own


def test_no_file_is_too_long():
    sizes = {named(path): text_of(path).count("\n") for path in files("rad_engineer", "tests", "benchmarks")}
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}


def test_no_function_is_too_long():
    sizes = {
        f"{named(path)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in files("rad_engineer")
        for function in functions(path)
    }
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_function_has_too_many_parameters():
    found = {}
    for path in files("rad_engineer"):
        lines = text_of(path).splitlines()
        for function in functions(path):
            taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            names = [argument.arg for argument in taken if argument.arg not in ("self", "cls")]
            head = "\n".join(lines[function.lineno - 1 : function.body[0].lineno])
            if len(names) > MOST_PARAMETERS and "PLR0913" not in head:
                found[f"{named(path)}:{function.name}"] = len(names)
    assert found == {}


def test_every_module_says_in_a_sentence_what_it_is_for():
    silent = []
    for path in files("rad_engineer"):
        first = (ast.get_docstring(tree_of(path)) or "").split("\n")[0]
        if not first.endswith((".", ":")):
            silent.append(named(path))
    assert silent == []


def test_no_name_says_nothing():
    found = []
    for path in files("rad_engineer"):
        names = [path.stem, *(node.name for node in classes(path))]
        for name in names:
            words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
            if FORBIDDEN_NAMES & {word.lower() for word in words}:
                found.append(f"{named(path)}: {name}")
    assert found == []


def test_no_comment_promises_work():
    found = [
        f"{named(path)}:{token.start[0]}"
        for path in files("rad_engineer", "tests", "benchmarks", "examples")
        for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string)
    ]
    assert found == []


def test_rooms_are_two_levels_deep():
    deep = [
        named(path)
        for path in files("rad_engineer")
        if len(parts := path.relative_to(PACKAGE).parts) > 2 and parts[:-1] not in LARGE_PLUGINS
    ]
    assert deep == []


def test_broad_excepts_stand_in_their_two_places():
    found = {
        named(path)
        for path in files("rad_engineer")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    }
    assert found <= BROAD_EXCEPT_ALLOWED


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(part, ast.Name) and part.id in ("Exception", "BaseException") for part in parts)


def test_there_are_no_abstract_base_classes_and_no_relative_imports():
    found = []
    for path in files("rad_engineer"):
        for node in ast.walk(tree_of(path)):
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            abstract = isinstance(node, ast.ImportFrom) and node.module == "abc"
            plain = isinstance(node, ast.Import) and any(name.name == "abc" for name in node.names)
            if relative or abstract or plain:
                found.append(f"{named(path)}:{node.lineno}")
    assert found == []


@cache
def protocols() -> dict[str, set[str]]:
    """Every Protocol with its methods; one that only names the signature of a function counts as none."""
    found = {}
    for path in files("rad_engineer"):
        for node in classes(path):
            if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
                found[f"{module_of(path)}.{node.name}"] = {
                    member.name for member in node.body if isinstance(member, Function)
                }
    return {name: methods for name, methods in found.items() if methods != {"__call__"}}


@cache
def offers() -> dict[str, set[str]]:
    """What modules and classes offer: the names of their functions, with those of the classes they stand on."""
    found: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in files("rad_engineer"):
        module = module_of(path)
        found[module] = {node.name for node in tree_of(path).body if isinstance(node, Function)}
        for node in classes(path):
            own = {member.name for member in node.body if isinstance(member, Function)}
            found[f"{module}.{node.name}"] = own
            bases[f"{module}.{node.name}"] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    named = {name.rpartition(".")[2]: own for name, own in found.items()}
    return {
        name: own.union(*(named.get(base, set()) for base in bases.get(name, ())))
        for name, own in found.items()
    }


@pytest.mark.parametrize("protocol", sorted(protocols()))
def test_a_protocol_has_two_implementations(protocol):
    wanted = protocols()[protocol]
    protocol_names = protocols()
    fitting = [name for name, own in offers().items() if wanted <= own and name not in protocol_names]
    assert len(fitting) >= 2, fitting


def test_every_module_is_reached_from_a_command():
    modules = {module_of(path): path for path in files("rad_engineer")}
    wanted = [
        "rad_engineer.__main__",
        "rad_engineer.worker.jobs",
        *(verb.target.split(":")[0] for verb in VERBS),
    ]
    reached: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in reached or name not in modules:
            continue
        reached.add(name)
        wanted += {name.rpartition(".")[0], *_imported(modules[name])}
    assert sorted(set(modules) - reached) == []


def _imported(path: Path) -> Iterator[str]:
    """What a module imports, anywhere in it, or names by a dotted string as what is imported when it is needed."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            yield node.value.split(":")[0]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_its_target(verb):
    module, _, function = verb.target.partition(":")
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    assert function in {node.name for node in tree_of(path).body if isinstance(node, Function)}
