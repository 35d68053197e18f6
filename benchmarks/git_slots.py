"""What isolation and landing cost a story: `python benchmarks/git_slots.py [FILES…]` prints medians in ms.

Each story moves a slot to the tip, changes one file and adds one, is staged, committed, adopted and swapped in;
every second one is merged with a tip that has moved. A gate copy is moved to the result as well. Beside them:
what git alone costs here (a fresh work tree), and how long a process takes that does nothing.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from rad_engineer import git
from rad_engineer.slots.pool import Pool

STORIES = 24
PER_FOLDER = 20
ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def make(top, files):
    for number in range(files):
        path = (
            top
            / f"pkg{number // (PER_FOLDER * 20):02d}"
            / f"mod{number // PER_FOLDER % 20:02d}"
            / f"f{number:05d}.py"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line {number} of a file\n" * 110)
    for command in (
        "init -q -b main",
        "add -A",
        "-c user.name=a -c user.email=a@b commit -q -m base",
        "repack -q -a -d",
    ):
        subprocess.run(["git", *command.split()], cwd=top, env=ENV, check=True)


def measure(seconds, name, function, *arguments, **options):
    started = time.perf_counter()
    result = function(*arguments, **options)
    seconds[name].append(time.perf_counter() - started)
    return result


def stories(pool, repo, scratch, seconds):
    branch, base = "refs/heads/rad/bench", git.head(repo)
    git.update_refs(repo, [(branch, base, "")])
    slot, gate = pool.slot("slot", 1), pool.slot("gate", 1)
    measure(seconds, "first move of a slot", pool.move, slot, base, base)
    measure(seconds, "first move of a gate copy", pool.move, gate, base, base)
    # Files as old as the index are compared by content: what follows is the steady state.
    time.sleep(1.1)
    for each in (slot, gate):
        pool.move(each, base, base)
    tip, before = base, base
    for number in range(STORIES):
        start = before if number % 2 else tip
        spent = -time.perf_counter()
        measure(seconds, "move", pool.move, slot, start, start)
        (slot.path / "pkg00" / "mod00" / "f00000.py").write_text(
            f"story {number if number % 2 == 0 else ''}\n"
        )
        (slot.path / "pkg00" / "mod01" / f"new{number}.py").write_text(f"new {number}\n")
        if number % 2:
            (slot.path / "pkg00" / "mod00" / "f00000.py").write_bytes(
                pool.read(start, "pkg00/mod00/f00000.py")
            )
        quarantine = scratch / str(number)
        staged = measure(seconds, "stage", pool.stage, slot, start, quarantine)
        message = f"story {number}\n\nRad-Run: bench\nRad-Story: {number}\nRad-Identity: {number}\n"
        commit = measure(seconds, "commit", pool.commit, staged, start, message, quarantine)
        measure(seconds, "adopt", pool.adopt, quarantine)
        kind = "tip moved" if tip != start else "tip unmoved"
        with pool.quarantined() as place:
            options = {"parent": start, "quarantine": place}
            merged = measure(seconds, f"merge, {kind}", pool.merge, tip, commit, **options)
            landed = measure(
                seconds, f"candidate, {kind}", pool.candidate, tip, commit, merged.tree, **options
            )
            measure(seconds, f"kept, {kind}", pool.keep_candidates, {"refs/rad/bench/c": landed}, place)
        changes = [(branch, landed, tip), ("refs/rad/bench/tip", landed, None)]
        assert measure(seconds, "swap", git.update_refs, repo, changes)
        seconds["STORY"].append(spent + time.perf_counter())
        measure(seconds, "gate copy moved", pool.move, gate, landed, landed)
        before, tip = tip, landed


def main(sizes):
    for files in sizes:
        with tempfile.TemporaryDirectory() as folder:
            top, seconds = Path(folder, "project"), defaultdict(list)
            top.mkdir()
            make(top, files)
            os.sync()
            repo = git.discover(top)
            stories(Pool(repo, Path(folder, "cache"), "bench"), repo, Path(folder, "q"), seconds)
            for number in range(3):
                tree = f"{folder}/tree{number}"
                add = ["git", "worktree", "add", "-q", "--detach", tree]
                measure(
                    seconds, "peer: fresh git worktree", subprocess.run, add, cwd=top, env=ENV, check=True
                )
                shutil.rmtree(tree)
            for _ in range(20):
                measure(
                    seconds,
                    "peer: git version",
                    subprocess.run,
                    ["git", "version"],
                    env=ENV,
                    capture_output=True,
                )
            print(f"\n{files} files")
            for name, values in seconds.items():
                print(
                    f"  {name:28s} {statistics.median(values) * 1000:8.1f} ms   (least {min(values) * 1000:.1f})"
                )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [200, 2_000, 20_000])
