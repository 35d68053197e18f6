"""Calls as the gateway understands them, and a list of what happens to them."""

import json

from rad_engineer.gateway.exchange import Call, Session

SONNET = "claude-sonnet-5-5"  # 2 dollars for a million tokens in, 10 out


def call(
    story="A", *, number=1, tenant="run", attempt=1, model=SONNET, max_tokens=64_000, stream=True, **more
):
    data = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}], **more}
    body = json.dumps(data).encode()
    session = Session(story, attempt, tenant)
    return Call(session, number, "/v1/messages", "", {}, body, data, model, stream, max_tokens)


class Events(list):
    """Every event as (name, fields)."""

    def __call__(self, name, /, **fields):
        json.dumps(fields)
        self.append((name, fields))

    def named(self, name):
        return [fields for each, fields in self if each == name]
