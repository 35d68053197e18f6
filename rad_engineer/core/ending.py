"""What the end of a run means as an exit code."""

from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.errors import ExitCode


def exit_code(
    checkpoint: Checkpoint, *, more: bool, gates_red: bool, open_stories: int, allow_unverified: bool
) -> ExitCode:
    """The first that holds: more could start, something failed, something waits, all is well.

    `open_stories` counts those that have neither ended nor landed; signals, bugs and full disks come before all
    of this and are not asked about here.
    """
    records = checkpoint.stories.values()
    if more:
        return ExitCode.MORE
    if gates_red or any(record.status == "failed" for record in records):
        return ExitCode.FAILED
    unproved = any(record.status == "done-unverified" and not record.landed for record in records)
    if checkpoint.kind == "rehearsal" or open_stories or (unproved and not allow_unverified):
        return ExitCode.WAITING
    return ExitCode.OK
