"""Plays attempts and says which have succeeded: a line of JSON for each of them and each level.

    python -m tests.escapes.play FOLDER LEVEL[,LEVEL…] [all]

`all` has the ones that take long as well. The levels are those of the product; `without` is a box that lacks the one
defence that an attempt names.
"""

import fcntl
import json
import os
import pty
import shutil
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from rad_engineer import process, sandbox
from rad_engineer.process import Limits
from rad_engineer.sandbox import Box, Mount, Place
from rad_engineer.slots.pool import Slot
from tests.escapes import Attempt
from tests.escapes.boxes import INNER, WITHOUT, environment, weakened, whole
from tests.escapes.exhaustion import GLUTS, Glut
from tests.escapes.files import ENVIRONMENT, SECRETS, WRITES
from tests.escapes.host_git import HOST_GIT
from tests.escapes.kernel import KERNEL
from tests.escapes.network import NETWORK, TOKENS
from tests.escapes.processes import EXECUTOR, LOOKS, STEERS, SURVIVORS
from tests.escapes.world import World

TABLES: dict[str, list[Attempt]] = {
    "reading": SECRETS, "writing": WRITES, "environment": ENVIRONMENT, "processes": LOOKS + STEERS,
    "the executor": EXECUTOR, "outliving": SURVIVORS, "network": NETWORK, "tokens": TOKENS, "kernel": KERNEL,
    "git outside": HOST_GIT,
}  # fmt: skip
GIT = "git outside"
APART = ("reading", "writing", "environment", "network", "tokens")
"""Where one that succeeds leaves the others alone."""
SLOTS = count(1)
PRELUDE = Path(__file__).with_name("prelude.py").read_text()
MANY = Path(__file__).with_name("many.py").read_text()
LIMITS = Limits(seconds=20, grace=0.5)
ORDINARY = (
    "status", "add -A", "commit -q -m x", "diff HEAD~1", "log -p -1", "fetch -q --all", "submodule update -q",
    "cat-file -p :promised",
)  # fmt: skip


def attempts() -> list[Attempt]:
    """All of those that somebody who has started as we have could do without a sandbox."""
    started = "root" if os.geteuid() == 0 else "user"
    found = [replace(each, kind=kind) for kind, table in TABLES.items() for each in table]
    return [each for each in found if each.only in ("", started)]


