"""What the end of a run means as an exit code."""

from collections.abc import Iterable

from rad_engineer.core.checkpoint import StoryRecord
from rad_engineer.errors import ExitCode

_STUCK = frozenset({"blocked", "interrupted", "waiting", "running", "landing"})


def exit_code(
    records: Iterable[StoryRecord], *, more: bool, gates_red: bool, open_stories: int, allow_unverified: bool
) -> ExitCode:
    """The first that holds: more could start, something failed, something waits, all is well.

    `records` are those of the stories that the PRDs have now, `open_stories` counts those that have neither ended
    nor landed. Signals, bugs, full disks and rehearsals come before all of this and are not asked about here.
    """
    if more:
        return ExitCode.MORE
    records = tuple(records)
    statuses = {record.status for record in records}
    if gates_red or "failed" in statuses:
        return ExitCode.FAILED
    unproved = any(record.status == "done-unverified" and not record.landed for record in records)
    if statuses & _STUCK or open_stories or (unproved and not allow_unverified):
        return ExitCode.WAITING
    return ExitCode.OK
