"""Records that only the owner of the key can read: AES-256-GCM, from the extra `crypto`."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from rad_engineer.durable import dump
from rad_engineer.errors import ConfigInvalid

SEALED = "sealed"
_NONCE = 12
_OPEN = ("at",)


class Encryption:
    """Hides the fields of records; their numbers and times stay."""

    def __init__(self, key: bytes, run: str) -> None:
        if find_spec("cryptography") is None:
            raise ConfigInvalid(
                "the audit log is to be encrypted, and the package for that is not installed",
                hint='pip install "rad-engineer[crypto]", or set audit = "plain"',
            )
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra, and 40 ms

        self._cipher = AESGCM(hmac.digest(key, b"rad-engineer audit encryption", hashlib.sha256))
        self._run = run.encode()

    def hide(self, seq: int, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record with everything but its time encrypted; bound to its run and its place."""
        nonce = os.urandom(_NONCE)
        inside = dump({name: value for name, value in record.items() if name not in _OPEN})
        hidden = nonce + self._cipher.encrypt(nonce, inside, self._about(seq))
        shown = {name: record[name] for name in _OPEN if name in record}
        return {**shown, SEALED: base64.b64encode(hidden).decode("ascii")}

    def show(self, seq: int, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record as it was; None where it is not what was written at this place."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        try:
            hidden = base64.b64decode(record[SEALED], validate=True)
            inside = json.loads(self._cipher.decrypt(hidden[:_NONCE], hidden[_NONCE:], self._about(seq)))
        except (InvalidTag, ValueError, TypeError):
            return None
        shown = {name: value for name, value in record.items() if name != SEALED}
        return {**shown, **inside}

    def _about(self, seq: int) -> bytes:
        return b"%b\0%d" % (self._run, seq)
