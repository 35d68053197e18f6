"""Answers without a network: from the cache, then from a recording, else a refusal that costs no attempt."""

import asyncio

from rad_engineer.gateway.cache import Cache
from rad_engineer.gateway.exchange import Answer, Call, Refusal
from rad_engineer.gateway.replay import Replay
from rad_engineer.gateway.stored import Stored


async def answer_offline(call: Call, key: str, cache: Cache | None, replay: Replay | None) -> Stored | Answer:
    """What can be said without asking anybody; raises Refusal with the reason `offline` where that is nothing."""
    if cache is not None and (found := await cache.get(key)) is not None:
        return found
    if replay is None:
        raise offline("neither the cache nor a recording has an answer to this request")
    try:
        return await asyncio.to_thread(replay.answer, call)
    except Refusal as refusal:
        if refusal.reason != "drift":
            raise
        raise offline(f"neither the cache nor the recording has an answer: {refusal.message}") from refusal


def offline(why: str) -> Refusal:
    """The refusal of a gateway that asks nobody: the story waits, and goes on when there is a network again."""
    return Refusal(
        503, "api_error", f"offline: {why}; go on with a network: rad-engineer resume", reason="offline"
    )
