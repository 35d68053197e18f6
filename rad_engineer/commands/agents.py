"""agents: which agents are installed here, what each can do, and who counts what it spends."""

import json as json_text
import os
from dataclasses import dataclass
from typing import Any

from rad_engineer.agents import cli_agents
from rad_engineer.agents.adapters import ADAPTERS, Adapter, account
from rad_engineer.agents.choice import OWN_LOOP, has_key, unmetered


@dataclass(frozen=True, slots=True)
class Row:
    """One agent on this machine."""

    name: str
    version: str
    installed: bool
    metered: bool
    can: tuple[str, ...]
    login: str
    hosts: tuple[str, ...] = ()
    checked: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form for programs."""
        return {"name": self.name, "installed": self.installed, "version": self.version, "metered": self.metered,
                "can": list(self.can), "login": self.login, "hosts": list(self.hosts), "checked": self.checked, "warnings": list(self.warnings)}  # fmt: skip


def agents(*, json: bool) -> int:
    """Prints what is there."""
    from rad_engineer import __version__  # noqa: PLC0415 - only here

    key = has_key(os.environ)
    own = Row(OWN_LOOP, f"rad-engineer {__version__}", key, True, ("events", "cost", "model", "resume"),
              "" if key else "there is no key: rad-engineer login")  # fmt: skip
    rows = [own, *(_row(adapter, key=key) for adapter in ADAPTERS.values())]
    if json:
        print(
            json_text.dumps(
                {"schema_version": 1, "key": key, "agents": [row.to_json() for row in rows]}, indent=2
            )
        )
        return 0
    print("\n".join(_lines(rows)))
    return 0


def _row(adapter: Adapter, *, key: bool) -> Row:
    found = cli_agents.probe(adapter, os.environ)
    can = [
        "text" if adapter.dialect == "aider" else "events",
        *(["cost"] if adapter.costs else []),
        *(["model"] if adapter.model or adapter.acp else []),
        *(["resume"] if adapter.resume or adapter.acp else []),
        *(["permissions"] if adapter.acp else []),
    ]
    lacks = cli_agents.lacking(adapter) if found.path else ""
    metered = not unmetered(adapter.name, key=key)
    return Row(adapter.name, found.version, bool(found.path), metered, tuple(can),
               "" if metered else account(adapter), () if metered else adapter.hosts, adapter.checked, (*found.warnings, *filter(None, [lacks])))  # fmt: skip


def _lines(rows: list[Row]) -> list[str]:
    table = [("AGENT", "INSTALLED", "COUNTED", "CAN", "ITS LOGIN")]
    for row in rows:
        version = (row.version or "yes") if row.installed else "no"
        table.append(
            (
                row.name,
                version,
                "metered" if row.metered else "unmetered",
                " ".join(row.can),
                row.login if row.installed or row.metered else "",
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    lines = [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line[:4], widths, strict=True)), line[4]]
        ).rstrip()
        for line in table
    ]
    return [
        *lines,
        "",
        "metered: its calls pass the gateway, which keeps the budget. unmetered: it works on its own login, and",
        "nobody counts what it spends; under a budget it needs --allow-unmetered.",
        "In a sandbox an agent sees its own login only with --credentials AGENT; --json names the hosts it then reaches.",
        "permissions: over the Agent Client Protocol it asks before it touches a file, and keeps to the working copy.",
        *(f"warning: {warning}" for row in rows for warning in row.warnings),
    ]
