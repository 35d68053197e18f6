"""JSON as people leave it: a tolerant parse that keeps every position, and refusals that show the place."""

import json
import re
from typing import Any, NamedTuple

from rad_engineer.core.prd import Finding
from rad_engineer.errors import PrdInvalid

_FENCE = re.compile(r"\s*```[ \t]*(?:jsonc?5?|JSON)?[ \t]*\r?\n")
_FENCE_END = re.compile(r"\r?\n[ \t]*```[ \t]*\s*\Z")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_MAYBE_COMMA = re.compile(r",\s*[}\]]")
_SURPLUS = re.compile(r"[\s\]}]*")
_NOT_NEWLINE = re.compile(r"[^\r\n]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CONFLICT = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>)(?: |$)", re.MULTILINE)
BLANKED = frozenset({"comments", "trailing-comma"})
"""The findings about what is blanked before the value is parsed."""
_INT_DIGITS = 4000  # the interpreter refuses to convert more than 4 300


class Parsed(NamedTuple):
    """A JSON value and where it begins; `text` has the length of the original, comments are blanks."""

    value: Any
    text: str
    start: int
    findings: tuple[Finding, ...] = ()


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)
    return value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < _INT_DIGITS else digits


def decoder(*, strict: bool = True) -> json.JSONDecoder:
    """Reads floats as text (else 3.10 becomes 3.1) and refuses duplicate keys."""
    return json.JSONDecoder(object_pairs_hook=_object, parse_float=str, parse_constant=str, strict=strict)


def parse(text: str, shown: str, *, region: tuple[int, int] | None = None) -> Parsed:
    """Parses strictly, then ever more tolerantly; never inserts a comma or a quote.

    `region` is where the value stands in a text that holds more than it.
    """
    findings: list[Finding] = []
    begin, text = _fenced(text, findings) if region is None else (region[0], text[: region[1]])
    try:
        value, end = _value(text, begin, strict=True)
        _at_end(text, end)
    except json.JSONDecodeError:
        value, text, begin = _tolerant(text, begin, shown, findings)
    except _DuplicateKeyError as error:
        raise _duplicate(text, begin, error.key, shown) from None
    except RecursionError:
        raise too_deep(shown) from None
    if _SURROGATE.search(text):
        value = _whole(value, findings)
    return Parsed(value, text, begin, tuple(findings))


def _value(text: str, begin: int, *, strict: bool) -> tuple[Any, int]:
    """One value from `begin`, and where it ends; huge integers stay text."""
    while begin < len(text) and text[begin] in " \t\r\n":
        begin += 1
    try:
        return decoder(strict=strict).raw_decode(text, begin)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than the interpreter converts
        careful = json.JSONDecoder(
            object_pairs_hook=_object, parse_float=str, parse_int=_integer, parse_constant=str, strict=strict
        )
        return careful.raw_decode(text, begin)


def _tolerant(text: str, begin: int, shown: str, findings: list[Finding]) -> tuple[Any, str, int]:
    """Raw control characters, comments, trailing commas, surplus closing brackets; nothing else."""
    try:
        without_comments, blanked = _masked(text, begin)
        value, end = _value(blanked, begin, strict=False)
        surplus = _SURPLUS.match(blanked, end)
        _at_end(blanked, surplus.end() if surplus else end)
        if blanked[end:].strip():
            findings.append(_finding("surplus-brackets", "surplus closing brackets after the end", text, end))
    except json.JSONDecodeError as error:
        raise _syntax(error, text, shown) from None
    except _DuplicateKeyError as error:
        raise _duplicate(blanked, begin, error.key, shown) from None
    except RecursionError:
        raise too_deep(shown) from None
    if without_comments != text:
        findings.append(
            _finding(
                "comments", "has comments, which JSON does not know", text, _differs(text, without_comments)
            )
        )
    if blanked != without_comments:
        place = _differs(without_comments, blanked)
        findings.append(_finding("trailing-comma", "has a comma before a closing bracket", text, place))
    if not findings:
        findings.append(Finding("control-characters", "has raw line breaks or tabs inside strings"))
    return value, blanked, begin


def _at_end(text: str, end: int) -> None:
    rest = text[end:].lstrip()
    if rest:
        raise json.JSONDecodeError("Extra data", text, len(text) - len(rest))


def masked(text: str, begin: int) -> str:
    """The text with blanks for comments and trailing commas, so that every position stays."""
    return _masked(text, begin)[1]


def _masked(text: str, begin: int) -> tuple[str, str]:
    without_comments = body = text[begin:]
    if "//" in body or "/*" in body:
        without_comments = _COMMENT.sub(_blank_comment, body)
    blanked = without_comments
    if _MAYBE_COMMA.search(without_comments):
        blanked = _COMMA.sub(_blank_comma, without_comments)
    head = text[:begin]
    return head + without_comments, head + blanked


