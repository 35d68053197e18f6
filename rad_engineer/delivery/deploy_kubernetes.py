"""The service as manifests for a cluster: a file each, made from templates whose blanks are checked first."""

import re
from pathlib import Path
from string import Template

from rad_engineer import durable
from rad_engineer.delivery.deploy_image import FILES
from rad_engineer.errors import UsageError

KINDS = ("persistentvolumeclaim", "deployment", "service")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(@sha256:[0-9a-f]{64})?")


def manifests(name: str, image: str) -> dict[str, str]:
    """File names and texts; raises UsageError where a blank would not be filled with what it is for."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r} is no name for a cluster", hint="small letters, digits and -, at most 53"
        )
    if not _IMAGE.fullmatch(image) or not _is_fixed(image):
        raise UsageError(
            f"--image {image!r} does not name one image for good",
            hint="push it to the registry of the cluster, then e.g. --image registry.example.org/rad-engineer:1.2.0",
        )
    blanks = {"name": name, "image": image}
    return {
        f"{kind}.yaml": Template((FILES / "kubernetes" / f"{kind}.yaml").read_text("utf-8")).substitute(
            blanks
        )
        for kind in KINDS
    }


def _is_fixed(image: str) -> bool:
    """Whether it has a digest or a tag that is not the newest one, whichever that is."""
    if "@" in image:
        return True
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag not in ("", "latest")


def write(folder: Path, files: dict[str, str]) -> list[Path]:
    """Writes them into a folder, and over nothing that was changed there by hand."""
    for name, text in files.items():
        path = folder / name
        if path.exists() and path.read_text("utf-8", "replace") != text:
            raise UsageError(
                f"{path} is there already and says something else", hint="name another folder with --out"
            )
    with durable.writing(folder, of_run=False):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        durable.export(folder / name, text.encode())
    return [folder / name for name in files]


def secret_hint(name: str) -> str:
    """How the secret that the manifests refer to is made; it is in no file."""
    return (
        "the token is a secret of the cluster, which no file has; make it once:\n"
        f"  kubectl create secret generic {name}-token --from-file=token=FILE"
    )
