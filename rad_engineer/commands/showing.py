"""The screen of a run: which view, what is said first, and what is left at the end."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rad_engineer.agents.choice import Choice
from rad_engineer.core.events import Event
from rad_engineer.core.graph import Graph
from rad_engineer.errors import ExitCode
from rad_engineer.launch.ground import Ground
from rad_engineer.launch.inputs import Inputs
from rad_engineer.launch.models import Access
from rad_engineer.launch.order import Ended
from rad_engineer.watch import View
from rad_engineer.watch.events import EventStream
from rad_engineer.watch.output import Output
from rad_engineer.watch.plain import PlainView


class Screen:
    """One JSON event a line, a live view on a terminal, plain lines anywhere else."""

    def __init__(self, *, json: bool, plain: bool) -> None:
        self.json = json
        self.plain = plain
        self.view: View = EventStream() if json else PlainView()
        self._err = Output(sys.stderr)

    @property
    def views(self) -> tuple[View, ...]:
        """Who looks on."""
        return (self.view,)

    def start(self, inputs: Inputs, agent: Choice, access: Access | None, place: Ground) -> None:
        """Says what is about to happen; the active agent above all."""
        if self.json:
            return
        if not self.plain:
            from rad_engineer.watch import live  # noqa: PLC0415 - a view is loaded where it is shown

            if live.possible():
                self.view = live.LiveView(inputs.graph, jobs=place.settings.jobs)
        self._err.write("".join(f"{line}\n" for line in _who(agent, access)))
        if place.repository is None:
            self._err.write(
                f"workspace: shared, {place.top}: nothing lands, work is never more than unverified\n"
            )
        for finding in (*inputs.graph.findings, *(f for prd in inputs.prds for f in prd.findings))[:20]:
            self._err.write(f"warning: {finding.message}\n")

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Takes the view away before an error is told."""
        whole = False
        try:
            yield
            whole = True
        finally:
            if not whole:
                self.view.close()

    def served(self, place: Ground) -> AbstractContextManager[None]:
        """Tells of the run over HTTP as long as it goes on, if that is wanted."""
        if not place.settings.serve:
            return nullcontext()
        from rad_engineer.server import companion  # noqa: PLC0415 - where it is asked for

        return companion.beside(place, self._err.write)

    def finish(self, graph: Graph, ended: Ended, place: Ground) -> None:
        """Writes the reports and leaves the summary on the screen."""
        from rad_engineer import past_run  # noqa: PLC0415 - nothing is reported before the end

        if ended.run is None:
            past_run.complete(place)
            text = _nothing(graph, ended)
            if self.json:
                told = {"exit_code": int(ended.exit_code), "text": text.rstrip()}
                event = Event("run_finished", 0, round(time.time(), 3), "", data=told)
                self.view.on_event(event, ended.checkpoint)
            self.view.close("" if self.json else text)
            return
        from rad_engineer.core.report_text import summary  # noqa: PLC0415 - nothing is reported before the end

        about = {"settings": {"keep_going": place.settings.keep_going}}
        report = past_run.PastRun(
            ended.run, about, graph, ended.checkpoint, alive=False, ground=place
        ).report()
        past_run.write_report(ended.run, report)
        self.view.close("" if self.json else summary(report, _columns()))


def _who(agent: Choice, access: Access | None) -> list[str]:
    """Who works, and what they may spend."""
    if agent.agents == ("mock",):
        return [f"agent: MOCK, from {agent.origin}: a rehearsal, nothing lands, nothing is marked done"]
    if agent.rehearsal:
        return ["agent: none configured, so this is a REHEARSAL with the mock agent: nothing lands"]
    told = [f"agent: {agent.sentence()}", *(f"warning: {line}" for line in agent.warnings)]
    return told if access is None else [*told, access.told]


def _nothing(graph: Graph, ended: Ended) -> str:
    if not graph.stories:
        return "nothing to do: there are no stories\n"
    if ended.exit_code == 0:
        return f"nothing to do: all {len(graph.stories)} stories are done\n"
    return f"nothing can start: what is left waits\n{ended.why}\n"


def _columns() -> int:
    import shutil  # noqa: PLC0415 - only at the end

    return shutil.get_terminal_size((80, 24)).columns


def deployed(ended: Ended, place: Ground) -> int:
    """What follows the end of a run where a deployment is configured: the exit code of both together."""
    wanted = place.settings
    if not wanted.deploy_command or ended.exit_code != ExitCode.OK or not (ended.run or wanted.deploy):
        return int(ended.exit_code)
    from rad_engineer.delivery import deploy_stage  # noqa: PLC0415 - most projects have none

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return int(deploy_stage.carry_out(deploy_stage.due(place), tell, execute=wanted.deploy))