class Player:
    """One box, and one attempt in it after the other."""

    def __init__(self, world: World, level: str, without: str = "") -> None:
        self.world = world
        self.level = level
        self.without = without
        self._terminal = pty.openpty()
        tty.setraw(self._terminal[1])
        world.terminal = self._terminal[1]
        self._left = [os.open(world.folder / "left", os.O_RDWR), os.open(world.home, os.O_RDONLY)]
        self._leave_open()
        self.box = self._open()

    def _open(self) -> Box:
        if self.without in WITHOUT:
            return weakened(self.world, self.without)
        return whole(self.world, self.level)  # type: ignore[arg-type]

    def _leave_open(self) -> None:
        """Somebody has forgotten to close these."""
        for descriptor in self._left:
            os.set_inheritable(descriptor, True)

    def close(self) -> None:
        self.box.close()
        for descriptor in (*self._left, *self._terminal):
            os.close(descriptor)

    def play(self, attempt: Attempt) -> tuple[bool, str]:
        """Whether it has succeeded, and what it said."""
        world = self.world
        told = world.tell(self._store())
        self._leave_open()
        output = self._run(attempt, told)
        if attempt.after:
            self.box.close()
        succeeded = attempt.seen(world, output)
        if attempt.after:
            self.box = self._open()
        self._clear()
        return succeeded, output

    def play_many(self, chosen: list[Attempt]) -> list[tuple[Attempt, tuple[bool, str]]]:
        """All with one word, in one command: so none may disturb the others, which none does that fails."""
        told = self.world.tell(self._store())
        self._leave_open()
        given = {"told": told, "prelude": PRELUDE, "scripts": [(each.name, each.script) for each in chosen]}
        bare = self.level == "off"
        env = environment(self.world) if bare else sandbox.environment(environment(self.world), {})
        done = self.box.run(
            [*python(), MANY], cwd=self.world.slot, env=env, stdin=json.dumps(given).encode(), limits=LIMITS
        )
        said = dict(json.loads(line) for line in done.output.splitlines() if line.startswith("["))
        assert len(said) == len(chosen), done
        found = [(each, (each.seen(self.world, said[each.name]), said[each.name])) for each in chosen]
        self._clear()
        return found

    def _store(self) -> str:
        return self.box.inside(self.world.folder / "store")

    def _run(self, attempt: Attempt, told: dict[str, object]) -> str:
        program = [*python(), f"{PRELUDE}\n{attempt.script}", json.dumps(told)]
        users = environment(self.world)
        bare = self.level == "off" or self.without == "environment"
        env = users if bare else sandbox.environment(users, {})
        if attempt.terminal or self.without == "input":
            return self._spawn(program, env, self._terminal[1] if attempt.terminal else None)
        stdin = self.world.folder / "input" if attempt.stopped_by == "input" else None
        done = self.box.run(program, cwd=self.world.slot, env=env, stdin=stdin, limits=LIMITS, keep=attempt.after,
                            on_line=lambda line: self._said(attempt, line))  # fmt: skip
        return done.output

    def _said(self, attempt: Attempt, line: str) -> None:
        if attempt.meanwhile is not None and line.strip() == "READY":
            attempt.meanwhile(self.world)

    def _spawn(self, program: list[str], env: dict[str, str], terminal: int | None) -> str:
        """With a descriptor of the host as its input."""
        given = os.open(self.world.folder / "input", os.O_RDONLY) if terminal is None else os.dup(terminal)
        out = os.memfd_create("out")
        for descriptor in (given, out):
            fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        started = self.box.spawn(program, self.world.slot, env, (given, out, out))
        started.wait()
        output = os.pread(out, 1 << 16, 0).decode("utf-8", "replace")
        os.close(given)
        os.close(out)
        return output

    def _clear(self) -> None:
        """What lies in the slot, but for what setup has made."""
        for path in self.world.slot.iterdir():
            if path.name == "node_modules":
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        made = self.world.slot / "node_modules"
        for path in made.iterdir():
            if path.name != "file":
                path.replace(made / "file")

    def use_up(self, glut: Glut) -> tuple[bool, str]:
        """The same for one that uses something up."""
        told = self.world.tell("/store")
        program = [*python(), f"{PRELUDE}\n{glut.script}", json.dumps(told)]
        env = sandbox.environment(environment(self.world), {})
        limits = Limits() if self.without else glut.limits
        done = self.box.run(program, cwd=self.world.slot, env=env, limits=limits)
        self._clear()
        return done.reason == "exited" and "KEPT" in done.output, f"{done.reason} {done.output[-300:]}"


def python() -> list[str]:
    return ["/usr/bin/python3", "-I", "-S", "-c"]


def play_git(world: World, level: str, attempt: Attempt, *, ordinary: bool) -> tuple[bool, str]:
    """Something is planted inside; then the work is taken out, as we do it or as git does it by itself."""
    number = next(SLOTS)
    slot = world.pool.slot("slot", number)
    base = world.base
    world.pool.move(slot, base, base)
    told = {**world.tell(""), "slot": str(slot.path)}
    objects = world.pool.store.objects
    place = Place(slot.path, INNER, (Mount(objects, str(objects)),), (), world.owner)
    with sandbox.open_box(level, place) as box:  # type: ignore[arg-type]
        done = box.run([*python(), f"{PRELUDE}\n{attempt.script}", json.dumps(told)], cwd=slot.path,
                       env=sandbox.environment(environment(world), {}), limits=LIMITS)  # fmt: skip
    world.remember()
    if ordinary:
        harmed = taken_by_git(world, slot) or attempt.seen(world, "")
        world.restore()
    else:
        staged = world.pool.stage(slot, base, world.folder / f"quarantine-{number}")
        lost = not (staged.problem or ("M", "README.md") in staged.changed)
        harmed = lost or "stolen" in staged.paths or attempt.seen(world, "")
    world.pool.remove(slot)
    return harmed, done.output


