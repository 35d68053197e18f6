"""The one door to every model: a process of its own that limits, budgets, caches, records and survives faults.

`door` is the coordinator's side and loads nothing heavy; everything else runs in the gateway's own process.
"""
