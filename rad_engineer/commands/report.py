"""report: print the report of a run."""

import os
import sys

from rad_engineer import past_run, store
from rad_engineer.errors import NoInput
from rad_engineer.launch import ground


def report(*, run: str | None, json: bool) -> int:
    """Prints report.md or report.json of the newest run, or of the one named."""
    place = ground.look(os.environ)
    for rundir in store.runs(place.home):
        wanted = run is None or rundir.run.startswith(run)
        found = past_run.report_text(rundir, place, json=json) if wanted else None
        if found is not None:
            sys.stdout.write(found)
            return 0
    raise NoInput(
        f"there is no report of {run or 'any run'} here", hint="`rad-engineer status` shows a run without one"
    )
