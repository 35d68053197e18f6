"""The states a story is in while a schedule is worked through, as small numbers."""

from typing import Final

from rad_engineer.core.prd import StoryState

PENDING: Final = 0
RUNNING: Final = 1
LIMITED: Final = 2  # waits for a limit: it goes on by itself, so what stands behind it waits too
WAITING: Final = 3  # waits for a person: holds only its dependents
PASSED: Final = 4
ALREADY_DONE: Final = 5
FAILED: Final = 6
UNVERIFIED: Final = 7
SKIPPED: Final = 8
BLOCKED: Final = 9

OPEN: Final = (True, True, True, True, False, False, False, False, False, False)
"""By state: has the story not ended?"""

NAMES: Final = (
    "pending",
    "running",
    "waiting",
    "waiting",
    "passed",
    "already-done",
    "failed",
    "done-unverified",
    "skipped",
    "blocked",
)

BY_STATUS: Final = {
    "passed": PASSED,
    "already-done": ALREADY_DONE,
    "failed": FAILED,
    "done-unverified": UNVERIFIED,
    "skipped": SKIPPED,
    "waiting": WAITING,
    "landing": RUNNING,
}
"""Every other status, `blocked` too, says only that the story has not ended: what blocks it is found anew."""

BY_FILE: Final[dict[StoryState, int]] = {
    "todo": PENDING,
    "done": ALREADY_DONE,
    "skipped": SKIPPED,
    "blocked": SKIPPED,
    "human": WAITING,
}
