"""What a worker process does: one job after another, each told as events and ended by one answer."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rad_engineer import store, timings
from rad_engineer.agents import command as _command  # noqa: F401 - the same
from rad_engineer.engines.channel import Channel, ChannelClosed
from rad_engineer.errors import RadError
from rad_engineer.gates import Baseline
from rad_engineer.gates import command as _gate_runner  # noqa: F401 - the same
from rad_engineer.gates import protection as _protection  # noqa: F401 - the same
from rad_engineer.slots import pool as _slots  # noqa: F401 - forked workers find it loaded
from rad_engineer.worker import landing, stages, verdict
from rad_engineer.worker.story_run import StoryRun
from rad_engineer.worker.workplace import Workplace, gate_environment


def serve(channel: Channel) -> None:
    """Takes jobs until the coordinator is gone."""
    places: dict[str, Workplace] = {}
    while True:
        try:
            job = channel.receive()
            if "job" not in job:
                continue  # a stop that came too late
            channel.send({"done": _answer(job, places, channel)})
        except ChannelClosed:
            return


def _answer(job: Mapping[str, Any], places: dict[str, Workplace], channel: Channel) -> dict[str, Any]:
    try:
        place = places.get(job["rundir"])
        if place is None:
            place = places[job["rundir"]] = Workplace.open(Path(job["rundir"]))
        account = timings.open_account(wanted=bool(job.get("timed")))
        with timings.part("rest"):
            answer = _JOBS[job["job"]](job, place, channel)
        return {"ok": True, **answer, "spent": account.empty() if account is not None else {}}
    except RadError as error:
        return {"ok": False, "error": str(error), "hint": error.hint, "exit_code": int(error.exit_code)}
    except ChannelClosed:
        raise
    except OSError as error:
        problem = store.cannot_write(Path(error.filename or job["rundir"]), error)
        return {"ok": False, "error": str(problem), "hint": problem.hint, "exit_code": int(problem.exit_code)}
    except Exception as error:  # noqa: BLE001 - a bug must end the job, not the night
        import traceback  # noqa: PLC0415 - only for bugs

        return {"ok": False, "error": f"{type(error).__name__}: {error}", "exit_code": 70,
                "trace": traceback.format_exc()}  # fmt: skip


def _story(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    run = StoryRun(place, job, lambda event: channel.send({"event": event}), channel.fileno())
    return {"outcome": stages.run_story(run).to_json()}


def _land(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    court = _court(job, place, channel, f"landing-{job['number']}")
    return {"landing": landing.land(court, job["tip"], job["stories"]).to_json()}


def _court(job: Mapping[str, Any], place: Workplace, channel: Channel, logs: str) -> verdict.Court:
    return verdict.Court(
        place,
        int(job["lane"]),
        place.rundir.path / logs,
        lambda event: channel.send({"event": event}),
        channel.fileno(),
        green=frozenset(job.get("green", ())),
    )


def _gates(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    """Wave and final gates on the head of the branch."""
    court = _court(job, place, channel, f"gates-{store.slug(job['scope'])}")
    rules = place.rules.final_gates if job["scope"] == "final" else place.rules.wave_gates
    wanted = verdict.as_gates(rules)
    try:
        judged = verdict.run_gates(court, job["commit"], job["commit"], wanted)
    except verdict.Cancelled:
        return {"interrupted": True}
    if not isinstance(judged, list):
        return {"green": False, "gates": [], "detail": judged.detail}
    return {"green": all(result.ok for result in judged), "gates": [result.to_json() for result in judged]}


def _baseline(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    """What the project's gates say of the start commit, remembered by commit, command and setup."""
    court = _court(job, place, channel, "baseline")
    base, found = job["base"], {}
    for gate in verdict.project_gates(place):
        remembered = (
            Path(place.rules.cache) / "baselines" / f"{_baseline_key(place, base, gate.command)}.json"
        )
        try:
            found[gate.name] = json.loads(remembered.read_bytes())
            continue
        except (FileNotFoundError, ValueError):
            pass
        try:
            seen = verdict.baseline(court, base, gate)
        except verdict.Cancelled:
            return {"interrupted": True}
        found[gate.name] = seen.to_json()
        if not seen.broken:  # a tool that is missing today may be installed tomorrow
            with store.writing(remembered):
                remembered.parent.mkdir(parents=True, exist_ok=True)
            store.replace(remembered, json.dumps(found[gate.name]).encode())
    store.replace(place.rundir.path / "baselines.json", store.dump({"schema_version": 1, "baselines": found}))
    missing = [
        f"{name}: {value['detail']}" for name, value in found.items() if Baseline.from_json(value).broken
    ]
    return {"missing": missing, "red": [n for n, v in found.items() if not Baseline.from_json(v).green]}


def _baseline_key(place: Workplace, base: str, command: str) -> str:
    path = gate_environment(os.environ).get("PATH", "")
    parts = "\0".join((base, command, place.rules.setup or "", path))
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


_JOBS = {"story": _story, "land": _land, "gates": _gates, "baseline": _baseline}
