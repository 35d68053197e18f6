"""The outside: somebody's home, projects and runs, a victim, and listeners; and what of it an attempt has reached."""

import os
import secrets
import select
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

from rad_engineer import git, process, sandbox
from rad_engineer.slots.pool import Pool
from tests import faulty_upstream, gateways
from tests.escapes.listeners import Listeners
from tests.escapes.victim import Victim

SECRETS = {
    "ssh": "home/.ssh/id_ed25519", "cloud": "home/.cloud/credentials", "credentials": "home/.git-credentials",
    "history": "home/.bash_history", "prompt": "run/stories/B/prompt.md",
    "neighbour": "slots/2/answer.txt", "env": "project/.env", "cwd": "private/private",
}  # fmt: skip
FILES = {
    "bashrc": "home/.bashrc", "hook": "project/.git/hooks/post-checkout", "config": "project/.git/config",
    "answer": "slots/2/answer.txt", "trusted": "slots/2.git/config", "journal": "run/journal.jsonl",
    "checkpoint": "run/stories/B/checkpoint.json", "planted": "planted", "store": "store/file",
    "made": "slots/1/node_modules/file", "input": "input", "left": "left",
}  # fmt: skip
UNKNOWN = (
    "stash",
    "blob",
    "tmp",
    "shm",
    "key",
    "token",
    "argument",
    "memory",
    "unlinked",
    "segment",
    "queue",
)


