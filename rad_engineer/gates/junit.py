"""JUnit XML as pytest writes it, read as something a stranger may have written."""

from pathlib import Path
from xml.parsers import expat

from rad_engineer.gates.judgement import ERROR, Reading

MAX_BYTES = 64 * 1024 * 1024
MAX_TESTS = 200_000
MAX_NAME = 500


class _Unreadable(Exception):
    """The file is no JUnit result."""


class _Cases:
    """Collects test cases while the parser walks over the file."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.root = ""
        self._case = ""
        self._outcome = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.root:
            self.root = tag
            if tag not in {"testsuites", "testsuite"}:
                raise _Unreadable("it is no JUnit file")
        if tag == "testcase":
            self._case, self._outcome = _name(attributes), "passed"
        elif self._case and tag in {"failure", "error"}:
            self._outcome = "failed"
            if attributes.get("message") == "collection failure":
                self._case = f"{ERROR}{self._case}"
        elif self._case and tag == "skipped" and self._outcome == "passed":
            self._outcome = "skipped"

    def end(self, tag: str) -> None:
        if tag != "testcase":
            return
        if len(self.outcomes) >= MAX_TESTS:
            raise _Unreadable("it has too many tests")
        worst = self.outcomes.get(self._case)
        if worst != "failed":
            self.outcomes[self._case] = self._outcome
        self._case = ""

    def no_doctype(self, *_declaration: object) -> None:
        raise _Unreadable("it declares a document type")


def _name(attributes: dict[str, str]) -> str:
    """The test's id as pytest prints it, where the file is named (junit_family=xunit1)."""
    name = attributes.get("name", "")[:MAX_NAME]
    where = attributes.get("classname", "")[:MAX_NAME]
    file = attributes.get("file", "")[:MAX_NAME]
    if not file:
        return f"{where}::{name}" if where else f"{name.replace('.', '/')}.py"
    if not where:
        return file
    module = file.rsplit(".", 1)[0].replace("/", ".").lstrip(".")
    if where == module:
        return f"{file}::{name}"
    if where.startswith(f"{module}."):
        inner = where[len(module) + 1 :].replace(".", "::")
        return f"{file}::{inner}::{name}"
    return f"{file}::{where}::{name}"


def read(path: Path) -> Reading:
    """Reads a result that was not there before the run; anything odd about it is its `problem`."""
    if path.is_symlink() or not path.is_file():
        return Reading(problem="pytest left no result")
    if path.stat().st_size > MAX_BYTES:
        return Reading(problem="the result file is too large")
    cases = _Cases()
    parser = expat.ParserCreate()
    parser.StartElementHandler = cases.start
    parser.EndElementHandler = cases.end
    parser.StartDoctypeDeclHandler = cases.no_doctype
    parser.EntityDeclHandler = cases.no_doctype
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except (expat.ExpatError, _Unreadable) as error:
        return Reading(problem=f"the result file cannot be read: {error}")
    passed = tuple(name for name, outcome in cases.outcomes.items() if outcome == "passed")
    failed = tuple(name for name, outcome in cases.outcomes.items() if outcome == "failed")
    return Reading(len(passed), passed, failed)
