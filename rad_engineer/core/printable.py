"""Foreign text made safe and narrow enough to show: no control codes, one line, a width in columns."""

import re
from functools import cache
from itertools import accumulate

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erase
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?"  # what is left of escapes
    r"|\x9b[0-?]*[ -/]*[@-~]",  # CSI in one byte
    re.DOTALL,
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that nothing is drawn for
_FAR = re.compile(r"[ \t]{40,}")
_EMPTY = re.compile(r"\n(?:[ \t]*\n){3,}")
_WIDE_PATTERN = (
    r"[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    r"\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001f9ff"
    r"\U00020000-\U0003fffd\u231a\u231b\u23e9-\u23f3\u25fd\u25fe\u2614\u2615\u2705\u2728\u274c\u274e\u2753-\u2757]"
)
_ZERO_PATTERN = r"[\u0300-\u036f\u1ab0-\u1aff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\u200c\u200d]"


def plain(text: str) -> str:
    """The text without escapes and control characters; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def spelled(text: str) -> str:
    """The text with all of it to be seen: what a terminal would act on, or not show, is spelled out, not left out.

    For what somebody has to agree to. Long gaps are counted, so that nothing is pushed out of sight.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_spelled, text))
    text = _FAR.sub(lambda gap: f" [{len(gap[0])} blanks] ", text)
    return _EMPTY.sub(lambda gap: f"\n[{gap[0].count(chr(10)) - 1} empty lines]\n", text)


def _spelled(char: str) -> str:
    seen = char.isprintable() and char not in _BLANK and not "\ufe00" <= char <= "\ufe0f"
    if (seen and not "\U000e0100" <= char <= "\U000e01ef") or char in "\n\t":
        return char
    return (
        char.encode("ascii", "backslashreplace").decode("ascii") if char > "\x7f" else f"\\x{ord(char):02x}"
    )


def lines(text: str) -> list[str]:
    """The text line by line as a terminal would show it in the end, without escapes and control characters."""
    return [plain(_seen(line)) for line in text.split("\n")]


def one_line(text: str) -> str:
    """The text as one line; of a progress line that overwrites itself only what is seen at last."""
    return _SPACE.sub(" ", plain(_seen(text))).strip()


def _seen(line: str) -> str:
    """What is left of a line that overwrites itself."""
    if "\r" not in line:
        return line
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


def width(text: str) -> int:
    """Columns the text takes on a terminal."""
    if text.isascii():
        return len(text)
    wide, zero = _patterns()
    return len(text) + len(wide.findall(text)) - len(zero.findall(text))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Characters two columns wide and of no width; compiled for the first text that is not plain ASCII."""
    return re.compile(_WIDE_PATTERN), re.compile(_ZERO_PATTERN)


def cut(text: str, columns: int) -> str:
    """The text in at most that many columns, with an ellipsis where something was cut."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    end = next(index for index, used in enumerate(accumulate(map(width, text))) if used >= columns)
    return text[:end].rstrip() + "…"


def pad(text: str, columns: int) -> str:
    """The text cut or filled with blanks to exactly that many columns."""
    text = cut(text, columns)
    return text + " " * (columns - width(text))


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """The text in lines of at most that many columns; every line but the first starts with `indent`."""
    found: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}" if line.strip() else f"{line}{word}"
        if line.strip() and width(candidate) > columns:
            found.append(line)
            candidate = indent + word
        line = candidate
    return [*found, line] if line.strip() else found


def hang(head: str, text: str, columns: int, most: int | None = None) -> list[str]:
    """The text behind `head`, every line beginning below its first word; the last of at most `most` lines is cut."""
    room, indent = max(columns - width(head), 10), " " * width(head)
    found = wrap(text, room) or [""]
    if most is not None and len(found) > most:
        found = [*found[: most - 1], " ".join(found[most - 1 :])]
    return [(indent if number else head) + cut(line, room) for number, line in enumerate(found)]


def duration(seconds: float) -> str:
    """A span of time for people: 0.4s, 12s, 3m05s, 2h07m."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def several(number: int, word: str, plural: str | None = None) -> str:
    """A number with its word: 1 story, 2 stories."""
    if number == 1:
        return f"1 {word}"
    return f"{number} {plural or (word[:-1] + 'ies' if word.endswith('y') else word + 's')}"
