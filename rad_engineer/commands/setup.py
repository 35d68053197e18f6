"""setup: what a user sets once, asked at a terminal or given as options."""

import os
import sys

from rad_engineer import first_run


def setup(*, agent: str | None, default_budget: str | None, completion: str | None) -> int:
    """Asks what is not given, and keeps it."""
    given = {"agent.name": agent, "budget.run": default_budget, "completion": completion}
    first_run.set_up(given, os.environ, lambda line: print(line, file=sys.stderr))
    return 0
