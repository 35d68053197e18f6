"""Every check there is, and what follows from all of them: ready for production, or not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rad_engineer.delivery import api, integrations, project, resources, security, state, workers
from rad_engineer.delivery.finding import Finding, Seen, Status, failed
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError

When = Literal["quick", "production", "full"]
"""quick ones look at this machine alone; what only --full does takes minutes."""

_ORDER: tuple[When, ...] = ("quick", "production", "full")


@dataclass(frozen=True, slots=True)
class Check:
    """A question, which family it belongs to, and whether production needs an answer."""

    id: str
    family: str
    look: Callable[[Scene], Seen]
    when: When = "quick"
    required: bool = True


_API, _AGENTS, _RESOURCES = "API Connectivity", "Agent Programs", "Resource Availability"
_SECURITY, _INTEGRATION, _INDEX, _STATE = (
    "Security Configuration",
    "Integration Health",
    "ESS Connection",
    "State",
)
_PROJECT = "Full Validation"

CHECKS = (
    Check(api.ID, _API, api.call, "production"),
    Check("agents.chosen", _AGENTS, workers.chosen, "production"),
    Check("agents.program", _AGENTS, workers.program, "production"),
    Check("resources.processors", _RESOURCES, resources.processors),
    Check("resources.memory", _RESOURCES, resources.memory),
    Check("resources.folders", _RESOURCES, resources.folders),
    Check("resources.disk", _RESOURCES, resources.disk),
    Check("resources.descriptors", _RESOURCES, resources.descriptors),
    Check("resources.processes", _RESOURCES, resources.processes),
    Check("resources.watches", _RESOURCES, resources.watches, required=False),
    Check("security.settings", _SECURITY, security.configuration),
    Check("security.sandbox", _SECURITY, security.walls),
    Check("security.key-storage", _SECURITY, security.key_storage),
    Check("security.private-files", _SECURITY, security.private_files),
    Check("security.trust", _SECURITY, security.trusted, "production"),
    Check("security.policy", _SECURITY, security.policy),
    Check("security.audit", _SECURITY, security.audit),
    Check("integrations.git", _INTEGRATION, integrations.git_program),
    Check("integrations.repository", _INTEGRATION, integrations.repository, "production"),
    Check("integrations.identity", _INTEGRATION, integrations.identity, "production", required=False),
    Check("integrations.remote", _INTEGRATION, integrations.remote, "production", required=False),
    Check("integrations.engine", _INTEGRATION, integrations.engine, required=False),
    Check("integrations.collector", _INTEGRATION, integrations.collector, required=False),
    Check("integrations.webhook", _INTEGRATION, integrations.webhook, "production", required=False),
    Check("index.connection", _INDEX, integrations.index, "production", required=False),
    Check("state.locks", _STATE, state.no_locks),
    Check("state.runs", _STATE, state.runs),
    Check("state.growth", _STATE, state.growth, required=False),
    Check("project.gates", _PROJECT, project.gates, "full"),
    Check("project.dependencies", _PROJECT, project.dependencies, "full", required=False),
    Check("project.enforcement", _PROJECT, project.enforcement, "full"),
    Check("project.smoke", _PROJECT, project.smoked, "full"),
)
"""In the order in which they are shown."""


def examine(scene: Scene, until: When, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Makes every check up to this depth.

    The API is asked last: with its gateway this process stops letting itself be looked into, which a sandbox needs.
    """
    wanted = [check for check in checks if _ORDER.index(check.when) <= _ORDER.index(until)]
    seen = {check.id: _looked(check, scene) for check in sorted(wanted, key=lambda check: check.id == api.ID)}
    return [Finding(check.id, check.family, check.required, seen[check.id]) for check in wanted]


def _looked(check: Check, scene: Scene) -> Seen:
    try:
        return check.look(scene)
    except RadError as error:
        return failed(str(error), advice=error.hint or "")
    except OSError as error:
        return failed(f"{error.filename or check.id}: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all findings say together."""

    ready: bool
    words: str


def production(findings: Sequence[Finding], *, offline: bool) -> Verdict:
    """READY where nothing fails and nothing required was left out; without a call to the API it says so."""
    api_call = next((finding for finding in findings if finding.id == api.ID), None)
    left_out = api_call is not None and api_call.status == "SKIP"
    if any(finding.blocks for finding in findings if not (offline and left_out and finding is api_call)):
        return Verdict(ready=False, words="NOT READY")
    if left_out and offline:
        return Verdict(ready=True, words="READY (offline: API not checked)")
    if left_out and api_call is not None:
        return Verdict(ready=True, words=f"READY (API not checked: {api_call.seen.evidence})")
    return Verdict(ready=True, words="READY")


def healthy(findings: Iterable[Finding]) -> Verdict:
    """HEALTHY where nothing fails."""
    bad = any(finding.status == "FAIL" for finding in findings)
    return Verdict(ready=not bad, words="UNHEALTHY" if bad else "HEALTHY")


def families(findings: Sequence[Finding]) -> Iterator[tuple[str, Status, list[Finding]]]:
    """Families in their order, each with its worst status: left out only where all of it was."""
    for name in dict.fromkeys(finding.family for finding in findings):
        mine = [finding for finding in findings if finding.family == name]
        statuses = {finding.status for finding in mine}
        blocked = any(finding.blocks and finding.status == "SKIP" for finding in mine)
        worst: Status = (
            "FAIL" if "FAIL" in statuses else "SKIP" if blocked else "WARN" if "WARN" in statuses else "PASS"
        )
        yield name, "SKIP" if statuses == {"SKIP"} else worst, mine


def document(findings: Sequence[Finding], verdict: Verdict, subject: str) -> dict[str, Any]:
    """The report for programs: every check, how many there are of each status, and what has no command."""
    counts = {
        status: sum(finding.status == status for finding in findings)
        for status in ("PASS", "WARN", "FAIL", "SKIP")
    }
    return {
        "schema_version": 1,
        "subject": subject,
        "ready": verdict.ready,
        "verdict": verdict.words,
        "counts": counts,
        "checks": [finding.to_json() for finding in findings],
    }
