"""LiteLLM's proxy, a process with one worker and an environment of its own: before the same mock, as a rival of the gateway, or behind it."""

import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

_PATIENCE = 180.0


@contextmanager
def running(program, upstream, model, folder, *, provider="anthropic", settings=()):
    """Starts it, waits until it is alive, and says its base URL, its key and its process.

    `provider` is what it speaks with the upstream: with `openai` every answer is encoded by it. `settings` are its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = "sk-" + secrets.token_hex(8)
    (folder / "config.yaml").write_text(
        f"model_list:\n  - model_name: {model}\n    litellm_params:\n      model: {provider}/{model}\n"
        f"      api_base: {upstream}\n      api_key: k\n"
        f"general_settings:\n  master_key: {token}\nlitellm_settings:\n  telemetry: false\n  num_retries: 0\n"
        + "".join(f"  {line}\n" for line in settings)
    )
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {
        **kept,
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "NO_PROXY": "*",
    }
    argv = [str(program), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log, subprocess.Popen(
        [*argv, "--num_workers", "1"], env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    ) as process:  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/health/liveliness", process, folder / "log")
            yield url, token, process.pid
        finally:
            process.kill()


def _wait(url, process, log):
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"LiteLLM has ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise SystemExit(f"LiteLLM did not start within {_PATIENCE:g} s: {log.read_text()[-2000:]}")
