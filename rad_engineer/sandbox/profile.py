"""What is visible in a box, as arguments for bubblewrap. No effects: what is there was looked up before.

An argument that is bytes is the content of a file; whoever starts bubblewrap puts a descriptor in its place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rad_engineer.sandbox.seam import HOME, HOST_NETWORK, Grants, Mount, Place
from rad_engineer.sandbox.toolchains import System, Toolchains

Argument = str | bytes

INNER_USER = 1000
"""As whom everything runs inside where namespaces of users are ours to make."""

_MB = 1024 * 1024
_TEMPORARY, _HOME, _SHARED = 2048 * _MB, 1024 * _MB, 512 * _MB
TEMPORARY = {"/tmp": _TEMPORARY, HOME: _HOME, "/dev/shm": _SHARED}  # noqa: S108 -- the box's own
"""Folders in memory, and how many bytes fit into them."""

CACHES = ("node_modules/.cache", "node_modules/.vite", "node_modules/.vite-temp")
"""Where tools write inside what setup made; in read-only outputs a folder in memory lies over each."""

_CACHE = 256 * _MB
KERNEL_FILES = (
    "/proc/config.gz", "/proc/kallsyms", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/kmsg",
    "/proc/modules", "/proc/sched_debug", "/proc/timer_list", "/proc/vmallocinfo",
)  # fmt: skip
"""Files of the kernel that say something about this machine or its other users; most are for root alone anyway."""

_NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_ALWAYS = ("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--hostname", "sandbox")


@dataclass(frozen=True, slots=True)
class Ground:
    """What the profile has to know of this machine and this start."""

    system: System
    toolchains: Toolchains
    kernel_files: tuple[str, ...] = ()
    """Those of KERNEL_FILES that anybody may read here."""
    caches: tuple[str, ...] = ()
    """Those of CACHES, below the slot, that are plain folders in read-only outputs."""
    as_root: bool = False
    no_new_users: bool = False
    """Whether this bubblewrap can forbid further user namespaces."""


def arguments(place: Place, grants: Grants, ground: Ground) -> list[Argument]:
    """Everything up to the command."""
    given: list[Argument] = [*_NAMESPACES, *_ALWAYS]
    given += [] if HOST_NETWORK in grants.network else ["--unshare-net"]
    if ground.as_root:
        given += [
            "--cap-drop",
            "ALL",
            *_each("--cap-add", ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_SYS_NICE")),
        ]
    else:
        user = str(INNER_USER)
        given += ["--unshare-user", "--uid", user, "--gid", user]
        given += ["--disable-userns"] if ground.no_new_users else []
    given += _system(ground)
    user_and_group = place.owner if ground.as_root and place.owner else (INNER_USER, INNER_USER)
    given += _made(user_and_group, resolver=HOST_NETWORK in grants.network)
    given += _kernel(ground)
    given += _temporary(grants, private=not ground.as_root)
    given += _mounts(_all_mounts(place, grants, ground))
    given += _read_only(place, ground)
    return [*given, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def _system(ground: Ground) -> list[Argument]:
    given: list[Argument] = []
    for folder in ground.system.folders:
        given += [*_parents(folder), "--ro-bind-try", folder, folder]
    for link, target in ground.system.links:
        given += [*_parents(link), "--symlink", target, link]
    return given


def _made(owner: tuple[int, int], *, resolver: bool) -> list[Argument]:
    """An /etc that names nobody of this machine."""
    uid, gid = owner
    passwd = f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/bash\n"
    files = {
        "passwd": f"{passwd}nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\nagent:x:{gid}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
        "hostname": "sandbox\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    given: list[Argument] = ["--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"] if resolver else []
    files |= {} if resolver else {"resolv.conf": ""}
    for name, text in files.items():
        given += ["--perms", "0444", "--file", text.encode(), f"/etc/{name}"]
    return given


def _kernel(ground: Ground) -> list[Argument]:
    given: list[Argument] = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/proc/sys", "/proc/sys"]
    for path in ground.kernel_files:
        given += ["--ro-bind", "/dev/null", path]
    return given


def _temporary(grants: Grants, *, private: bool) -> list[Argument]:
    """Folders in memory; where the files of the box belong to nobody's root, everybody has to write to them."""
    given: list[Argument] = []
    for folder, size in TEMPORARY.items():
        if folder == HOME and grants.home is not None:
            given += [*_parents(folder), "--bind", str(grants.home), folder]
            continue
        mode = "0755" if private and folder == HOME else "1777"
        given += [*_parents(folder), "--perms", mode, "--size", str(size), "--tmpfs", folder]
    return [*given, "--dir", "/run", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108 -- its own


def _all_mounts(place: Place, grants: Grants, ground: Ground) -> list[Mount]:
    """What lies within something else comes after it."""
    slot = Mount(place.slot, place.inner, writable=True)
    found = [slot, *place.mounts, *grants.read, *ground.toolchains.mounts]
    return sorted(found, key=lambda mount: mount.inner.count("/"))


def _mounts(mounts: Iterable[Mount]) -> list[Argument]:
    given: list[Argument] = []
    for mount in mounts:
        how = "--bind" if mount.writable else "--ro-bind"
        given += [*_parents(mount.inner), how, str(mount.host), mount.inner]
    return given


def _read_only(place: Place, ground: Ground) -> list[Argument]:
    """What setup made, over itself; caches in memory over what tools want to write there."""
    given: list[Argument] = []
    for path in place.read_only:
        given += ["--ro-bind", f"{place.slot}/{path}", f"{place.inner}/{path}"]
    for path in ground.caches:
        given += ["--perms", "1777", "--size", str(_CACHE), "--tmpfs", f"{place.inner}/{path}"]
    return given


def _parents(path: str) -> list[Argument]:
    """Folders above a mount: bubblewrap would make them as private as they are outside."""
    parts = path.strip("/").split("/")[:-1]
    return [
        each
        for count in range(1, len(parts) + 1)
        for each in ("--perms", "0755", "--dir", "/" + "/".join(parts[:count]))
    ]


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [each for value in values for each in (option, value)]
