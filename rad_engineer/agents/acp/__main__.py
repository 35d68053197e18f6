"""`python -m rad_engineer.agents.acp PROMPT_FILE SESSION MODEL AGENT…`: one turn of that agent in the current directory."""

import asyncio
import logging
import sys
from functools import partial
from pathlib import Path

from rad_engineer.agents.acp.session import Asked, turn
from rad_engineer.agents.acp.told import Telling
from rad_engineer.durable import write_all


def main() -> int:
    """Runs it; 0 when the agent came to the end of its turn."""
    logging.disable()  # the library logs what an agent sends wrongly, with tracebacks
    prompt, session, model, *agent = sys.argv[1:]
    asked = Asked(Path(prompt).read_text("utf-8", "replace"), session, model)
    return asyncio.run(turn(asked, Path.cwd(), agent, Telling(partial(write_all, sys.stdout.fileno()))))


if __name__ == "__main__":
    sys.exit(main())
