"""status: what a run has done and is doing, from its directory; it takes no lock and disturbs nobody."""

import shutil
import signal
import sys
import time
from json import dumps
from types import FrameType

from rad_engineer import past_run
from rad_engineer.core import report_text
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.report import Report
from rad_engineer.errors import ExitCode
from rad_engineer.past_run import PastRun
from rad_engineer.watch import View, live
from rad_engineer.watch.events import EventStream
from rad_engineer.watch.journal_tail import JournalTail
from rad_engineer.watch.live import LiveView
from rad_engineer.watch.plain import PlainView

_POLL = 0.25
_LOOK = 4  # polls between two looks at the run's process


def status(
    prd: str | None = None,
    *,
    run: str | None = None,
    json: bool = False,
    watch: bool = False,
    plain: bool = False,
) -> int:
    """Prints the state of the newest run, or of that PRD's; with `watch` it follows the run to its end."""
    found = past_run.find(prd=prd, run=run)
    if watch and found.alive:
        found = _follow(found, _view(found, json=json, plain=plain))
        if json:
            return ExitCode.OK
    report = found.report()
    print(dumps(report.to_json(), indent=2) if json else text(report, columns()), end="\n" if json else "")
    return ExitCode.OK


def text(report: Report, width: int) -> str:
    """The state for people; while the run goes on, with what is running."""
    head = f"run {report.run}: {report.state}\n" if report.run else ""
    return head + report_text.summary(report, width)


def columns() -> int:
    """How wide the output may be."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 100


def _view(found: PastRun, *, json: bool, plain: bool) -> View:
    if json:
        return EventStream()
    if plain or not live.possible():
        return PlainView()
    jobs = found.about.get("settings", {}).get("jobs")
    return LiveView(found.graph, jobs=jobs if isinstance(jobs, int) else 1)


def _follow(found: PastRun, view: View) -> PastRun:
    """Feeds the journal to the view until the run has ended or its process is gone."""
    if found.rundir is None:
        return found
    signal.signal(signal.SIGTERM, _terminated)
    tail, checkpoint, polls = JournalTail(found.rundir.journal), Checkpoint(run=found.rundir.run), 0
    try:
        while True:
            for event in tail.events():
                checkpoint.apply(event)
                view.on_event(event, checkpoint)
            view.tick(time.time())
            ended = checkpoint.state not in ("new", "running")
            if polls % _LOOK == 0 and not ended:
                ended = not past_run.is_alive(found.rundir, found.about, checkpoint, found.ground)
            if ended:
                return past_run.read(found.rundir, found.ground)
            polls += 1
            time.sleep(_POLL)
    finally:
        view.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """Ends the command in order, so that the terminal is given back."""
    raise SystemExit(ExitCode.TERMINATED)
