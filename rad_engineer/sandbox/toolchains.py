"""What of this machine is seen in a box: the system, and the toolchains that PATH leads to, never a home folder.

Every entry of PATH is resolved. What lies below /usr is there anyway; what lies in a known root (pyenv, nvm, cargo,
uv, a venv …) brings that root along, and any other folder brings itself. A home folder, or what is above one, is
never shown; what that leaves out is told.
"""

import fnmatch
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from rad_engineer.sandbox.seam import Mount

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives", "ca-certificates", "chromium*", "crypto-policies", "dotnet", "fonts", "java*", "jvm*",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "maven*", "mime.types", "os-release", "perl",
    "protocols", "python3*", "services", "terminfo",
)  # fmt: skip
_ETC_BELOW = (
    "ssl/certs",
    "ssl/openssl.cnf",
    "ssl/cert.pem",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/cert.pem",
)
"""Beside them lie private keys."""

_ROOTS = (  # variable, where it is below the home folder, what of it is shown
    ("PYENV_ROOT", ".pyenv", ("",)),
    ("NVM_DIR", ".nvm", ("",)),
    ("CARGO_HOME", ".cargo", ("bin",)),  # beside it lie tokens
    ("RUSTUP_HOME", ".rustup", ("",)),
    ("", ".local/share/uv", ("python", "tools")),
    ("", ".local/share/pipx", ("venvs",)),
    ("", ".local/pipx", ("venvs",)),
    ("", ".local/share/mise", ("installs", "shims")),
    ("", ".local/share/fnm", ("",)),
    ("", ".local/share/pnpm", ("",)),
    ("VOLTA_HOME", ".volta", ("bin", "tools")),
    ("ASDF_DATA_DIR", ".asdf", ("",)),
    ("RBENV_ROOT", ".rbenv", ("",)),
    ("NODENV_ROOT", ".nodenv", ("",)),
    ("GOENV_ROOT", ".goenv", ("",)),
    ("JENV_ROOT", ".jenv", ("",)),
    ("SDKMAN_DIR", ".sdkman", ("candidates",)),
    ("BUN_INSTALL", ".bun", ("bin",)),
    ("DENO_INSTALL", ".deno", ("bin",)),
    ("GOPATH", "go", ("bin",)),
    ("JAVA_HOME", "", ("",)),
    ("GOROOT", "", ("",)),
)
_TOGETHER = {".cargo": "RUSTUP_HOME"}  # what is in the one is a front of what is in the other
_STORES = ("/nix/store", "/gnu/store", "/home/linuxbrew/.linuxbrew")
_TOPS = ("/opt", "/snap")  # each folder below is a root
_MOST_LINKS = 2000


@dataclass(frozen=True, slots=True)
class System:
    """The parts of the machine itself that are seen: (where, link target) and folders or files bound read-only."""

    links: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Toolchains:
    """The search path inside, what has to be bound for it, variables that name it, and what stays out of sight."""

    path: str
    mounts: tuple[Mount, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def system() -> System:
    """What there is of it here."""
    links: list[tuple[str, str]] = []
    folders = ["/usr"]
    for path in (f"/{name}" for name in _MERGED):
        if os.path.islink(path):  # noqa: PTH114 -- strings throughout
            links.append((path, os.readlink(path)))  # noqa: PTH115
        elif os.path.isdir(path):  # noqa: PTH112
            folders.append(path)
    with os.scandir("/etc") as entries:
        names = sorted(entry.name for entry in entries)
    shown = [f"/etc/{name}" for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in _ETC)]
    for path in (*shown, *(f"/etc/{name}" for name in _ETC_BELOW)):
        real = os.path.realpath(path)
        if os.path.islink(path) and in_system(real):  # noqa: PTH114
            links.append((path, real))
        elif os.access(path, os.R_OK):
            folders.append(path)
    return System(tuple(links), tuple(folders))


def resolve(env: Mapping[str, str]) -> Toolchains:
    """The toolchains of whoever has this environment, and the Python that runs us."""
    home = os.path.realpath(env.get("HOME") or "/nonexistent")
    return _resolve(env.get("PATH", os.defpath), home, tuple(sorted(_variables(env))))


