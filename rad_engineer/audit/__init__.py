"""The audit log of a run: who did what, in a chain that shows where somebody has changed it.

    <run>/audit/0001.jsonl, 0002.jsonl, …             the records, a line each (audit/chain.py)
    $XDG_STATE_HOME/rad-engineer/audit/key            the user's key: 0600, made when it is first needed
    $XDG_STATE_HOME/rad-engineer/audit/heads/<run>    where each chain ends
    $XDG_STATE_HOME/rad-engineer/audit/user/          what belongs to no run: what is trusted, which key is kept

One process writes: the coordinator, which holds the lock of the run. `verification.check` looks a log through.
"""

from rad_engineer.audit.log import AuditLog, of_run, of_user

__all__ = ["AuditLog", "of_run", "of_user"]
