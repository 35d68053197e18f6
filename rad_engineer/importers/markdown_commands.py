"""Shell commands out of fenced blocks: the lines that do something, without prompts, comments and expected output."""

import re

SHELLS = frozenset({"", "bash", "sh", "shell", "zsh", "console", "shell-session", "terminal"})
_PLACEHOLDER = re.compile(
    r"/path/to/|=(?:x{3,}|your[-_]\w+|\.\.\.)(?:\s|$)|<(?:your|path|name)[^>]*>", re.IGNORECASE
)
_CARRIED = re.compile(r"(?:cd|export|source|\.)\s")


def commands(fence: str) -> tuple[list[str], list[str]]:
    """The commands of a fenced block, and the lines that only show the form of one (`/path/to/project`).

    `cd`, `export` and `source` lines apply to every command after them, so each command is complete in itself.
    """
    carried: list[str] = []
    real: list[str] = []
    forms: list[str] = []
    in_form = False
    for line in _lines(fence):
        if _PLACEHOLDER.search(line):
            forms.append(line)
            in_form = in_form or bool(_CARRIED.match(line))
        elif _CARRIED.match(line) and "&&" not in line and ";" not in line:
            carried.append(line)
        elif in_form:
            forms.append(line)
        else:
            real.append(" && ".join([*carried, line]))
    return real, forms


def _lines(fence: str) -> list[str]:
    joined = re.sub(r"\s*\\\r?\n\s*", " ", fence)
    lines = [without_comment(line).strip() for line in joined.splitlines()]
    if any(line.startswith("$ ") for line in lines):  # a transcript: what has no prompt is output
        lines = [line[2:].strip() for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("/execute")]


def without_comment(line: str) -> str:
    """Cuts a `# comment` that no quote protects."""
    quote = ""
    i = 0
    while i < len(line):
        char = line[i]
        if char == "\\" and quote != "'":
            i += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (i == 0 or line[i - 1].isspace()):
            return line[:i]
        i += 1
    return line
