"""Answers without a network: from the cache, then from a recording, else a refusal that costs no attempt."""

import asyncio

from rad_engineer.gateway.cache import Cache
from rad_engineer.gateway.exchange import Answer, Call, Refusal
from rad_engineer.gateway.replay import Replay
from rad_engineer.gateway.stored import Stored


async def answer_offline(call: Call, key: str, cache: Cache | None, replay: Replay | None,
                         why: str = "") -> Stored | Answer:  # fmt: skip
    """What can be said without asking anybody; raises Refusal with the reason `offline` where that is nothing.

    `why` says what keeps the gateway from asking, where that is not what the user has ordered.
    """
    if cache is not None and (found := await cache.get(key)) is not None:
        return found
    if replay is None:
        raise _offline(why, "neither the cache nor a recording has an answer to this request")
    try:
        return await asyncio.to_thread(replay.answer, call)
    except Refusal as refusal:
        if refusal.reason != "drift":
            raise
        raise _offline(
            why, f"neither the cache nor the recording has an answer: {refusal.message}"
        ) from refusal


def _offline(why: str, said: str) -> Refusal:
    """The story waits, and goes on when there is a network again."""
    because = f" ({why})" if why else ""
    return Refusal(
        503,
        "api_error",
        f"offline{because}: {said}; go on with a network: rad-engineer resume",
        reason="offline",
    )
