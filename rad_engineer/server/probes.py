"""How the server itself is: for probes, for whoever watches it, and for those who look for what is wrong."""

import os
import time
from collections.abc import Mapping
from typing import Any

import psutil

from rad_engineer import __version__, store
from rad_engineer.errors import RadError
from rad_engineer.server import models
from rad_engineer.server.answers import Problem
from rad_engineer.server.connections import Census
from rad_engineer.server.operations import Operation, Response
from rad_engineer.server.runs import UNREADABLE, Followed, Runs
from rad_engineer.watch import metrics

_MEGABYTE = 1 << 20


class Probes:
    """The routes that tell of the server."""

    def __init__(self, runs: Runs, census: Census, most: int) -> None:
        self._runs = runs
        self._census = census
        self._most = most
        self._began = time.monotonic()
        self._process = psutil.Process()

    def operations(self) -> tuple[Operation, ...]:
        """Its part of the route table."""
        return (
            Operation("/health", "health", "The process answers.", self.health, models.Health,
                      open=True, limited=False, quick=True),
            Operation("/ready", "ready", "Whether questions about runs can be answered; 503 names what is missing.",
                      self.ready, models.Ready, open=True, limited=False, unready=True),
            Operation("/status", "status", "How the server and the newest run are.", self.status, models.Status,
                      limited=False),
            Operation("/metrics", "metrics", "What runs have counted, in the text format of Prometheus.", self.metrics,
                      None, limited=False, reads=True, kind="text/plain"),
        )  # fmt: skip

    def health(self, _path: Mapping[str, str], _asked: Any) -> Response:
        """It reads nothing: it answers also when the disk does not."""
        return Response(models.Health(version=__version__).model_dump_json().encode())

    def ready(self, _path: Mapping[str, str], _asked: Any) -> Response:
        """Each component by itself."""
        components = [self._store(), self._newest(), self._connections()]
        ok = all(component.ok for component in components)
        body = models.Ready(status="ok" if ok else "unavailable", components=components)
        return Response(body.model_dump_json().encode(), 200 if ok else 503)

    def status(self, _path: Mapping[str, str], _asked: Any) -> Response:
        """The newest run, read on from where it was left."""
        store_ok = self._store().ok
        with self._runs as runs:
            every = runs.all() if store_ok else []
            followed: Followed | None = None
            state: Any = None
            if every:
                try:
                    followed = runs.follow(every[0])
                    state = followed.state
                except (*UNREADABLE, Problem):
                    state = "damaged"
            counts: Mapping[str, int] = followed.counts() if followed is not None else {}
            alive = followed is not None and followed.alive
            level = followed.checkpoint.sandbox if followed is not None else ""
            body = models.Status(
                version=__version__,
                uptime_seconds=round(time.monotonic() - self._began, 3),
                run=every[0].run if every else None,
                state=state,
                queue=models.Queue(
                    **{name: counts.get(name, 0) for name in ("pending", "running", "landing", "waiting")},
                    lag_seconds=round(followed.lag(), 3) if followed is not None else 0.0,
                ),
                store=models.Store(
                    ok=store_ok and state != "damaged",
                    runs=len(every),
                    damaged_lines=followed.damaged if followed is not None else 0,
                ),
                sandbox=models.Sandbox(level=level, alive=level != "off") if alive else None,
                memory_mb=round(self._process.memory_info().rss / _MEGABYTE, 1),
                connections=models.Connections(
                    open=len(self._census), limit=self._most, refused=self._census.refused
                ),
            )
        return Response(body.model_dump_json().encode())

    def metrics(self, _path: Mapping[str, str], _asked: Any) -> Response:
        """Of all runs, those that are gone included."""
        with self._runs as runs:
            paths = [each.path for each in runs.all()]
        try:
            body, kind = metrics.exposition(paths, folders=self._runs.folders)
        except RadError as error:  # without them counters would fall
            raise Problem(503, "damaged", "the totals of runs that were removed cannot be read") from error
        return Response(body, kind=kind)

    def _store(self) -> models.Component:
        """Whether the folders of runs can be listed; one that nothing has been run in yet need not be there."""
        for folder in self._runs.folders:
            try:
                os.listdir(folder)  # noqa: PTH208 -- nothing but whether it can be done
            except FileNotFoundError:
                continue
            except OSError as error:
                return models.Component(name="store", ok=False, detail=error.strerror or "cannot be read")
        return models.Component(name="store", ok=True, detail="")

    def _newest(self) -> models.Component:
        try:
            every = self._runs.all()  # without the lock: a probe waits for nobody who reads a long run
            for newest in every[:1]:
                newest.read_run()
                store.ending(newest)
        except (*UNREADABLE, Problem) as error:
            return models.Component(name="newest-run", ok=False, detail=type(error).__name__)
        detail = "" if every else "nothing has been run here yet"
        return models.Component(name="newest-run", ok=True, detail=detail)

    def _connections(self) -> models.Component:
        return models.Component(name="connections", ok=len(self._census) < self._most, detail="")
