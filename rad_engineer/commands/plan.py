"""plan: show waves, needs, the longest way, what would start and why the rest would not."""

import gc
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from rad_engineer import settings
from rad_engineer.core import plan as plans
from rad_engineer.core.graph import Graph
from rad_engineer.core.plan import Plan
from rad_engineer.core.printable import one_line
from rad_engineer.errors import ExitCode, UsageError
from rad_engineer.launch import ground, inputs
from rad_engineer.settings import Settings
from rad_engineer.watch.output import Output

_WARNINGS = 20
_CHUNK = 4000


def plan(*, prds: Sequence[str], format: str, json: bool, flags: Mapping[str, object]) -> int:  # noqa: A002
    """Prints the plan; raises PrdInvalid or NoInput where there is none."""
    gc.disable()  # all that is made stays until the end
    top = ground.work_tree(ground.folder()) or ground.work_tree(Path(prds[0]).absolute().parent)
    wanted = settings.load(top, flags, os.environ)
    reading = inputs.Reading(
        top, wanted.stories_path, wanted.tag, parallel=wanted.parallel, allow_dangling=wanted.allow_dangling
    )
    graph = inputs.read(prds, reading).graph
    made = plans.make(graph, only=_only(graph, wanted), wave=_wave(graph, wanted))
    for chunk in _chunks(_lines(made, "json" if json else format)):
        sys.stdout.write(chunk)
    sys.stdout.flush()
    for finding in made.findings[:_WARNINGS]:
        Output(sys.stderr).line(f"warning: {one_line(finding.message)}")
    if len(made.findings) > _WARNINGS:
        Output(sys.stderr).line(f"and {len(made.findings) - _WARNINGS} more warnings")
    return ExitCode.OK


def _lines(made: Plan, shape: str) -> Iterator[str]:
    if shape == "json":
        return plans.json_lines(made)
    if shape == "text":
        from rad_engineer.core import plan_text  # noqa: PLC0415 - one of four

        return plan_text.lines(made, shutil.get_terminal_size((80, 24)).columns)
    from rad_engineer.core import plan_drawing  # noqa: PLC0415 - two of four

    return plan_drawing.mermaid(made) if shape == "mermaid" else plan_drawing.dot(made)


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    """Lines in handfuls: a write each would cost more than making them."""
    iterator = iter(lines)
    while chunk := list(islice(iterator, _CHUNK)):
        yield "\n".join(chunk) + "\n"


def _only(graph: Graph, wanted: Settings) -> frozenset[int] | None:
    return frozenset(inputs.find_story(graph, name) for name in wanted.only) or None


def _wave(graph: Graph, wanted: Settings) -> int | None:
    if wanted.wave is not None and graph.select_wave(wanted.wave) is None:
        raise UsageError(f"there is no wave {wanted.wave}", hint=f"there are {len(graph.waves)}")
    return wanted.wave
