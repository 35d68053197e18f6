"""Metrics of runs in the text format of Prometheus, from what their directories keep: nobody has to be asked.

`serve` shows them, `rad-engineer metrics` prints them, and both say the same at the same moment.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import resources
from rad_engineer.core.measures import ALWAYS, METRICS, Measures
from rad_engineer.watch import kept
from rad_engineer.watch.kept import Kept

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_shelf = kept.Shelf()
_meter = resources.Meter()


def exposition(runs: Sequence[Path], *, folders: Sequence[Path] = ()) -> tuple[bytes, str]:
    """The body of an answer to a scrape, and its content type.

    `runs` are run directories. `folders` are those they lie in, where it is known: then what was counted by runs that
    `compact` has removed is there although no run is left.
    """
    return exposed(snapshot(runs, folders=folders))


def exposed(found: "Snapshot") -> tuple[bytes, str]:
    """What is known as the body of an answer to a scrape, and its content type."""
    from prometheus_client import exposition as text  # noqa: PLC0415 - 60 ms, and only here
    from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(found))
    return text.generate_latest(registry), text.CONTENT_TYPE_PLAIN_0_0_4


@dataclass(slots=True)
class Snapshot:
    """Everything that is known at one moment; gauges by name and value of their label; the names of damaged runs."""

    measures: Measures = field(default_factory=Measures)
    gauges: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def set(self, name: str, *labels: str, value: float) -> None:
        """A gauge has this value."""
        self.gauges[name, labels] = value

    def raise_by(self, name: str, *labels: str, value: float = 1) -> None:
        """A gauge that adds up over runs."""
        self.gauges[name, labels] = self.gauges.get((name, labels), 0) + value

    def at_least(self, name: str, value: float) -> None:
        """A gauge that has the largest value of all runs."""
        self.gauges[name, ()] = max(self.gauges.get((name, ()), value), value)


def snapshot(runs: Sequence[Path], *, folders: Sequence[Path] = (), now: float | None = None) -> Snapshot:
    """What these runs have counted, with those that were removed from their folders, and what goes on now."""
    when = time.time() if now is None else now
    found = Snapshot()
    for name in ("rad_active_runs", "rad_active_agents", "rad_jobs", "rad_starts_paused", "rad_damaged_runs",
                 "rad_breakers_open", "rad_requests_waiting", "rad_budget_limit_usd"):  # fmt: skip
        found.set(name, value=0)
    for name, labels in ALWAYS:
        found.measures.add(name, *labels, by=0)
    read = _shelf.read(runs)
    gone: set[Path] = set()
    for folder in dict.fromkeys([*(path.parent for path in runs), *folders]):
        counted, names = kept.totals(folder)  # behind the runs: one that went meanwhile is in here
        found.measures.merge(counted)
        gone |= {folder / name for name in names}
    told = False
    for each in read:
        if each.path in gone:
            continue
        found.measures.merge(each.metering.measures)
        if each.damaged:
            found.raise_by("rad_damaged_runs")
            found.damaged.append(each.path.name)
        with suppress(AttributeError, TypeError, ValueError):  # another version says it in another way
            pulse = each.pulse(when)
            if pulse is not None:
                _going_on(found, each, pulse, when)
                _resources(found, pulse.get("resources") or _meter.read().to_json())
                told = True
    if not told:
        _resources(found, _meter.read().to_json())
    return found


def document(found: Snapshot) -> dict[str, Any]:
    """The same for programs that do not read the text format."""
    series = [
        *(((name, labels), {"value": value}) for (name, labels), value in found.measures.sums.items()),
        *(((name, labels), {"value": value}) for (name, labels), value in found.gauges.items()),
        *(
            (key, {"count": sum(spread.counts), "sum": spread.total})
            for key, spread in found.measures.spreads.items()
        ),
    ]
    rows = [
        {"name": name, "labels": dict(zip(METRICS[name].labels, labels, strict=True)), **value}
        for (name, labels), value in sorted(series, key=lambda entry: entry[0])
    ]
    return {"schema_version": 1, "metrics": rows}


def _going_on(found: Snapshot, run: Kept, pulse: Mapping[str, Any], now: float) -> None:
    found.raise_by("rad_active_runs")
    found.raise_by("rad_active_agents", value=run.metering.active_agents)
    for status, number in run.metering.statuses().items():
        found.raise_by("rad_running_stories", status, value=number)
    found.raise_by("rad_jobs", value=pulse.get("jobs", 0))
    found.raise_by("rad_starts_paused", value=int(run.metering.paused))
    found.at_least("rad_quiet_seconds", max(0.0, now - run.metering.at))
    _gateway(found, run.gateway())


def _gateway(found: Snapshot, state: Mapping[str, Any]) -> None:
    """What its stations say; a run without a gateway has none."""
    breakers = state.get("breakers", {}).values()
    found.raise_by("rad_breakers_open", value=sum(each.get("state") != "closed" for each in breakers))
    lanes = state.get("lanes", {}).values()
    money, limits = state.get("money", {}), state.get("limits", {})
    waiting = [
        *(each.get("waiting", 0) for each in (*lanes, *breakers)),
        money.get("waiting", 0),
        limits.get("waiting", 0),
    ]
    found.raise_by("rad_requests_waiting", value=sum(waiting))
    cap = money.get("cap", {}).get("run")
    if cap:
        found.raise_by("rad_budget_limit_usd", value=cap / 1_000_000)
        found.at_least("rad_budget_used_ratio", money.get("spent_micro_usd", 0) / cap)


def _resources(found: Snapshot, read: Mapping[str, Any]) -> None:
    values = {
        "rad_cpu_usage_ratio": read.get("cpu"),
        "rad_memory_used_bytes": read.get("memory_used"),
        "rad_memory_limit_bytes": read.get("memory_limit"),
    }
    for name, value in values.items():
        if isinstance(value, int | float):
            found.set(name, value=value)
    for resource, share in read.get("pressure", {}).items():
        if isinstance(share, int | float):
            found.set("rad_pressure_ratio", resource, value=share)


class _Collected:
    """A snapshot, as the official library wants it."""

    def __init__(self, found: Snapshot) -> None:
        self._found = found

    def collect(self) -> Iterator["Family"]:
        """Every metric there is, also those that nothing was counted of."""
        from prometheus_client import core  # noqa: PLC0415

        families: dict[str, Any] = {}
        for metric in METRICS.values():
            made = {
                "counter": core.CounterMetricFamily,
                "gauge": core.GaugeMetricFamily,
                "histogram": core.HistogramMetricFamily,
            }[metric.kind]
            families[metric.name] = made(metric.name, metric.doc, labels=metric.labels)
        measures = self._found.measures
        for (name, labels), value in (*sorted(measures.sums.items()), *sorted(self._found.gauges.items())):
            families[name].add_metric(labels, value)
        for (name, labels), spread in sorted(measures.spreads.items()):
            total, buckets = 0, []
            for bound, count in zip((*METRICS[name].bounds, None), spread.counts, strict=True):
                total += count
                buckets.append(("+Inf" if bound is None else str(bound), total))
            families[name].add_metric(labels, buckets, spread.total)
        yield from families.values()
