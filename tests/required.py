"""What tests need and not every machine has: they are skipped without it, and fail where RAD_REQUIRE names it.

RAD_REQUIRE=engine,chromium makes a machine answer for both: what is not found there is no skip any more.
"""

import os
from collections.abc import Mapping

import pytest

NAMES = {
    "check-jsonschema": "check-jsonschema: requirements/venv tools",
    "chromium": "a Chromium that runs headless",
    "collector": "rotel, a collector of OpenTelemetry: requirements/venv tools",
    "detect-secrets": "detect-secrets-hook",
    "engine": "a container engine that answers: docker or podman",
    "gcc": "a C compiler",
    "make": "make",
    "mock-server": "node and the mock model server: requirements/npm",
    "node": "node and npm",
    "openssl": "openssl",
    "pipx": "pipx",
    "promtool": "promtool, of Prometheus",
    "sandbox": "a sandbox that works here: bubblewrap or landlock",
    "shellcheck": "shellcheck",
    "ssh-keygen": "ssh-keygen, of OpenSSH",
    "uv": "uv",
}
"""What can be required, and what it is."""


def wanted(env: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The names in RAD_REQUIRE; raises UsageError for one that nothing asks for, which would require nothing."""
    given = frozenset(filter(None, map(str.strip, env.get("RAD_REQUIRE", "").split(","))))
    if strangers := sorted(given - NAMES.keys()):
        raise pytest.UsageError(f"RAD_REQUIRE: {', '.join(strangers)}: there are {', '.join(NAMES)}")
    return given


def needs(name: str, found: object, why: str = "") -> None:
    """Skips the test, or the module that calls it, unless this is found; fails where RAD_REQUIRE names it."""
    what = NAMES[name]
    if found:
        return
    lacking = f"{name}: not here: {why or what}"
    if name in wanted():
        pytest.fail(f"{lacking} (RAD_REQUIRE names it)", pytrace=False)
    pytest.skip(f"NO EVIDENCE: {lacking}", allow_module_level=True)