class World:
    """Everything belongs to whoever runs in the boxes, so that one defence less is enough to reach it."""

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        self.folder = folder
        self.identity = secrets.token_hex(6)
        self.owner = sandbox.owner()
        self.nonce = ""
        self.answered = False
        self.home = folder / "home"
        self.secrets = {name: secrets.token_hex(20) for name in (*SECRETS, *UNKNOWN)}
        self.slot = folder / "slots" / "1"
        self._plant()
        self.project = self._project()
        self._pristine = folder / "pristine"
        shutil.copytree(self.project, self._pristine, symlinks=True)
        self.repository = git.discover(self.project)
        self.base = git.head(self.repository)
        self.pool = Pool(self.repository, folder / "cache", "run", owner=lambda _: self.owner)
        sandbox.hand_over(folder, self.owner)
        self._before = self._users_git()
        self._listeners = Listeners(folder, folder / SECRETS["ssh"], self.identity)
        self._open.callback(self._listeners.close)
        self._gateway()
        self.victim = self._victim()
        self.terminal = -1
        self.told: dict[str, object] = {}
        self._shared = [Path(place) / f"rad-escapes-{self.identity}" for place in ("/tmp", "/dev/shm")]
        for path, name in zip(self._shared, ("tmp", "shm"), strict=True):
            path.write_text(self.secrets[name])
            path.chmod(0o666)
        self._machine()

    def _plant(self) -> None:
        for name in (*SECRETS.values(), *FILES.values()):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, path in SECRETS.items():
            (self.folder / path).write_text(self.secrets[name] + "\n")
        (self.folder / "marks").mkdir()
        self.folder.chmod(0o755)

    def _project(self) -> Path:
        """A repository with a stash, and with an object that no branch holds."""
        top = self.folder / "project"
        for name in ("config", "hooks/post-checkout"):
            (top / ".git" / name).unlink()
        self.git(top, "init", "-q", "-b", "main")
        self.git(top, "config", "user.name", "Uma User")
        self.git(top, "config", "user.email", "uma@example.org")
        (top / "README.md").write_text("read me\n")
        (top / ".gitignore").write_text(".env\n")
        self.git(top, "add", "README.md", ".gitignore")
        self.git(top, "commit", "-q", "-m", "first")
        (top / "README.md").write_text(self.secrets["stash"])
        self.git(top, "stash", "-q")
        (self.folder / "blob").write_text(self.secrets["blob"])
        self.blob = self.git(top, "hash-object", "-w", "../blob")
        (self.folder / "blob").unlink()
        return top

    @staticmethod
    def git(where: Path, *words: str, check: bool = True, **options) -> str:
        """An ordinary git, as anybody would run it."""
        env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        ran = subprocess.run(["git", "-c", "safe.directory=*", *words], cwd=where, env=env, capture_output=True,
                             stdin=subprocess.DEVNULL, check=check, **options)  # fmt: skip
        return os.fsdecode(ran.stdout).strip()

    def _gateway(self) -> None:
        seal = b"s" * 32
        self._upstream = self._open.enter_context(faulty_upstream.serve({}))
        folder = self.folder / "gateway"
        self._door = self._open.enter_context(gateways.opened(folder, self._upstream.url))
        (folder / "secret").write_bytes(seal)
        self.secrets["seal"] = seal.decode()
        self.token = self._door.door.session("B", 1)[1]
        (self.folder / "run/stories/B/token").write_text(self.token)
        sandbox.hand_over(folder, self.owner)
        folder.chmod(0o755)
        (folder / "gateway.sock").chmod(0o777)

    def _victim(self) -> Victim:
        return Victim(self.folder / "private", self.secrets, self.token, self.owner)

    def _machine(self) -> None:
        self.secrets |= {
            "hostname": os.uname().nodename,
            "program": str(self.folder / "private"),
            "account": "daemon:",
        }
        machine = Path("/etc/machine-id")
        self.secrets["machine"] = machine.read_text().strip() if machine.exists() else self.identity
        self.secrets["mark"] = os.environ.get(process.MARK, self.identity)
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        self.interface = names[0] if names else ""
        self.shadow = Path("/etc/shadow").stat().st_ino
        disks = [Path("/dev") / path.name for path in Path("/sys/block").iterdir()]
        self._disk = next((str(path) for path in disks if path.exists()), "/dev/none")

    def tell(self, store: str) -> dict[str, object]:
        """What the next attempt knows: a new word, and where everything is."""
        self.nonce = secrets.token_hex(12)
        self.answered = False
        self._heard = b""
        if self.victim.touched():
            self.victim.close()
            self.victim = self._victim()
        paths = {name: str(self.folder / path) for name, path in FILES.items()}
        folders = {name: str(self.folder / name) for name in ("home", "run", "gateway", "project", "marks")}
        self.told = {
            **paths, **folders, **self._listeners.told, **self.victim.told, "nonce": self.nonce, "id": self.identity,
            "other": str(self.folder / "slots" / "2"), "slot": str(self.slot), "up": "../..", "depth": 30,
            "store_inside": store, "blob": self.blob, "private": str(self.folder / SECRETS["cwd"]), "disk": self._disk,
            "door": int(self._door.door.base_url.rpartition(":")[2]), "token": self.token,
        }  # fmt: skip
        return self.told

    def listen(self) -> bytes:
        """What was said since the word is known to any listener, and what reached the upstream of the gateway."""
        asked, self._upstream.seen[:] = b"".join(body for *_, body in self._upstream.seen), []
        self._heard += self._listeners.heard() + asked
        return self._heard

    def holds(self, name: str, word: str) -> bool:
        """Whether a file outside has the word in it; it is taken away again."""
        path = self.folder / FILES[name]
        try:
            text = path.read_text()
        except OSError:
            return False
        if word in text:
            path.write_text(text.replace(word, ""))
        return word in text

    def shared(self, place: str) -> str:
        return (Path(place) / f"rad-escapes-{self.identity}").read_text()

    def branch(self, name: str) -> bool:
        found = name in self.git(self.project, "branch", "--list", name)
        if found:
            self.git(self.project, "branch", "-D", name)
        return found

    def call_in(self) -> None:
        """Connects to where somebody says that they listen."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.told["free"]), 2) as asking:
            self.answered = asking.recv(99) == self.nonce.encode()

    def typed(self) -> bool:
        """Whether the word waits at the terminal, as if somebody had typed it."""
        ready = select.select([self.terminal], [], [], 0)[0]
        return bool(ready) and self.nonce.encode() in os.read(self.terminal, 4096)

    def survivors(self) -> list[int]:
        """Processes that have the word on their command line; they are ended."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and self.nonce.encode() in (entry / "cmdline").read_bytes().split(
                    b"\0"
                ):
                    found.append(int(entry.name))
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        return found

    def _users_git(self) -> tuple[str, ...]:
        common = self.project / ".git"
        listed = [str(path) for path in sorted(common.rglob("*")) if "objects" not in path.parts]
        refs = self.git(self.project, "for-each-ref", "refs/heads", "refs/stash", check=False)
        readme = (self.project / "README.md").read_text() if (self.project / "README.md").exists() else ""
        return (refs, (common / "config").read_text(), readme, *listed)

    def restore(self) -> None:
        """The user's repository as it was in the beginning."""
        shutil.rmtree(self.project)
        shutil.copytree(self._pristine, self.project, symlinks=True)
        sandbox.hand_over(self.project, self.owner)

    def remember(self) -> None:
        """How the user's repository is now."""
        self._before = self._users_git()

    def harmed(self) -> bool:
        """Whether a trap has run, or anything of the user's is not as it was."""
        return (self.folder / "marks" / self.nonce).exists() or self._users_git() != self._before

    def close(self) -> None:
        self.victim.close()
        self._open.close()
        for path in self._shared:
            path.unlink(missing_ok=True)
