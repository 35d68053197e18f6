"""A mock of the Messages API that somebody else wrote (npm @copilotkit/aimock), and a tap on the wire before it."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pydantic
from anthropic.types import message_create_params as params

from tests.required import needs

_PROGRAM = Path(__file__).parent / "npm/node_modules/@copilotkit/aimock/dist/cli.js"
_TELLS_TOKENS = Path(__file__).with_name("tells_tokens.cjs")
_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
Fixture = Mapping[str, Any]


@dataclass(frozen=True)
class Mock:
    """A running server. `url` is what a client takes as its base URL."""

    url: str

    def journal(self) -> list[dict[str, Any]]:
        """Every request it got, as it understood it, with the fixture that answered."""
        found: list[dict[str, Any]] = httpx2.get(f"{self.url}/__aimock/journal", trust_env=False).json()
        return found

    def calls(self) -> list[dict[str, Any]]:
        """The requests that asked a model."""
        return [entry for entry in self.journal() if "/messages" in entry["path"]]

    def forget(self) -> None:
        """Empties the journal; what it counts of fixtures begins anew."""
        httpx2.post(f"{self.url}/__aimock/reset/journal", trust_env=False).raise_for_status()


@contextmanager
def serve(folder: Path, fixtures: Sequence[Fixture], *options: str, keys: str = "") -> Iterator[Mock]:
    """Starts the mock with these fixtures; skips, loudly, where node or the package is missing."""
    node = shutil.which("node")
    needs("mock-server", node is not None and _PROGRAM.exists())
    assert node is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": list(fixtures)}))
    argv = [
        node,
        "--require",
        str(_TELLS_TOKENS),
        str(_PROGRAM),
        "-p",
        "0",
        "-f",
        str(folder / "fixtures.json"),
        "--strict",
        *options,
    ]
    env = {"AIMOCK_STRICT_TURN_INDEX": "1", **({"AIMOCK_API_KEYS": keys} if keys else {})}
    with (folder / "mock.log").open("wb") as log, subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(rb"listening on (http://\S+)", line):
                    break
            else:
                raise AssertionError((folder / "mock.log").read_text())
            drain = threading.Thread(target=process.stdout.read, daemon=True)
            drain.start()
            yield Mock(found[1].decode())
        finally:
            process.kill()


@dataclass
class Exchange:
    """One request as it was on the wire, and what came back."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int = 0
    answer: bytes = b""

    @property
    def data(self) -> dict[str, Any]:
        """The body of the request."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def usage(self) -> dict[str, int]:
        """What the answer says it cost: plain, or the last word of a stream."""
        if not self.answer.lstrip().startswith(b"event:"):
            return dict(json.loads(self.answer).get("usage", {})) if self.status == 200 else {}
        found: dict[str, int] = {}
        for line in self.answer.splitlines():
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                said = event.get("message", event).get("usage") or {}
                found |= {name: count for name, count in said.items() if isinstance(count, int)}
        return found


@dataclass
class Tap:
    """A recording reverse proxy on 127.0.0.1; keeps every exchange, and knows whether it was a lawful one."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What is wrong with the requests to the model, by the vendor's own types."""
        asked = [seen for seen in self.exchanges if seen.path.partition("?")[0].endswith("/messages")]
        return [f"{number}: {problem}" for number, seen in enumerate(asked) for problem in _problems(seen)]


@contextmanager
def tap(upstream: str) -> Iterator[Tap]:
    """Starts the proxy before that base URL."""
    client = httpx2.Client(base_url=upstream, trust_env=False, timeout=60)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(client, lambda: found))
    server.daemon_threads = True
    found = Tap(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        client.close()
        thread.join()


def _handler(client: httpx2.Client, tap_of: Callable[[], Tap]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            seen = Exchange(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            tap_of().exchanges.append(seen)
            kept = {name: value for name, value in seen.headers.items() if name not in _HOP}
            with client.stream(self.command, self.path, content=body, headers=kept) as answer:
                seen.status = answer.status_code
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in _HOP | {"content-encoding"}:
                        self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for chunk in answer.iter_bytes():
                    seen.answer += chunk
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_HEAD = _forward  # noqa: N815 - the names that http.server wants

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, httpx2.TransportError):
                self.close_connection = True  # a client or a server that went away is part of what is tested

        def log_message(self, *_about: object) -> None:
            """Says nothing."""

    return Handler


@cache
def _schema(version: str) -> jsonschema.Draft202012Validator:
    schema = pydantic.TypeAdapter(params.MessageCreateParamsNonStreaming).json_schema()
    schema["additionalProperties"] = False
    schema["properties"]["stream"] = {"type": "boolean"}
    if version == "2023-06-01":
        number = {"type": "number"}
        schema["properties"] |= {"temperature": number, "top_p": number, "top_k": {"type": "integer"}}
    return jsonschema.Draft202012Validator(schema)


def _problems(seen: Exchange) -> Iterator[str]:
    version = seen.headers.get("anthropic-version", "")
    if version not in ("2026-10-21", "2023-06-01"):
        yield f"anthropic-version {version!r}"
    if not (seen.headers.get("authorization", "").startswith("Bearer ") or "x-api-key" in seen.headers):
        yield "neither a bearer token nor a key"
    data = seen.data
    for error in _schema(version).iter_errors(data):
        yield f"{error.json_path}: {error.message[:200]}"
    open_tools: set[str] = set()
    for message in data["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != open_tools:
            yield f"tool results {sorted(results)} for tool uses {sorted(open_tools)}"
        uses = {block["id"] for block in blocks if block["type"] == "tool_use"}
        open_tools = uses if message["role"] == "assistant" else set()
    if open_tools:
        yield f"no result for {sorted(open_tools)}"
