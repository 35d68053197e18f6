"""What an image installs: a wheel of this very rad-engineer, and those of what it needs, as they are pinned here."""

import base64
import hashlib
import io
import os
import platform
import re
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import rad_engineer
from rad_engineer.core.printable import plain
from rad_engineer.delivery.deploy_engine import Engine
from rad_engineer.errors import ConfigInvalid
from rad_engineer.process import capture

_DISTRIBUTION = "rad-engineer"
_MOMENT = (2020, 1, 1, 0, 0, 0)  # of every member: the same files give the same bytes
_FETCH_SECONDS = 900.0
_OLDEST_GLIBC = 17  # of manylinux tags with two numbers
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as a file is called and what is in it."""

    name: str
    data: bytes


def own_wheel(package: Path | None = None) -> Wheel:
    """The package that is running, as a wheel: from a checkout as from an installation, with nothing hidden in it."""
    folder = Path(rad_engineer.__file__).parent if package is None else package
    version = rad_engineer.__version__
    info = f"rad_engineer-{version}.dist-info"
    members = {
        f"rad_engineer/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _left_out(path.relative_to(folder))
    }
    told = metadata.distribution(_DISTRIBUTION)
    members[f"{info}/METADATA"] = re.sub(
        r"(?m)^Version: .*$", f"Version: {version}", told.read_text("METADATA") or "", count=1
    ).encode()
    members[f"{info}/entry_points.txt"] = (told.read_text("entry_points.txt") or "").encode()
    members[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: rad-engineer\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _MOMENT)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data)
    return Wheel(f"rad_engineer-{version}-py3-none-any.whl", packed.getvalue())


def _left_out(path: Path) -> bool:
    """Bytecode, and files that hide: a forgotten .env has no place in an image."""
    return path.suffix == ".pyc" or any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pins() -> dict[str, str]:
    """What rad-engineer needs, and what that needs, in the versions that are installed here."""
    found: dict[str, str] = {}
    wanted = [_DISTRIBUTION]
    while wanted:
        try:
            one = metadata.distribution(wanted.pop())
        except metadata.PackageNotFoundError:  # meant for another system or Python
            continue
        name = str(one.metadata["Name"])
        if name in found:
            continue
        found[name] = one.version
        wanted += [
            match[0]
            for text in one.requires or ()
            if "extra ==" not in text and (match := _NAME.match(text)) is not None
        ]
    del found[_DISTRIBUTION]
    return dict(sorted(found.items()))


def fetch(engine: Engine, base: str, wheel: Wheel, folder: Path, env: Mapping[str, str]) -> None:
    """Fills a folder with the wheels that a base image can install; raises ConfigInvalid where one cannot be had.

    They are fetched by the pip of this Python, which knows the user's registry and keeps its credentials out of any
    image, or by that of the base image where ours is of another kind.
    """
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="rad-wheels-") as scratch:
        constraints = Path(scratch, "constraints.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins().items()))
        own = Path(scratch, wheel.name)
        own.write_bytes(wheel.data)
        there = _platform_of(engine, base)
        if there[0] == _platform_here() and _pip_here(env):
            tags = [word for tag in _tags(*there) for word in ("--platform", tag)]
            before = [sys.executable, "-m"]
            words = ["--implementation", "cp", "--python-version", there[0][0], *tags,
                     "--dest", str(folder), "--constraint", str(constraints), str(own)]  # fmt: skip
        else:
            before = [engine.program, "run", "--rm", "--label", "rad-engineer.part=wheels",
                      "--volume", f"{folder}:/wheels", "--volume", f"{scratch}:/scratch:ro", base, "python3", "-m"]  # fmt: skip
            words = [
                "--dest",
                "/wheels",
                "--constraint",
                "/scratch/constraints.txt",
                f"/scratch/{wheel.name}",
            ]
        pip = ["pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        _ask([*before, *pip, *words], env)


def _ask(argv: Sequence[str], env: Mapping[str, str]) -> None:
    code, out, err = capture(argv, env=env, timeout=_FETCH_SECONDS)
    if code != 0:
        told = [plain(line) for line in (out + err).decode("utf-8", "replace").splitlines() if line.strip()]
        raise ConfigInvalid(
            "\n  ".join(["the wheels for the image cannot be fetched", *told[-5:]]),
            hint="see that pip reaches its registry from here: python3 -m pip download jinja2",
        )


_PROBE = "import platform as p, sys; print('%d.%d' % sys.version_info[:2], p.machine(), *p.libc_ver())"


def _platform_of(engine: Engine, base: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Python and machine, and C library and its version, of a base image."""
    words = engine.call(
        "run", "--rm", "--network", "none", "--entrypoint", "python3", base, "-c", _PROBE
    ).split()
    version, machine, library, number = [*words, "", ""][:4]
    return (version, machine), (library, number)


def _platform_here() -> tuple[str, str] | None:
    """The same of this machine; pip reads markers for the system it runs on, so another one is of no use."""
    if sys.platform != "linux":
        return None
    return "%d.%d" % sys.version_info[:2], platform.machine()  # noqa: UP031 -- as the probe writes it


def _pip_here(env: Mapping[str, str]) -> bool:
    return capture([sys.executable, "-m", "pip", "--version"], env=env, timeout=30)[0] == 0


def _tags(python: tuple[str, str], library: tuple[str, str]) -> list[str]:
    """The platforms whose wheels run there, newest first."""
    machine, (name, number) = python[1], library
    minor = number.partition(".")[2]
    if name != "glibc" or not minor.isdigit():
        return [f"musllinux_1_{minor}_{machine}" for minor in (2, 1)]
    newest = [f"manylinux_2_{minor}_{machine}" for minor in range(int(minor), _OLDEST_GLIBC - 1, -1)]
    return [*newest, f"manylinux2014_{machine}", f"linux_{machine}"]


def readable(folder: Path) -> None:
    """Lets whoever runs the build read what lies in a folder, whatever the mask of this process is."""
    for path in (folder, *folder.rglob("*")):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)  # noqa: PTH101 -- nothing here is a link