def _variables(env: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((name, env[name]) for name, _, _ in _ROOTS if name and env.get(name, "").startswith("/"))


@lru_cache(maxsize=8)
def _resolve(path: str, home: str, variables: tuple[tuple[str, str], ...]) -> Toolchains:
    variables_by_name = dict(variables)
    search = _Search(home, variables_by_name)
    entries = [
        entry
        for entry in dict.fromkeys(path.split(os.pathsep))
        if entry.startswith("/") and Path(entry).is_dir() and search.shows(entry)
    ]
    for name in ("JAVA_HOME", "GOROOT"):
        if name in variables_by_name:
            search.shows_named(name, variables_by_name[name])
    search.shows_prefix(sys.base_prefix)
    search.follow(os.path.realpath(sys.executable))
    return Toolchains(os.pathsep.join(entries), search.mounts(), search.named(), tuple(sorted(search.unseen)))


class _Search:
    """From folders with programs to the roots that these programs need."""

    def __init__(self, home: str, variables: Mapping[str, str]) -> None:
        self._home = home
        self._roots = {
            os.path.realpath(place): (name, default, parts)
            for name, default, parts in _ROOTS
            if (place := variables.get(name) or (default and f"{home}/{default}"))
            and not self._is_private(os.path.realpath(place))
        }
        self._shown: dict[str, str] = {}  # inner path -> path on the host
        self._named: dict[str, str] = {}
        self.unseen: set[str] = set()

    def shows(self, entry: str) -> bool:
        """Makes a folder of PATH and what its programs are links to visible, under the name that PATH has for it."""
        real = os.path.realpath(entry)
        if not in_system(real) and not self._shows_root(real):
            if self._is_private(real):
                self.unseen.add(entry)
                return False
            self._shown[real] = real
        if not in_system(entry) and entry != real:
            if self._is_private(entry):
                self.unseen.add(entry)
                return False
            self._shown.setdefault(entry, real)
        if not real.startswith(("/usr/bin", "/usr/sbin", "/usr/lib")):
            self._follow_links(real)
        return True

    def shows_prefix(self, prefix: str) -> None:
        """Makes a Python installation visible."""
        real = os.path.realpath(prefix)
        if not in_system(real) and not self._shows_root(real) and not self._is_private(real):
            self._shown[real] = real
        if not in_system(prefix) and prefix != real and not self._is_private(prefix):
            self._shown.setdefault(prefix, real)

    def shows_named(self, name: str, place: str) -> None:
        """Makes what a variable names visible, with the variable; tools that ask for it do not look at PATH."""
        real = os.path.realpath(place)
        if in_system(real) or (not self._is_private(real) and self._shows_root(real)):
            self._named[name] = real

    def follow(self, real: str) -> None:
        """Makes the root visible that a program lies in."""
        if not in_system(real) and not self._is_shown(real):
            self._shows_root(os.path.dirname(real))  # noqa: PTH120 -- strings throughout

    def mounts(self) -> tuple[Mount, ...]:
        """What has to be bound, nothing twice."""
        found = dict(sorted(self._shown.items()))
        return tuple(
            Mount(Path(host), inner)
            for inner, host in found.items()
            if not any(
                inner.startswith(f"{other}/") and host == found[other] + inner[len(other) :]
                for other in found
            )
        )

    def named(self) -> dict[str, str]:
        """The variables by which tools find what is not below the home folder inside."""
        return dict(sorted(self._named.items()))

    def _shows_root(self, folder: str) -> bool:
        """Whether the folder lies in a known root, which is visible then."""
        for root, (name, default, parts) in self._roots.items():
            for part in parts:
                top = f"{root}/{part}".rstrip("/")
                if folder == top or folder.startswith(f"{top}/"):
                    self._add_root(root, name, parts)
                    if default in _TOGETHER:
                        self._add_named(_TOGETHER[default])
                    return True
        for store in _STORES:
            if folder.startswith(f"{store}/"):
                self._shown[store] = store
                return True
        for top in _TOPS:
            if folder.startswith(f"{top}/"):
                first = "/".join(folder.split("/")[:3])
                self._shown[first] = first
                return True
        return self._shows_environment(folder)

    def _shows_environment(self, folder: str) -> bool:
        """A venv with the Python that it stands on, or a conda environment."""
        prefix = os.path.dirname(folder)  # noqa: PTH120
        if self._is_private(prefix):
            return False
        settings = Path(prefix, "pyvenv.cfg")
        if settings.is_file():
            self._shown[prefix] = prefix
            stands_on = _home_of(settings)
            if stands_on:
                self.shows_prefix(os.path.dirname(stands_on))  # noqa: PTH120
            return True
        if Path(prefix, "conda-meta").is_dir():
            self._shown[prefix] = prefix
            return True
        return False

    def _add_root(self, root: str, name: str, parts: tuple[str, ...]) -> None:
        for part in parts:
            path = f"{root}/{part}".rstrip("/")
            if Path(path).is_dir() and not self._is_private(path):
                self._shown[path] = path
        if name and name != "CARGO_HOME" and parts == ("",):  # cargo writes there: inside it has its own
            self._named[name] = root

    def _add_named(self, wanted: str) -> None:
        for root, (name, _, parts) in self._roots.items():
            if name == wanted:
                self._add_root(root, name, parts)

    def _follow_links(self, folder: str) -> None:
        with os.scandir(folder) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
        for link in links[:_MOST_LINKS]:
            self.follow(os.path.realpath(link))

    def _is_private(self, path: str) -> bool:
        return is_private(path, self._home)

    def _is_shown(self, path: str) -> bool:
        return any(path.startswith(f"{shown}/") for shown in self._shown)


def in_system(path: str) -> bool:
    """Whether it lies where the system's own programs are, which every box shows."""
    return path == "/usr" or path.startswith(("/usr/", *(f"/{name}/" for name in _MERGED))) or (
        path.lstrip("/") in _MERGED
    )  # fmt: skip


def is_private(path: str, home: str) -> bool:
    """A home folder, or something that has one in it."""
    others = path == "/root" or path.rpartition("/")[0] == "/home"
    return others or path in ("/", home) or home.startswith(f"{path}/")


def _home_of(settings: Path) -> str:
    for line in settings.read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            return os.path.realpath(value.strip())
    return ""