def _differs(one: str, other: str) -> int:
    """The first position at which two texts of one length differ."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high) // 2
        if one[low : middle + 1] == other[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _blank_comment(match: re.Match[str]) -> str:
    found = match.group()
    return found if found[0] == '"' else _NOT_NEWLINE.sub(" ", found)


def _blank_comma(match: re.Match[str]) -> str:
    found = match.group()
    return found if found[0] == '"' else " "


def _fenced(text: str, findings: list[Finding]) -> tuple[int, str]:
    """Where the value begins behind a leading code fence, and the text without its closing fence."""
    opening = _FENCE.match(text)
    if opening is None:
        return 0, text
    findings.append(Finding("code-fence", "stands in a Markdown code fence", 1, 1))
    closing = _FENCE_END.search(text, opening.end() - 1)
    return opening.end(), text[: closing.start()] if closing else text


def _whole(value: Any, findings: list[Finding]) -> Any:
    """The value without lone surrogates, which no file, terminal or process takes."""
    broken = False

    def text(found: str) -> str:
        nonlocal broken
        try:
            found.encode()
        except UnicodeEncodeError:
            broken = True
            return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return found

    def walk(found: Any) -> Any:
        if isinstance(found, str):
            return text(found)
        if isinstance(found, list):
            return [walk(item) for item in found]
        if isinstance(found, dict):
            return {text(key): walk(item) for key, item in found.items()}
        return found

    value = walk(value)
    if broken:
        findings.append(Finding("lone-surrogate", "has half a character (a lone surrogate): read as U+FFFD"))
    return value


def position(text: str, index: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def context(text: str, line: int, column: int) -> str:
    """Up to three lines that end with the place, and a caret under it."""
    lines = text.split("\n")
    width = len(str(line))
    shown = []
    for number in range(max(1, line - 2), min(line, len(lines)) + 1):
        whole = lines[number - 1].rstrip("\r").expandtabs(1)
        cut = max(0, column - 80) if len(whole) > 120 else 0
        shown.append(f"{number:>{width + 4}} | {_printable(whole[cut : cut + 120])}")
        if number == line:
            shown.append(f"{'':>{width + 4}} | {'':>{max(0, column - 1 - cut)}}^")
    return "\n".join(shown)


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _finding(code: str, message: str, text: str, index: int) -> Finding:
    return Finding(code, message, *position(text, index))


def refusal(message: str, text: str, index: int, shown: str, *, code: str, hint: str) -> PrdInvalid:
    """A PrdInvalid that names file, line and column and shows three lines."""
    line, column = position(text, index)
    return PrdInvalid(
        f"{shown}:{line}:{column}: {message}\n{context(text, line, column)}",
        code=code,
        line=line,
        column=column,
        hint=hint,
    )


def too_deep(shown: str) -> PrdInvalid:
    """The refusal of a file that is nested deeper than the parser can go."""
    return PrdInvalid(f"{shown}: nested too deeply to be a PRD", code="TOO_DEEP", hint="flatten the file")


_MEANING = {
    "Expecting ',' delimiter": ("a comma or a closing bracket is missing here", "put it after the value before this place"),
    "Expecting ':' delimiter": ("a colon is missing after the key", 'write "key": value'),
    "Expecting property name enclosed in double quotes": ("a key in double quotes is expected", 'quote the key with "'),
    "Expecting value": ("a value is expected", "write text in double quotes, a number, true, false, null, [ or {"),
    "Unterminated string starting at": ("a string begins here and never ends", "close it with a double quote"),
    "Extra data": ("the document has ended, but more follows", "a file holds one JSON value: join them in a list"),
    "Invalid \\escape": ("an escape JSON does not know", "write \\\\ for a backslash"),
    "Invalid \\uXXXX escape": ("an incomplete \\u escape", "write four hexadecimal digits after \\u"),
}  # fmt: skip


def _syntax(error: json.JSONDecodeError, text: str, shown: str) -> PrdInvalid:
    conflict = _CONFLICT.search(text)
    if conflict:
        return refusal(
            "an unresolved merge conflict",
            text,
            conflict.start(),
            shown,
            code="SYNTAX",
            hint="resolve the conflict (git checkout --ours or --theirs, or edit the file)",
        )
    known = error.msg.removesuffix(": ")
    message, hint = _MEANING.get(known, (error.msg, "correct the file"))
    index = min(error.pos, len(text.rstrip()))
    if index >= len(text.rstrip()):
        message, hint = (
            "the file breaks off here",
            "restore the rest of it: it was cut off or not written to its end",
        )
    return refusal(f"not valid JSON: {message}", text, index, shown, code="SYNTAX", hint=hint)


def _duplicate(text: str, begin: int, key: str, shown: str) -> PrdInvalid:
    index = _second(text, begin, key)
    return refusal(
        f"the key {json.dumps(key, ensure_ascii=False)} stands twice in one object",
        text,
        index,
        shown,
        code="DUPLICATE_KEY",
        hint="keep one of the two (a merge may have made the other)",
    )


_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def _second(text: str, begin: int, key: str) -> int:
    """Where the first object that has `key` twice says it the second time."""
    open_objects: list[set[str] | None] = []
    for match in _MARK.finditer(text, begin):
        mark = match.group()
        if mark in "{[":
            open_objects.append(set() if mark == "{" else None)
        elif mark in "}]":
            if open_objects:
                open_objects.pop()
        elif open_objects and (keys := open_objects[-1]) is not None and _is_key(text, match.end()):
            found = json.loads(mark, strict=False)
            if found in keys and found == key:
                return match.start()
            keys.add(found)
    return begin


def _is_key(text: str, end: int) -> bool:
    while end < len(text) and text[end] in " \t\r\n":
        end += 1
    return text[end : end + 1] == ":"
