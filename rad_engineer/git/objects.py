"""Objects without a process for each: loose ones by hand, all others from one git that is kept alive."""

import hashlib
import itertools
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from time import localtime, strftime, time

from rad_engineer import process
from rad_engineer.durable import write_all
from rad_engineer.git.command import GitFailed, command, environment

_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"
_LEVEL = 1  # of compression, as git's default for loose objects is
_serial = itertools.count()


def write(objects: Path, object_format: str, kind: str, body: bytes) -> str:
    """Writes a loose object, which is not durable yet; returns its name."""
    data = b"%b %d\0%b" % (kind.encode("ascii"), len(body), body)
    name = hashlib.new(object_format, data, usedforsecurity=False).hexdigest()
    folder = objects / name[:2]
    path = folder / name[2:]
    if path.exists():
        return name
    folder.mkdir(exist_ok=True)
    new = folder / f"tmp_obj_{os.getpid()}_{next(_serial)}"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        write_all(handle, zlib.compress(data, _LEVEL))
    finally:
        os.close(handle)
    new.rename(path)
    return name


def alternates(path: Path) -> str:
    """A path as `objects/info/alternates` and GIT_ALTERNATE_OBJECT_DIRECTORIES want it."""
    text = str(path)
    if not any(character in text for character in '":\n\\#'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def read_loose(stores: Iterable[Path], name: str) -> tuple[str, bytes] | None:
    """An object's kind and content from the first store that has it loose."""
    for store in stores:
        try:
            data = (store / name[:2] / name[2:]).read_bytes()
            head, _, body = zlib.decompress(data).partition(b"\0")
        except (FileNotFoundError, NotADirectoryError, zlib.error):  # git will say what is wrong with it
            continue
        return head.partition(b" ")[0].decode("ascii"), body
    return None


def commit(tree: str, parent: str, message: str, author: str) -> bytes:
    """A commit with a single parent, made now; who it is by is cleaned as git does it."""
    name, _, mail = author.rpartition(" <")
    now = time()
    who = f"{_cleaned(name) or 'rad-engineer'} <{_cleaned(mail.rstrip('>'))}>"
    person = f"{who} {int(now)} {strftime('%z', localtime(now))}".encode("utf-8", "surrogateescape")
    head = f"tree {tree}\nparent {parent}\n".encode("ascii")
    text = message.encode("utf-8", "replace")
    return b"%bauthor %b\ncommitter %b\n\n%b" % (head, person, person, text.replace(b"\0", b""))


def _cleaned(text: str) -> str:
    return "".join(character for character in text.strip(_CRUD) if character not in "<>\n")


class Reader:
    """Objects of a git directory, wherever in it they are: one `git cat-file --batch`, started when it is needed."""

    def __init__(self, git_dir: Path, also: Path) -> None:
        self._git_dir = git_dir
        self._also = also  # objects that are looked for there as well
        self._talk: process.Talk | None = None

    def __del__(self) -> None:
        self.close()

    def read(self, name: str) -> tuple[str, bytes]:
        """An object's kind and content; GitFailed where there is none."""
        try:
            return self._ask(name)
        except (BrokenPipeError, EOFError, GitFailed):  # killed, or `also` was made since
            self.close()
        try:
            return self._ask(name)
        except (BrokenPipeError, EOFError) as error:
            self.close()
            raise GitFailed(("cat-file", "--batch", name), 128, str(error).encode()) from error

    def close(self) -> None:
        """Ends the process; the next question starts another."""
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()

    def _ask(self, name: str) -> tuple[str, bytes]:
        if self._talk is None:
            env = environment(self._git_dir) | {"GIT_ALTERNATE_OBJECT_DIRECTORIES": alternates(self._also)}
            argv = command(self._git_dir, ("cat-file", "--batch"))
            self._talk = process.talk(argv, env=env, cwd=self._git_dir)
        self._talk.ask(name.encode("ascii") + b"\n")
        head = self._talk.answers.readline().split()
        if len(head) == 2:
            raise GitFailed(("cat-file", "--batch"), 128, b" ".join(head))
        if len(head) != 3:
            raise EOFError("it ended without an answer")
        kind, size = head[1].decode("ascii"), int(head[2])
        body = self._talk.answers.read(size + 1)
        if len(body) != size + 1:
            raise EOFError("it ended in the middle of an answer")
        return kind, body[:-1]
