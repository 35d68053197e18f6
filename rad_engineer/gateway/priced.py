"""Which models have a price, asked in a process of its own: the table is large, and workers are forked from ours."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rad_engineer import process
from rad_engineer.gateway.door import environment

CURRENT = frozenset({"claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"})
"""Nobody has to be asked about these."""
_SECONDS = 60.0


def known(names: Iterable[str], own: Mapping[str, Any]) -> frozenset[str]:
    """Those of these models that a call may be made to; `own` are the user's own prices.

    Where nobody can be asked all of them are: the gateway has the last word.
    """
    wanted = frozenset(names)
    asked = sorted(wanted - own.keys() - CURRENT)
    if not asked:
        return wanted
    argv = [sys.executable, "-P", "-m", __name__, *asked]
    code, out, _ = process.capture(argv, env=environment(), timeout=_SECONDS)
    return wanted.difference(asked).union(json.loads(out)) if code == 0 else wanted


def main(names: list[str]) -> int:
    """Prints those of these models that are in the table."""
    from rad_engineer.gateway.prices import Prices  # noqa: PLC0415 - this is what a process is started for

    prices = Prices({})
    sys.stdout.write(json.dumps([name for name in names if prices.knows(name)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
