"""The bodies of requests: the same bytes for the same conversation, whoever asks and wherever."""

from typing import Any

from rad_engineer.agents.anthropic import breakpoints
from rad_engineer.agents.anthropic.transcript import Conversation

_THINKING = {"adaptive": {"type": "adaptive"}, "off": {"type": "disabled"}}


def body(conversation: Conversation) -> dict[str, Any]:
    """What is sent for the next turn of a conversation."""
    start = conversation.start
    messages = conversation.to_send()
    mark_system, wanted = breakpoints.places(messages, conversation.last_mark)
    system = list(start["system"])
    if mark_system:
        system[-1] = {**system[-1], "cache_control": breakpoints.MARKER}
    options = start["options"]
    found: dict[str, Any] = {
        "model": options["model"],
        "max_tokens": options["max_tokens"],
        "tools": start["tools"],
        "system": system,
        "messages": breakpoints.marked(messages, wanted),
    }
    if options["thinking"]:
        found["thinking"] = _THINKING[options["thinking"]]
    if options["effort"]:
        found["output_config"] = {"effort": options["effort"]}
    return found
