"""Prints what was built from what, by whom: an in-toto statement with SLSA provenance. Nobody has signed it."""

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD_TYPE = "rad-engineer/release/build@1"


def main() -> None:
    """Reads SHA256SUMS of a folder, and prints the statement for what is listed there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name in ("--commit", "--tag", "--started"):
        parser.add_argument(name, required=True)
    json.dump(statement(parser.parse_args()), sys.stdout, indent=2)
    sys.stdout.write("\n")


def statement(asked: argparse.Namespace) -> dict[str, object]:
    """The statement, as in-toto v1 has it."""
    lines = (asked.folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    subjects = [{"name": name, "digest": {"sha256": digest}} for digest, name in map(str.split, lines)]
    pinned = REPOSITORY / "requirements" / "dev.txt"
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"tag": asked.tag or None},
                "internalParameters": {"python": platform.python_version(), "system": platform.platform()},
                "resolvedDependencies": [
                    {"name": "rad-engineer", "digest": {"gitCommit": asked.commit}},
                    {"name": "requirements/dev.txt", "digest": {"sha256": digest}},
                ],
            },
            "runDetails": {
                "builder": {"id": _builder()},
                "metadata": {
                    "invocationId": os.environ.get("GITHUB_RUN_ID", "local"),
                    "startedOn": asked.started,
                    "finishedOn": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
            },
        },
    }


def _builder() -> str:
    """Who says so: a workflow of the forge, or somebody's machine. Without a signature both are only words."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return "{GITHUB_SERVER_URL}/{GITHUB_WORKFLOW_REF}".format_map(os.environ)
    return "rad-engineer/release/local@1"


if __name__ == "__main__":
    main()
