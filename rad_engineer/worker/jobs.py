"""What a worker process does: one job after another, each told as events and ended by one answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import durable, spans, store, timings, trail
from rad_engineer.agents import command as _command  # noqa: F401 - the same
from rad_engineer.engines.channel import Channel, ChannelClosed
from rad_engineer.errors import ConfigInvalid, ExitCode, RadError
from rad_engineer.gates import command as _gate_runner  # noqa: F401 - the same
from rad_engineer.gates import protection as _protection  # noqa: F401 - the same
from rad_engineer.outcome import Outcome
from rad_engineer.slots import pool as _slots  # noqa: F401 - forked workers find it loaded
from rad_engineer.worker import landing, stages
from rad_engineer.worker.court import (
    Cancelled,
    Court,
    as_gates,
    baseline,
    project_gates,
    run_gates,
    strange_tools,
)
from rad_engineer.worker.story_run import StoryRun
from rad_engineer.worker.workplace import Workplace

if TYPE_CHECKING:
    from rad_engineer.gates import Baseline


def serve(channel: Channel) -> None:
    """Takes jobs until the coordinator is gone."""
    places: dict[str, Workplace] = {}
    trail.forget()
    trail.lead_to(lambda record: channel.send({"event": {"audit": record}}))
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
        try:
            with timings.part("rest"):
                answer = _JOBS[job["job"]](job, place, channel)
        finally:
            place.ahead.close()
        return {"ok": True, **answer, "spent": account.empty() if account is not None else {}}
    except RadError as error:
        return {"ok": False, "error": str(error), "hint": error.hint, "exit_code": int(error.exit_code)}
    except ChannelClosed:
        raise
    except OSError as error:
        problem = durable.cannot_write(Path(error.filename or job["rundir"]), error)
        return {"ok": False, "error": str(problem), "hint": problem.hint, "exit_code": int(problem.exit_code)}
    except MemoryError:
        return {"ok": False, "error": "a worker had no memory left", "exit_code": int(ExitCode.CANNOT_WRITE),
                "hint": "free memory, or use fewer --jobs, then: rad-engineer resume"}  # fmt: skip
    except Exception as error:  # noqa: BLE001 - a bug must end the job, not the night
        import traceback  # noqa: PLC0415 - only for bugs

        return {"ok": False, "error": f"{type(error).__name__}: {error}", "exit_code": 70,
                "trace": traceback.format_exc()}  # fmt: skip


def _story(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    run = StoryRun(place, job, channel)
    with spans.collected(job.get("trace", ""), lambda span: run.say({"span": span.to_json()})):
        return {"outcome": stages.run_story(run).to_json()}


def _land(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    court = _court(job, place, channel, f"landing-{job['number']}")
    return {"landing": landing.land(court, job["tip"], job["stories"]).to_json()}


def _court(job: Mapping[str, Any], place: Workplace, channel: Channel, logs: str) -> Court:
    return Court(
        place,
        int(job["lane"]),
        place.rundir.path / logs,
        lambda event: channel.send({"event": event}),
        channel.fileno(),
    )


def _gates(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    """Wave and final gates on the head of the branch."""
    court = _court(job, place, channel, f"gates-{store.slug(job['scope'])}")
    rules = place.rules.final_gates if job["scope"] == "final" else place.rules.wave_gates
    wanted = as_gates(rules)
    try:
        judged = run_gates(court, job["commit"], job["commit"], wanted)
    except Cancelled:
        return {"interrupted": True}
    if not isinstance(judged, list):
        return {"green": False, "gates": [], "detail": judged.detail}
    return {"green": all(result.ok for result in judged), "gates": [result.to_json() for result in judged]}


def _baseline(job: Mapping[str, Any], place: Workplace, channel: Channel) -> dict[str, Any]:
    """What the project's gates say of the start commit."""
    court = _court(job, place, channel, "baseline")
    found: dict[str, Baseline] = {}
    strange = strange_tools(court, project_gates(place))
    if strange:
        raise ConfigInvalid("gates find other programs in the sandbox than here: " + "; ".join(strange),
                            hint="grant what is named, or use --sandbox off")  # fmt: skip
    for gate in project_gates(place):
        try:
            said = baseline(court, job["base"], gate)
        except Cancelled:
            return {"interrupted": True}
        if isinstance(said, Outcome):
            raise ConfigInvalid(
                f"the setup command fails on the start commit: {said.detail}",
                hint=f"see {court.logs / 'setup.log'}; correct [workspace] setup",
            )
        found[gate.name] = said
    commands = {gate.name: gate.command for gate in project_gates(place)}
    told = {name: said.to_json() for name, said in found.items()}
    durable.write_sealed(place.rundir.path / "baselines.json", {"baselines": told})
    return {
        "missing": [
            f"{name} (`{commands[name]}`): {said.detail}" for name, said in found.items() if said.broken
        ],
        "red": [name for name, said in found.items() if not said.green and said.failures and said.count],
        "mute": {
            name: said.detail
            or (
                "it is red, and names no failed test"
                if said.count
                else "it is red, and no test is seen to pass"
            )
            for name, said in found.items()
            if not said.green and not said.broken and not (said.failures and said.count)
        },
    }


_JOBS = {"story": _story, "land": _land, "gates": _gates, "baseline": _baseline}
