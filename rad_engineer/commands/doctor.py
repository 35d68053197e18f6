"""doctor: what this machine and this repository offer, what is missing, and what to do about it."""

import json as json_format
import os
from dataclasses import asdict

from rad_engineer.core.printable import one_line, plain
from rad_engineer.delivery import prerequisites
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground


def doctor(*, json: bool) -> int:
    """Prints every check; 78 when something is missing."""
    checks = list(prerequisites.look(ground.folder(), os.environ))
    missing = any(check.status == "missing" for check in checks)
    if json:
        document = {"schema_version": 1, "ok": not missing, "checks": [asdict(check) for check in checks]}
        print(json_format.dumps(document, indent=2))
    else:
        for check in checks:
            print(f"{check.status:8} {check.name:14} {one_line(check.detail)}")
            if check.hint:
                print(f"{'':23} hint: {plain(check.hint)}")
    return ExitCode.BAD_CONFIG if missing else ExitCode.OK
