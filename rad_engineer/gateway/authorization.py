"""How a request is opened for the upstream: the client's key is replaced by ours, in the form its version wants."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rad_engineer.gateway.exchange import Refusal

_BEARER_SINCE = "2026"
_OAUTH_BETA = "oauth-2025-04-20"
_LEFT_SECONDS = 60.0

Authorize = Callable[[Mapping[str, str]], Awaitable[Mapping[str, str]]]
"""The headers that open the upstream, for a request with these headers."""


def authorization(kind: str, secret: bytes) -> Authorize:
    """How requests are opened with these credentials: a key, a token, a profile of the SDK, or nothing."""
    text = secret.decode()
    if kind == "profile":
        return _Profile(text)

    async def authorize(headers: Mapping[str, str]) -> Mapping[str, str]:
        if kind == "none":
            return {}
        if kind == "token" or headers.get("anthropic-version", _BEARER_SINCE) >= _BEARER_SINCE:
            return {"authorization": f"Bearer {text}"}
        return {"x-api-key": text}

    return authorize


class _Profile:
    """A profile of the SDK, or a workload identity: the SDK itself gets its tokens, and gets new ones in time."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._lock = asyncio.Lock()
        self._found: Any = None
        self._token = ""
        self._until = 0.0

    async def __call__(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        async with self._lock:
            if time.time() >= self._until - _LEFT_SECONDS:
                await asyncio.to_thread(self._renew)
        betas = ",".join(part for part in (headers.get("anthropic-beta", ""), _OAUTH_BETA) if part)
        return {
            **self._found.extra_headers,
            "authorization": f"Bearer {self._token}",
            "anthropic-beta": betas,
        }

    def _renew(self) -> None:
        import os  # noqa: PLC0415

        import anthropic  # noqa: PLC0415 -- slow to load, and only needed here
        from anthropic.lib.credentials import default_credentials  # noqa: PLC0415

        if self._identity:
            os.environ["ANTHROPIC_IDENTITY_TOKEN"] = self._identity  # of this process, which starts no other
        try:
            self._found = self._found or default_credentials()
            if self._found is None:
                raise _no_profile("there is none")
            token = self._found.provider()
        except anthropic.AnthropicError as error:
            raise _no_profile(str(error)) from error
        self._token = token.token
        self._until = token.expires_at or time.time() + 3600.0


def _no_profile(why: str) -> Refusal:
    return Refusal(
        401, "authentication_error", f"the profile of the SDK gives no access: {why}", reason="auth"
    )
