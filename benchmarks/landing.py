"""A landing alone: merge without a checkout, commit, and the branch moved by compare-and-swap."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from rad_engineer import git, swap
from rad_engineer.slots.pool import Pool

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
    parent, tip = (git.resolve(repository, f"{work}~{number}") for number in (1, 2))
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        pool = Pool(repository, Path(cache), BRANCH)
        pool.teach(work)
        pool.teach(tip)
        seconds = [_land(repository, pool, work, parent, tip) for _ in range(TIMES)]
    git.update_refs(repository, [(f"refs/heads/{BRANCH}", "", None)])
    return statistics.median(seconds) * 1000


def _land(repository: git.Repository, pool: Pool, work: str, parent: str, tip: str) -> float:
    git.update_refs(repository, [(f"refs/heads/{BRANCH}", tip, None)])
    began = time.perf_counter()
    ref = f"refs/rad/{BRANCH}-candidates/one"
    with pool.quarantined() as quarantine:
        merged = pool.merge(tip, work, parent=parent, quarantine=quarantine)
        new = pool.candidate(tip, work, str(merged.tree), parent=parent, quarantine=quarantine)
        pool.keep_candidates({ref: new}, quarantine)
    git.checked_out(repository)
    moved = swap.swap(repository, BRANCH, BRANCH, old=tip, new=new, done=(ref,))
    seconds = time.perf_counter() - began
    if not moved:
        raise RuntimeError("the branch was moved by somebody else")
    return seconds
