"""The image of a deployment: named by what goes into it, and built only where no image has that name."""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.delivery import deploy_wheels
from rad_engineer.delivery.deploy_engine import Engine, EngineFailed
from rad_engineer.errors import ConfigInvalid

FILES = Path(__file__).parent / "container"
REPOSITORY = "localhost/rad-engineer"
"""With a host in front: an image of this name is never looked for in a public registry."""
_BUILD_SECONDS = 1800.0
_PULL_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be built: its name says what is in it."""

    name: str
    base: str
    wheel: deploy_wheels.Wheel


def default_base() -> str:
    """The base image whose Python is the one that runs here."""
    return f"python:{sys.version_info.major}.{sys.version_info.minor}-slim-bookworm"


def planned(engine: Engine, base: str, *, pull: bool) -> Image:
    """The image of the rad-engineer that is running, on a base image that is here or, with `pull`, is fetched."""
    if not engine.has_image(base):
        if not pull:
            raise ConfigInvalid(
                f"the base image {base} is not here",
                hint=f"fetch it: {engine.program} pull {base}, or name another one with --base",
            )
        try:
            engine.call("pull", base, seconds=_PULL_SECONDS)
        except EngineFailed as error:
            raise ConfigInvalid(str(error), hint="name a base image that is here with --base") from error
    wheel = deploy_wheels.own_wheel()
    sha = hashlib.sha256()
    pins = "".join(f"{name}=={version}\n" for name, version in deploy_wheels.pins().items())
    for part in (_dockerfile(), wheel.data, pins.encode(), base.encode(), engine.image_id(base).encode()):
        sha.update(len(part).to_bytes(8, "big") + part)
    return Image(f"{REPOSITORY}:{sha.hexdigest()[:16]}", base, wheel)


def build(engine: Engine, image: Image, context: Path, env: Mapping[str, str]) -> None:
    """Builds it without a network from wheels that are fetched first; raises EngineFailed or ConfigInvalid."""
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True, mode=0o700)
    try:
        needed, own = context / "wheels" / "needed", context / "wheels" / "own"
        deploy_wheels.fetch(engine, image.base, image.wheel, needed, env)
        own.mkdir()
        (needed / image.wheel.name).rename(own / image.wheel.name)
        (context / "Dockerfile").write_bytes(_dockerfile())
        deploy_wheels.readable(context / "wheels")
        engine.call("build", "--network", "none", "--build-arg", f"BASE={image.base}", "--tag", image.name,
                    str(context), seconds=_BUILD_SECONDS)  # fmt: skip
    finally:
        shutil.rmtree(context, ignore_errors=True)


def _dockerfile() -> bytes:
    return (FILES / "Dockerfile").read_bytes()
