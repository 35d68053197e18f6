"""Prints what a campaign came to: victims, rounds, kills, and how often which truth was broken."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stats = terminalreporter.stats
    reports = [report for how in ("passed", "failed") for report in stats.get(how, ())]
    rounds = [value for report in reports for name, value in report.user_properties if name == "round"]
    if not rounds:
        return
    terminalreporter.section("kills")
    terminalreporter.line("| victim | rounds | kills | processes | violations | of which |")
    terminalreporter.line("|---|--:|--:|--:|--:|---|")
    for victim in dict.fromkeys(entry[0] for entry in rounds):
        mine = [entry for entry in rounds if entry[0] == victim]
        broken = Counter(name for entry in mine for name in entry[3])
        which = ", ".join(f"{name} {count}" for name, count in sorted(broken.items()))
        kills, processes = (sum(entry[column] for entry in mine) for column in (1, 2))
        terminalreporter.line(
            f"| {victim} | {len(mine)} | {kills} | {processes} | {broken.total()} | {which} |"
        )
