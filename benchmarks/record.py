"""The figures of a run as a document, and two such documents side by side."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from cases import Line

SCHEMA_VERSION = 1
HERE = Path(__file__).parent


class Record:
    """What a run has measured, and under which load."""

    def __init__(self, *, quick: bool, rounds: int) -> None:
        self._about = {
            "at": int(time.time()),
            "commit": _commit(),
            "machine": f"{os.cpu_count()} processors, {platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "quick": quick,
            "rounds": rounds,
            "load_before": round(os.getloadavg()[0], 2),
        }
        self._lines: list[dict[str, Any]] = []

    def add(self, line: Line) -> None:
        """One figure more."""
        if line.value is None:
            return
        self._lines.append(
            {
                "what": line.what.strip(),
                "value": round(line.value, 4),
                "unit": line.unit,
                "target": line.target,
                "met": line.met,
                "beside": line.beside,
                "load": round(os.getloadavg()[0], 2),
            }
        )

    def content(self) -> dict[str, Any]:
        """The document."""
        return {"schema_version": SCHEMA_VERSION, **self._about, "lines": self._lines}

    def write(self, path: Path) -> None:
        """Writes the document."""
        path.write_text(json.dumps(self.content(), indent=1) + "\n")


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def read(path: Path) -> dict[str, Any]:
    """An earlier run's document."""
    content: dict[str, Any] = json.loads(path.read_text())
    if content.get("schema_version") != SCHEMA_VERSION:
        raise SystemExit(f"{path} has schema_version {content.get('schema_version')!r}, not {SCHEMA_VERSION}")
    return content


def compared(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """A table of what both have measured: before, after, and after over before."""
    lines = [f"{'what':72} {'before':>10} {'after':>10} {'ratio':>7}  load"]
    old = {line["what"]: line for line in before["lines"]}
    for line in after["lines"]:
        found = old.get(line["what"])
        if found is None:
            continue
        times = f"{line['value'] / found['value']:.2f} x" if found["value"] else ""
        lines.append(
            f"{line['what']:72} {found['value']:10.2f} {line['value']:10.2f} {times:>7}  "
            f"{found['load']:.1f}, {line['load']:.1f}"
        )
    if before["machine"] != after["machine"] or before["quick"] != after["quick"]:
        lines.append("another machine, or another size: only the ratios to peers say anything")
    return lines