def taken_by_git(world: World, slot: Slot) -> bool:
    """Whether git has hung, has not taken the work, or has taken what it must not."""
    import subprocess  # noqa: PLC0415

    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in ORDINARY:
        try:
            world.git(slot.path, *who, *words.split(), check=False, timeout=3)
        except subprocess.TimeoutExpired:
            return True
        if words.startswith("commit"):
            asked = ("show", "--no-textconv", "--no-ext-diff", "--name-status", "--format=")
            taken = world.git(slot.path, *asked, check=False)
            if "stolen" in taken or "M\tREADME.md" not in taken:
                return True
    return False


def play(world: World, levels: list[str], *, everything: bool) -> Iterator[dict[str, object]]:
    """Every attempt at every level, and where nothing else shows it, in a box without the defence that stops it."""
    plain = [each for each in attempts() if each.kind != GIT]
    planted = [each for each in attempts() if each.kind == GIT]
    shown: set[str] = set()
    for level in levels:
        player = Player(world, level)
        for attempt in plain:
            yield told(level, attempt.kind, attempt.name, player.play(attempt), shown)
        if everything:
            for glut in GLUTS:
                yield told(level, "using up", glut.name, player.use_up(glut), shown)
        player.close()
        for attempt in planted:
            yield told(level, GIT, attempt.name, play_git(world, level, attempt, ordinary=False), shown)
    yield from play_without(world, plain, planted, shown, everything=everything)


def play_quickly(world: World, levels: list[str]) -> Iterator[dict[str, object]]:
    """Every attempt at every level, as many as can be in one command."""
    plain = [each for each in attempts() if each.kind != GIT]
    alone = [
        each for each in plain
        if each.meanwhile or each.terminal or each.after or each.stopped_by in ("input", "dumpable")
    ]  # fmt: skip
    for level in levels:
        player = Player(world, level)
        for kind in TABLES if level != "off" else APART:
            many = [each for each in plain if each.kind == kind and each not in alone]
            for attempt, result in player.play_many(many) if many else ():
                yield told(level, kind, attempt.name, result, set())
        for attempt in alone if level != "off" else ():
            yield told(level, attempt.kind, attempt.name, player.play(attempt), set())
        player.close()
        for attempt in attempts() if level != "off" else ():
            if attempt.kind == GIT:
                yield told(level, GIT, attempt.name, play_git(world, level, attempt, ordinary=False), set())


def play_without(
    world: World, plain: list[Attempt], planted: list[Attempt], shown: set[str], *, everything: bool
) -> Iterator[dict[str, object]]:
    """All that no level has shown, each in a box that lacks one defence; all of them in a campaign."""
    for without in WITHOUT:
        mine = [
            each for each in plain if each.stopped_by == without and (everything or each.name not in shown)
        ]
        if not mine:
            continue
        player = Player(world, "bubblewrap", without)
        for attempt in mine:
            yield told("without", attempt.kind, attempt.name, player.play(attempt), shown)
        player.close()
    for attempt in planted:
        result = play_git(world, "bubblewrap", attempt, ordinary=True)
        yield told("without", GIT, attempt.name, result, shown)
    if everything:
        player = Player(world, "bubblewrap", "limits")
        for glut in GLUTS:
            yield told("without", "using up", glut.name, player.use_up(glut), shown)
        player.close()


def told(level: str, kind: str, name: str, result: tuple[bool, str], shown: set[str]) -> dict[str, object]:
    succeeded, output = result
    if succeeded and level in ("off", "without"):
        shown.add(name)
    return {"level": level, "kind": kind, "name": name, "succeeded": succeeded, "output": output[-600:]}


def main() -> None:
    process.become_subreaper()
    world = World(Path(sys.argv[1]))
    try:
        levels = sys.argv[2].split(",")
        lines = play(world, levels, everything=True) if "all" in sys.argv[3:] else play_quickly(world, levels)
        for line in lines:
            print(json.dumps(line), flush=True)
    finally:
        world.close()


if __name__ == "__main__":
    main()
