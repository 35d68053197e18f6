"""A model with a small window that counts: no request is longer than it, however much the tools of one turn bring."""

import itertools
import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from agent_bench import Bench

from rad_engineer.agents import anthropic
from rad_engineer.gateway.answers import encoded
from tests.marks import TOKEN, bare

LIMIT, ANSWER = 20_000, 1_000
BIG = "head -c 60000 /dev/zero | tr '\\0' {}; echo {}"


class Model:
    """Its tokens are three bytes each, its answers are scripted; `asked` and `counted` are how long requests were."""

    def __init__(self, window, script, *, counts=True):
        self.window, self.script, self.counts = window, script, counts
        self.asked, self.counted, self.refused = [], [], []
        self.summaries = []

    def tokens(self, data):
        return (
            len(json.dumps([data["system"], data["tools"], data["messages"]], ensure_ascii=False).encode())
            // 3
        )

    def answer(self, data):
        """The next one of the script; to whoever asks for a summary, a summary."""
        tokens = self.tokens(data)
        if tokens > self.window:
            self.refused.append(tokens)
            return 400, {"type": "error", "error": {"type": "invalid_request_error",
                         "message": f"prompt is too long: {tokens} tokens > {self.window} maximum"}}  # fmt: skip
        self.asked.append(tokens)
        last = data["messages"][-1]["content"]
        if last[-1]["type"] == "text" and "about to be cut" in last[-1]["text"]:
            self.summaries.append(data)
            blocks, stop = [{"type": "text", "text": "what was done"}], "end_turn"
        else:
            blocks, stop = next(self.script), "tool_use"
        return 200, {"id": "m", "type": "message", "role": "assistant", "model": data["model"], "content": blocks,
                     "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": tokens, "output_tokens": 50}}  # fmt: skip


@contextmanager
def serving(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            data = json.loads(self.rfile.read(int(self.headers["content-length"])))
            counting = "count_tokens" in self.path
            if counting and not model.counts:
                status, found = 404, {"type": "error", "error": {"type": "not_found_error", "message": "no"}}
            elif counting:
                model.counted.append(model.tokens(data))
                status, found = 200, {"input_tokens": model.counted[-1]}
            else:
                status, found = model.answer(data)
            stream = status == 200 and not counting
            body = b"".join(encoded(found)) if stream else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "text/event-stream" if stream else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_about):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def story(turns, *commands):
    """So many turns with these commands each, then a report."""
    number = itertools.count()
    for _ in range(turns):
        yield [{"type": "tool_use", "id": f"t{next(number)}", "name": "bash", "input": {"command": each}} for each in commands]  # fmt: skip
    yield [{"type": "tool_use", "id": "last", "name": "report", "input": {
        "token": TOKEN, "status": "done", "summary": "done", "files": [], "tests": [], "criteria": [], "errors": [], "next_steps": []}}]  # fmt: skip


def run(folder, model, **settings):
    with serving(model) as url:
        told = {"context_tokens": LIMIT, "max_tokens": ANSWER, **settings}
        return anthropic.run(Bench(folder, url).work(settings=told))


SMALL = ["head -c 9000 /dev/zero | tr '\\0' a"]
LARGE = [BIG.format(letter, letter) for letter in "abcd"]
WIDE = ["python3 -c \"print('\\u4e2d' * 9000)\""]  # nine thousand characters, as many tokens


KINDS = [(SMALL, True), (LARGE, False), (WIDE, False), (SMALL, False), (LARGE, True), (WIDE, True)]


@pytest.mark.parametrize(("commands", "counts"), KINDS if os.environ.get("RAD_CAMPAIGN") else KINDS[:3])
def test_no_request_is_longer_than_the_window(tmp_path, commands, counts):
    model = Model(LIMIT + 2 * ANSWER + 500, story(9, *commands), counts=counts)
    ended = run(tmp_path, model)
    assert (ended.outcome, model.refused) == ("finished", []), ended
    assert model.summaries
    assert len(model.counted) <= len(model.asked)  # asked for where it is near, and once a turn
    assert max(model.asked) <= LIMIT + 2 * ANSWER + 500


def test_nobody_is_asked_to_count_what_is_far_from_the_limit(tmp_path):
    model = Model(LIMIT, story(3, "echo small"))
    assert run(tmp_path, model).outcome == "finished"
    assert model.counted == []


def test_a_count_saves_a_summary_where_an_estimate_would_ask_for_one(tmp_path):
    """By bytes it might be over the limit, by tokens it is not."""
    model = Model(LIMIT, story(5, *SMALL))
    assert run(tmp_path, model).outcome == "finished"
    assert (len(model.counted) > 0, model.summaries) == (True, [])


def test_results_go_along_to_a_summary_with_their_beginning_and_end(tmp_path):
    model = Model(LIMIT + 2 * ANSWER, story(2, *LARGE))
    assert run(tmp_path, model).outcome == "finished"
    results = [block["content"] for block in model.summaries[0]["messages"][-1]["content"] if block["type"] == "tool_result"]  # fmt: skip
    assert [(text[0], text.rstrip()[-1]) for text in map(bare, results)] == [
        (letter, letter) for letter in "abcd"
    ]
    assert all("characters left out here" in text for text in results)


def test_a_window_smaller_than_was_thought_costs_one_refusal_and_not_the_story(tmp_path):
    model = Model(LIMIT, story(9, *SMALL))
    ended = run(tmp_path, model, context_tokens=10 * LIMIT)
    assert (ended.outcome, len(model.refused)) == ("finished", 1)
    assert len(model.summaries) == 1


def test_a_story_that_never_fits_fails_and_says_why(tmp_path):
    model = Model(100, story(1, *SMALL))
    ended = run(tmp_path, model)
    assert (ended.outcome, len(model.refused)) == ("failed", 1)
    assert "prompt is too long" in ended.output
