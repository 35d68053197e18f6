"""A landing alone: merge without a checkout, commit, and the branch moved by compare-and-swap."""

import os
import statistics
import time
from pathlib import Path

from rad_engineer import git, swap

TIMES = 15
BRANCH = "benchmark"


def milliseconds(folder: Path) -> float:
    """The median of some landings of the newest commit of the run branch on a tip that it does not stand on."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        repository = git.discover(folder)
    finally:
        os.chdir(here)
    (branch,) = (ref for ref in git.refs(repository, "refs/heads/") if ref != "refs/heads/main")
    work = git.resolve(repository, branch)
    tip = git.resolve(repository, f"{work}~2")
    seconds = [_land(repository, work, tip) for _ in range(TIMES)]
    git.update_refs(repository, [(f"refs/heads/{BRANCH}", "", None)])
    return statistics.median(seconds) * 1000


def _land(repository: git.Repository, work: str, tip: str) -> float:
    git.update_refs(repository, [(f"refs/heads/{BRANCH}", tip, None)])
    began = time.perf_counter()
    merged = git.merge(repository, tip, work)
    new = git.commit_tree(repository, str(merged.tree), tip, f"landing {began}", repository.author)
    git.checked_out(repository)
    moved = swap.swap(repository, BRANCH, "benchmark", old=tip, new=new, done=())
    seconds = time.perf_counter() - began
    if not moved:
        raise RuntimeError("the branch was moved by somebody else")
    return seconds
