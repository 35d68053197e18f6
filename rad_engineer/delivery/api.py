"""Does the API answer: one real, minimal call through a gateway of its own; recorded answers never count."""

import http.client
import json
import secrets
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer.delivery.finding import Fix, Seen, failed, passed, skipped
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError

if TYPE_CHECKING:
    from rad_engineer.gateway.configuration import GatewaySettings
    from rad_engineer.gateway.credentials import Credentials

ID = "api.call"
LOGIN = Fix("rad-engineer login", "asks")
_MODEL = "haiku"
_CAP_MICRO_USD = 50_000
_SECONDS = 60.0


def call(scene: Scene) -> Seen:
    """Asks for a single token. Nothing is sent where nobody asks models, or where that is forbidden."""
    if isinstance(scene.settings, RadError):
        return skipped("the settings cannot be read", because="security.settings")
    if scene.offline:
        return skipped("not checked (--offline)")
    if isinstance(scene.key, RadError):
        return skipped("the key is not used as it lies there", because="security.key-storage")
    if isinstance(scene.agents, RadError):
        return skipped("nobody can work", because="agents.chosen")
    choice, access = scene.agents
    if choice.rehearsal:
        return skipped("nobody works for real", because="agents.chosen")
    if access is None:
        return replace(
            skipped(f"{', '.join(choice.agents)} asks no model through the gateway"), needless=True
        )
    return _asked(scene)


def _asked(scene: Scene) -> Seen:
    from rad_engineer.agents.choice import model_id  # noqa: PLC0415 - only where a call is made
    from rad_engineer.gateway.configuration import ANTHROPIC, MOCK, REPLAY, configured  # noqa: PLC0415

    told = configured(scene.wanted)
    if told.offline or told.upstream == MOCK or told.upstream.startswith(REPLAY):
        return _no_connection(scene, told)
    key = None if isinstance(scene.key, RadError) else scene.key
    if key is None and told.upstream == ANTHROPIC:
        return failed("there is no key for the API", LOGIN)
    told = replace(
        told, cache=False, share=False, record="", attempts=2, first_wait=0.2, connect_seconds=10.0,
        answer_seconds=_SECONDS / 2, run_micro_usd=_CAP_MICRO_USD, story_micro_usd=None,
    )  # fmt: skip
    return _once(told, key, model_id(scene.wanted.model or _MODEL))


def _no_connection(scene: Scene, told: "GatewaySettings") -> Seen:
    """Rehearsals and recorded answers say nothing of an API."""
    evidence = f"answers come from {told.upstream}, which is no connection to an API"
    advice = "set gateway.upstream to the API that runs are to ask, or leave it out"
    if told.offline:
        evidence, advice = "gateway.offline is set: nobody is asked", "set gateway.offline to false"
    origin = scene.wanted.origins["offline" if told.offline else "upstream"]
    return Seen("SKIP", evidence, scene.unset(origin), advice)


def _once(told: "GatewaySettings", key: "Credentials | None", model: str) -> Seen:
    """Starts the gateway, asks, and reads off what it has cost."""
    from rad_engineer.gateway import door, spend  # noqa: PLC0415 - only where a call is made
    from rad_engineer.gateway.configuration import MICRO  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="rad-call-") as folder:
        opened = door.open(told, Path(folder), secrets.token_bytes(32), key)
        try:
            url, token = opened.session("", 0)
            begun = time.monotonic()
            status, answer = _post(url, token, model)
            seconds = time.monotonic() - begun
        finally:
            opened.close()
        cost = spend.read(Path(folder) / "spend.jsonl").get("", spend.Spent()).micro_usd / MICRO
    if status == http.HTTPStatus.OK and answer.get("type") == "message":
        return passed(f"{model} at {told.upstream} answered in {seconds:.1f} s, for {cost:.6f} USD")
    why = answer.get("rad", {}).get("why") or answer.get("error", {}).get("message") or f"status {status}"
    reason = answer.get("rad", {}).get("reason", "")
    if reason in ("auth", "login") or status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        stored = key is not None and not key.source.startswith("ANTHROPIC_")
        source = key.source if key is not None else "nowhere"
        return failed(f"{told.upstream} refuses the key (from {source}): {why}", LOGIN if stored or key is None else None,
                      "" if stored else "another key in that variable")  # fmt: skip
    return failed(
        f"{told.upstream}: {why}", advice="is the network there? see docs/troubleshooting.md, exit code 69"
    )


def _post(url: str, token: str, model: str) -> tuple[int, dict[str, Any]]:
    body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "ping"}]}
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
    }
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_SECONDS)
    try:
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        response = connection.getresponse()
        found = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, {"error": {"message": f"the gateway did not answer: {error}"}}
    finally:
        connection.close()
    return response.status, found if isinstance(found, dict) else {}
