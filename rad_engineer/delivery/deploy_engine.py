"""The container engine of this machine: found, asked, and told what to do by its own command line."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rad_engineer.core.printable import plain
from rad_engineer.errors import ConfigInvalid, RadError
from rad_engineer.process import capture

ENGINES = ("docker", "podman")
DEPLOYMENT = "rad-engineer.deployment"
"""The label of everything that belongs to a deployment; its value is the deployment's name."""
GENERATION = "rad-engineer.generation"
PART = "rad-engineer.part"
IMAGE = "rad-engineer.image"
"""The label of every image that a build of ours leaves behind."""
_ANSWER_SECONDS = 20.0
_ACT_SECONDS = 300.0
_LAST_LINES = 15


class EngineFailed(RadError):
    """The engine refused or failed; its own words are in the message."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers, and the compose that goes with it."""

    name: str  # OrbStack, Docker or Podman
    program: str
    version: str
    compose: tuple[str, ...]
    compose_version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}, compose {self.compose_version}"

    def try_call(self, *arguments: str, seconds: float = _ACT_SECONDS) -> tuple[int, str, str]:
        """Runs one of its commands: exit code, standard output, standard error."""
        return _run([self.program, *arguments], os.environ, seconds)

    def call(self, *arguments: str, seconds: float = _ACT_SECONDS) -> str:
        """Runs one of its commands and returns what it printed; raises EngineFailed."""
        code, out, err = self.try_call(*arguments, seconds=seconds)
        if code != 0:
            raise _failed([self.program, *arguments], code, out, err)
        return out

    def composed(self, project: str, file: str, variables: Mapping[str, str], *arguments: str) -> str:
        """Runs compose on a project; raises EngineFailed."""
        argv = [*self.compose, "-p", project, "-f", file, *arguments]
        code, out, err = _run(argv, {**os.environ, **variables}, _ACT_SECONDS)
        if code != 0:
            raise _failed(argv, code, out, err)
        return out

    def ids(self, kind: str, *filters: str) -> list[str]:
        """Names or ids of what carries these labels; `kind` is container, image, network or volume."""
        argv = {
            "container": ["ps", "--all", "--quiet", "--no-trunc"],
            "image": ["images", "--all", "--quiet", "--no-trunc"],
            "network": ["network", "ls", "--quiet", "--no-trunc"],
            "volume": ["volume", "ls", "--quiet"],
        }[kind]
        wanted = [word for label in filters for word in ("--filter", f"label={label}")]
        return list(dict.fromkeys(self.call(*argv, *wanted).split()))

    def has_image(self, name: str) -> bool:
        """Whether an image is here; nothing is pulled to find out."""
        return self.try_call("image", "inspect", name, seconds=_ANSWER_SECONDS)[0] == 0

    def image_id(self, name: str) -> str:
        """The id of an image that is here; raises EngineFailed where it is not."""
        return str(self.inspect("image", name)["Id"])

    def inspect(self, kind: str, name: str) -> dict[str, object]:
        """What the engine knows of one of its things; raises EngineFailed where there is none of that name."""
        found = json.loads(self.call(kind, "inspect", name))
        return dict(found[0]) if found else {}


def detect(env: Mapping[str, str], wanted: str = "") -> Engine:
    """The engine to use: the one asked for, else Docker (OrbStack is one) where it answers, else Podman.

    Raises ConfigInvalid, saying of each program why it does not do.
    """
    reasons = []
    for program in [wanted] if wanted else ENGINES:
        path = shutil.which(program, path=env.get("PATH"))
        if path is None:
            reasons.append(f"{program}: not installed")
            continue
        name, version, why = _looked_at(path, env)
        if why:
            reasons.append(f"{program}: {why}")
            continue
        for compose in _composes(path, name, env):
            code, out, _ = _run([*compose, "version", "--short"], env, _ANSWER_SECONDS)
            if code == 0:
                return Engine(name, path, version, compose, out.strip().lstrip("v") or "unknown")
        reasons.append(f"{program}: no compose beside it")
    raise ConfigInvalid(
        "no container engine can be used; " + "; ".join(reasons),
        hint="install one with compose, e.g. `sudo apt-get install docker.io docker-compose`, start it, "
        "and see that `docker info` works for you",
    )


def _looked_at(path: str, env: Mapping[str, str]) -> tuple[str, str, str]:
    """Name and version of the engine behind a program, and why it cannot be used, if so."""
    _, told, _ = _run([path, "--version"], env, _ANSWER_SECONDS)
    if "podman" in told.lower():  # some systems call it docker
        code, out, err = _run([path, "version", "--format", "{{.Client.Version}}"], env, _ANSWER_SECONDS)
        return ("Podman", out.strip(), "" if code == 0 else _why(err))
    code, out, err = _run(
        [path, "info", "--format", "{{.ServerVersion}} {{.OperatingSystem}}"], env, _ANSWER_SECONDS
    )
    version, _, system = out.strip().partition(" ")
    if code != 0 or not version:
        return ("Docker", "", _why(err) or "the engine does not answer")
    return ("OrbStack" if "orbstack" in system.lower() else "Docker", version, "")


def _composes(path: str, name: str, env: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    yield (path, "compose")
    for program in ("podman-compose",) if name == "Podman" else ("docker-compose",):
        found = shutil.which(program, path=env.get("PATH"))
        if found is not None:
            yield (found,)


def _run(argv: Sequence[str], env: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    code, out, err = capture(argv, env=env, timeout=seconds)
    return code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def _why(err: str) -> str:
    lines = [line for line in err.strip().splitlines() if line.strip()]
    return plain(lines[-1]) if lines else ""


def _failed(argv: Sequence[str], code: int, out: str, err: str) -> EngineFailed:
    told = [plain(line) for line in (out + err).splitlines() if line.strip()][-_LAST_LINES:]
    return EngineFailed("\n  ".join([f"`{' '.join(argv)}` ended with {code}", *told]))
