"""The readiness certificate: which smoke tests passed, of which build, by whom; and what became of it since.

It proves that whoever holds this key says so of these bytes of this installation. It does not prove that a model would
have answered, that a project is any good, or that the machine is as it was.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import rad_engineer
from rad_engineer import durable, sandbox
from rad_engineer.delivery import prerequisites, signing, smoke
from rad_engineer.errors import NoInput, RadError

KIND = "rad-engineer readiness certificate"
_SCHEMA = 1
_FORM = {"algorithm": "ssh-ed25519", "namespace": signing.NAMESPACE}
_PASSED = "ALL PASS"
_DAY = 86_400
_LARGEST = 1_000_000
_LEFT_OUT = frozenset({"__pycache__"})

Answer = Literal["valid", "changed", "unsigned", "unknown signer", "another version", "too old", "not passed"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a certificate is worth, in a word and in a sentence."""

    answer: Answer
    why: str

    @property
    def good(self) -> bool:
        """Whether it can be relied on."""
        return self.answer == "valid"


def make(results: Sequence[smoke.Result], env: Mapping[str, str]) -> bytes:
    """A certificate of these results, signed where that is possible here."""
    body = {
        "kind": KIND,
        "result": _PASSED if smoke.passed(list(results)) else f"NOT {_PASSED}",
        "agent": smoke.AGENT,
        "checks": [result.to_json() for result in results],
        "seconds": round(sum(result.seconds for result in results), 1),
        "made_at": int(time.time()),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "installed": installed(),
        "system": _system(),
    }
    signature = None
    if signing.possible(env):
        key, signed = signing.sign(_bytes(body), env)
        signature = {**_FORM, "key": key, "value": signed}
    return _bytes({"schema_version": _SCHEMA, "certificate": body, "signature": signature})


def installed() -> dict[str, Any]:
    """The version that answers here, and a hash over all of its files."""
    package = Path(rad_engineer.__file__).resolve().parent
    total = hashlib.sha256()
    paths = sorted(_files(package))
    for path in paths:
        name = path.relative_to(package).as_posix()
        total.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return {"version": rad_engineer.__version__, "files": len(paths), "sha256": total.hexdigest()}


def _files(package: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        found += [Path(folder, name) for name in names if not name.endswith(".pyc")]
    return found


def _system() -> dict[str, str]:
    try:
        level = str(sandbox.choose("auto").level)
    except RadError:
        level = "none"
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "git": prerequisites.git_program(os.environ).detail,
        "sandbox": level,
    }


def check(file: Path, env: Mapping[str, str], *, signers: Sequence[str], max_age_days: int) -> Checked:
    """Looks a certificate through; `signers` are known public keys besides the user's own."""
    try:
        data = durable.read_regular(file, _LARGEST)
    except OSError as error:
        raise NoInput(f"{file}: {error.strerror}", hint="make one: rad-engineer test --smoke") from error
    found = _read(data)
    if found is None:
        return Checked("changed", "it is not as rad-engineer writes certificates")
    body, signature = found
    if signature is None:
        return Checked("unsigned", "nobody has signed it: anybody could have written it")
    key, value = signature["key"], signature["value"]
    if not signing.verifies(_bytes(body), key, value, env):
        return Checked("changed", "its signature does not fit what it says")
    return _about(body, key, {*signers, signing.public_key(env)}, max_age_days)


def _about(body: Mapping[str, Any], key: str, known: set[str | None], max_age_days: int) -> Checked:
    """What is to be said of a certificate that is as it was written."""
    if key not in known:
        mine = "add its public key with --signers FILE, if you trust whoever holds it"
        return Checked(
            "unknown signer", f"signed by {signing.fingerprint(key)}, which nobody here knows; {mine}"
        )
    now, then = installed(), body["installed"]
    if now["version"] != then["version"]:
        return Checked("another version", f"made for {then['version']}; {now['version']} is installed")
    if now["sha256"] != then["sha256"]:
        return Checked("another version", f"the files of {now['version']} are others than when it was made")
    age = time.time() - body["made_at"]
    if age > max_age_days * _DAY:
        return Checked(
            "too old", f"made {age / _DAY:.0f} days ago ({body['made']}); {max_age_days} days are allowed"
        )
    if body["result"] != _PASSED:
        return Checked("not passed", f"{body['result']}, made {body['made']}")
    return Checked("valid", f"{body['result']}, made {body['made']}, signed by {signing.fingerprint(key)}")


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, str] | None] | None:
    """The certificate and its signature; None where a byte is not as we write it."""
    try:
        document = json.loads(data)
        body, signature = document["certificate"], document["signature"]
        whole = _bytes(document) == data and document["schema_version"] == _SCHEMA and body["kind"] == KIND
        parts = [body["installed"]["version"], body["installed"]["sha256"], body["made"], body["result"]]
        if signature is not None:
            parts += [signature["key"], signature["value"]]
            whole = whole and signature == {**_FORM, "key": parts[-2], "value": signing.one_form(parts[-1])}
        if (
            not whole
            or not all(isinstance(part, str) for part in parts)
            or not isinstance(body["made_at"], int)
        ):
            return None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return body, signature


def _bytes(document: Mapping[str, Any]) -> bytes:
    """The one form in which a certificate is written, so that no byte of it is free."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"


def read_signers(path: Path) -> list[str]:
    """Public keys of a file: lines of an allowed_signers file of ssh, or a .pub file."""
    try:
        lines = durable.read_regular(path, _LARGEST).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (
            (error.strerror or str(error))
            if isinstance(error, OSError)
            else f"not UTF-8 at byte {error.start}"
        )
        raise NoInput(
            f"{path}: cannot be read: {why}", hint="a file with lines such as `ssh-ed25519 AAAA…`"
        ) from error
    found = []
    for line in lines:
        words = line.split()
        at = next((number for number, word in enumerate(words) if word == "ssh-ed25519"), None)
        if at is not None and len(words) > at + 1 and not line.lstrip().startswith("#"):
            found.append(" ".join(words[at : at + 2]))
    return found
