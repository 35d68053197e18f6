"""metrics: figures of the runs here, in the text format of Prometheus."""

import os
import sys
from json import dumps
from pathlib import Path

from rad_engineer import durable, past_run, store
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground
from rad_engineer.watch import metrics as figures


def metrics(*, json: bool, output: str | None) -> int:
    """Prints what the runs of this place have counted, or replaces a file with it."""
    place = ground.look(os.environ)
    runs = [rundir.path for rundir in past_run.folders(place)]
    folders = [store.runs_folder(place.home)]
    found = figures.snapshot(runs, folders=folders)
    text = dumps(figures.document(found), indent=2) + "\n" if json else figures.exposed(found)[0].decode()
    for run in found.damaged:
        print(
            f"rad-engineer: warning: the run {run} is damaged, so not all of it is counted",
            file=sys.stderr,
        )
    if output is None:
        sys.stdout.write(text)
        return ExitCode.OK
    durable.export(Path(output), text.encode())
    return ExitCode.OK
