"""Session tokens: who has one speaks for one attempt at one story, and for nothing else.

A token carries its session and an HMAC of it with the secret of the run. So it is checked without knowing who was
given one, and is as good at a gateway that has just been started again.

What is handed into a box is sealed with another secret: it is good at the listener of that box, and nowhere else.
"""

import base64
import binascii
import hashlib
import hmac
import json

from rad_engineer.gateway.exchange import Session

_PREFIX = "rad-"


def inner(secret: bytes) -> bytes:
    """The secret of tokens that go into boxes."""
    return hmac.digest(secret, b"inside", hashlib.sha256)


def issue(secret: bytes, session: Session) -> str:
    """The token of a session."""
    payload = _text(json.dumps([session.story, session.attempt, session.tenant]).encode())
    return f"{_PREFIX}{payload}.{_seal(secret, payload)}"


def verify(secret: bytes, token: str) -> Session | None:
    """The session that a token speaks for; None where it is not one of ours."""
    payload, dot, seal = token.removeprefix(_PREFIX).partition(".")
    if not dot or not token.startswith(_PREFIX) or not token.isascii():
        return None
    if not hmac.compare_digest(seal, _seal(secret, payload)):
        return None
    try:
        story, attempt, tenant = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return None
    return Session(str(story), int(attempt), str(tenant))


def _seal(secret: bytes, payload: str) -> str:
    return _text(hmac.digest(secret, payload.encode(), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
