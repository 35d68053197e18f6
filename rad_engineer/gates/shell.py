"""Command lines, taken apart as far as judging them needs: the simple commands in them and how they are joined."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_JOINS = frozenset({"&&", "||", ";", "|", "|&", "&", ";;"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PREFIXES = {"env": 0, "time": 0, "nice": 0, "nohup": 0, "exec": 0, "command": 0, "xvfb-run": 0, "timeout": 1}
_SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
_FILTERS = frozenset(
    {"tail", "head", "tee", "cat", "less", "more", "sort", "uniq", "sed", "awk", "tr", "cut", "wc"}
)
_HARMLESS = frozenset({"echo", "printf", "true", ":", "cat", "date", "exit"})
_SHOWS_CODE = re.compile(r"\$\?|\$\{PIPESTATUS")


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command: its words, the folder `cd` has led to, and what joins it to the one before."""

    words: tuple[str, ...]
    join: str = ""  # "" for the first
    folder: str = ""
    redirected: bool = False

    @property
    def name(self) -> str:
        """The program without its folder."""
        return self.words[0].rsplit("/", 1)[-1]


def commands(line: str) -> tuple[Command, ...]:
    """The simple commands of a shell line; none where it cannot be taken apart."""
    lexer = shlex.shlex(line.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError:
        return ()
    found: list[Command] = []
    words: list[str] = []
    join, folder, redirected = "", "", False
    redirection = ""  # its target comes next
    for token in [*tokens, ";"]:
        if redirection:
            redirected = redirected or (">" in redirection and not (redirection == ">&" and token.isdigit()))
            redirection = ""
        elif token and set(token) <= set("<>&") and ("<" in token or ">" in token):
            redirection = token
            if words and words[-1] in {"1", "2"}:
                words.pop()  # the 2 of `2>file`
        elif token in _JOINS or set(token) <= set("();"):
            command = _simple(words, join, folder, redirected=redirected)
            if command is not None:
                folder = _moved(command, folder)
                found.append(command)
                join = token
            words, redirected = [], False
        else:
            words.append(token)
    return tuple(found)


def _simple(words: Sequence[str], join: str, folder: str, *, redirected: bool) -> Command | None:
    rest = list(words)
    while rest:
        name = rest[0].rsplit("/", 1)[-1]
        if _ASSIGNMENT.match(rest[0]):
            rest.pop(0)
        elif name in _PREFIXES and len(rest) > 1:
            rest.pop(0)
            while rest and rest[0].startswith("-"):
                rest.pop(0)
            del rest[: _PREFIXES[name]]
        else:
            break
    return Command(tuple(rest), join, folder, redirected) if rest else None


def _moved(command: Command, folder: str) -> str:
    if command.words[0] != "cd" or len(command.words) != 2:
        return folder
    return within(folder, command.words[1])


def within(folder: str, path: str) -> str:
    """A path of the repository as named from a folder of it; "" for the top, and an outside path stays as it is."""
    if path.startswith(("/", "~")):
        return path
    parts: list[str] = []
    for part in f"{folder}/{path}".split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def flattened(line: str, depth: int = 3) -> tuple[Command, ...]:
    """The simple commands of a line with those of `bash -c '...'` in place."""
    found: list[Command] = []
    for command in commands(line):
        inner = script_argument(command)
        if inner is None or depth == 0:
            found.append(command)
            continue
        for nested in flattened(inner, depth - 1):
            folder = within(command.folder, nested.folder)
            found.append(Command(nested.words, nested.join or command.join, folder,
                                 nested.redirected or command.redirected))  # fmt: skip
    return tuple(found)


def script_argument(command: Command) -> str | None:
    """The text after a shell's -c."""
    if command.name not in _SHELLS:
        return None
    for at, word in enumerate(command.words[1:-1], start=1):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and word.endswith("c"):
            return command.words[at + 1]
    return None


def masks_exit(line: str, *, pipefail: bool = False) -> bool:
    """Whether the line's exit code says nothing of the command that does the work.

    With `pipefail`, as gates are run, `| tail` hides nothing; `; echo EXIT:$?` and `|| true` still do.
    """
    found = commands(line)
    if len(found) < 2:
        return bool(re.search(r"(?<!&)&\s*$", line))
    last = found[-1]
    if last.join in {"||", ";", "&", ")", ");"} and last.name in _HARMLESS:
        return not _passes_on(last)
    if last.join in {"|", "|&"} and last.name in _FILTERS:
        return not pipefail
    return bool(re.search(r"(?<!&)&\s*$", line))


def _passes_on(command: Command) -> bool:
    """Whether this is `exit 1`, `exit $code`: an exit code after all."""
    return command.name == "exit" and command.words[1:] != ("0",)


def shows_exit(line: str) -> bool:
    """Whether the last thing the line does is to print the exit code it hides."""
    found = commands(line)
    if len(found) < 2 or found[-1].name not in {"echo", "printf"}:
        return False
    return found[-1].join == ";" and bool(_SHOWS_CODE.search(" ".join(found[-1].words)))


def shown_exit(last_line: str) -> int | None:
    """The exit code in a line such as `EXIT:1`."""
    found = re.search(r"(?:^|\D)(\d{1,3})\D*$", last_line)
    return int(found.group(1)) if found else None


Files = Callable[[str], bytes | None]
"""Reads a file of a tree by its path; None where there is none."""


def no_files(_path: str) -> bytes | None:
    """A tree without files, for command lines judged by themselves."""
    return None
