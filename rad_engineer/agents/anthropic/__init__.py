"""Our own agent: a loop on the vendor's streaming Messages API, with tools in the slot and a transcript per turn."""

from rad_engineer.agents import AgentResult, AgentWork


def run(work: AgentWork) -> AgentResult:
    """Works on a story; goes on with an attempt whose transcript is open. The SDK is loaded here, not before."""
    from rad_engineer.agents.anthropic.loop import run as run_loop  # noqa: PLC0415 - 0.7 s and 69 MB

    return run_loop(work)
