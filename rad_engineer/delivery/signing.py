"""Signatures with Ed25519 in the form of `ssh-keygen -Y`, made and checked by that program, else by the extra `crypto`.

Whoever has either of them can check what the other one has signed.
"""

import base64
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap

from rad_engineer import durable, process
from rad_engineer.errors import Refused
from rad_engineer.settings import state_home

NAMESPACE = "rad-engineer-certificate"
_TYPE = b"ssh-ed25519"
_HASH = b"sha512"
_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_SECONDS = 30.0


def key_path(env: Mapping[str, str]) -> Path:
    """The key of this user; the public half lies beside it."""
    return state_home(env) / "certificate" / "id_ed25519"


def possible(env: Mapping[str, str]) -> bool:
    """Whether anything here can sign."""
    return _ssh_keygen(env) is not None or find_spec("cryptography") is not None


def public_key(env: Mapping[str, str]) -> str | None:
    """The public key of this user, as `type base64`; None where there is none yet."""
    try:
        words = key_path(env).with_suffix(".pub").read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return " ".join(words[:2]) if len(words) >= 2 else None


def sign(data: bytes, env: Mapping[str, str]) -> tuple[str, str]:
    """The public key and the signature of this user over these bytes; the key is made where there is none."""
    path = own_key(env)
    program = _ssh_keygen(env)
    if program is None:
        return _sign_here(data, path)
    with tempfile.TemporaryDirectory(prefix="rad-sign-") as folder:
        file = Path(folder) / "data"
        file.write_bytes(data)
        argv = [program, "-Y", "sign", "-q", "-f", str(path), "-n", NAMESPACE, str(file)]
        _called(argv, env)
        return public_key(env) or "", Path(f"{file}.sig").read_text(encoding="ascii")


def own_key(env: Mapping[str, str]) -> Path:
    """The file with the key of this user, which is made where there is none; raises Refused where others may read it."""
    path = key_path(env)
    if not path.exists():
        with durable.writing(path, of_run=False):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            private, public = _made(env)
            durable.replace(path.with_suffix(".pub"), public)
            durable.replace(path, private, 0o600)  # last: a key is whole or not there
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused(f"others may read {path}", hint=f"rm -- '{path}', and a new key is made")
    return path


def verifies(data: bytes, key: str, signature: str, env: Mapping[str, str]) -> bool:
    """Whether this key has signed these bytes. Raises Refused where nothing here can tell."""
    program = _ssh_keygen(env)
    if program is None:
        return _verifies_here(data, key, signature)
    with tempfile.TemporaryDirectory(prefix="rad-sign-") as folder:
        signed, allowed = Path(folder) / "data.sig", Path(folder) / "allowed"
        signed.write_text(signature, encoding="ascii", errors="replace")
        allowed.write_text(f'signer namespaces="{NAMESPACE}" {key}\n', encoding="ascii", errors="replace")
        argv = [
            program,
            "-Y",
            "verify",
            "-f",
            str(allowed),
            "-I",
            "signer",
            "-n",
            NAMESPACE,
            "-s",
            str(signed),
        ]
        code, _, _ = process.capture(argv, env=env, input=data, timeout=_SECONDS)
        return code == 0


def fingerprint(key: str) -> str:
    """A key as people compare it."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, ValueError):
        return "no key"
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def _ssh_keygen(env: Mapping[str, str]) -> str | None:
    return shutil.which("ssh-keygen", path=process.absolute_path(env.get("PATH", os.defpath)))


def _made(env: Mapping[str, str]) -> tuple[bytes, bytes]:
    """A new key, and its public half."""
    program = _ssh_keygen(env)
    if program is not None:
        with tempfile.TemporaryDirectory(prefix="rad-sign-") as folder:
            key = Path(folder) / "key"
            _called([program, "-q", "-t", "ed25519", "-N", "", "-C", "rad-engineer", "-f", str(key)], env)
            return key.read_bytes(), key.with_suffix(".pub").read_bytes()
    from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    new = Ed25519PrivateKey.generate()
    private = new.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption())
    public = new.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    return private, public + b" rad-engineer\n"


def _called(argv: list[str], env: Mapping[str, str]) -> None:
    code, _, err = process.capture(argv, env=env, timeout=_SECONDS)
    if code != 0:
        raise Refused(f"`{argv[0]}` ended with {code}: {err.decode('utf-8', 'replace').strip()}")


def _sign_here(data: bytes, path: Path) -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = forms.load_ssh_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"{path} is no Ed25519 key")
    raw = key.public_key().public_bytes(forms.Encoding.Raw, forms.PublicFormat.Raw)
    blob = _string(_TYPE) + _string(raw)
    signed = _string(_TYPE) + _string(key.sign(_preimage(data)))
    parts = (blob, NAMESPACE.encode(), b"", _HASH, signed)
    whole = _MAGIC + (1).to_bytes(4, "big") + b"".join(map(_string, parts))
    return f"{_TYPE.decode()} {base64.b64encode(blob).decode('ascii')}", _armoured(whole)


def _verifies_here(data: bytes, key: str, signature: str) -> bool:
    if find_spec("cryptography") is None:
        raise Refused(
            "nothing here can check a signature", hint="install openssh-client, or rad-engineer[crypto]"
        )
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        blob = base64.b64decode(key.split()[1], validate=True)
        whole = _bare(signature)
        head = _MAGIC + (1).to_bytes(4, "big")
        parts = _strings(whole.removeprefix(head))
        if not whole.startswith(head) or parts[:4] != [blob, NAMESPACE.encode(), b"", _HASH]:
            return False
        (kind, raw), (signed_kind, signed) = _strings(blob), _strings(parts[4])
        if (kind, signed_kind) != (_TYPE, _TYPE):
            return False
        Ed25519PublicKey.from_public_bytes(raw).verify(signed, _preimage(data))
    except (ValueError, IndexError, InvalidSignature):
        return False
    return True


def one_form(signature: str) -> str:
    """The signature as it is always written: base64 has several ways to say the same. Empty for what is none."""
    try:
        return _armoured(_bare(signature))
    except ValueError:
        return ""


def _bare(signature: str) -> bytes:
    text = signature.strip().removeprefix(_BEGIN).removesuffix(_END)
    return base64.b64decode("".join(text.split()), validate=True)


def _armoured(whole: bytes) -> str:
    body = "\n".join(wrap(base64.b64encode(whole).decode("ascii"), 70))
    return f"{_BEGIN}\n{body}\n{_END}\n"


def _preimage(data: bytes) -> bytes:
    """What is really signed, as PROTOCOL.sshsig of OpenSSH has it."""
    digest = hashlib.sha512(data).digest()
    return _MAGIC + b"".join(map(_string, (NAMESPACE.encode(), b"", _HASH, digest)))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        if end > len(data):
            raise ValueError("cut off")
        found.append(data[4:end])
        data = data[end:]
    return found
