"""What is run: PRDs of many shapes, and repositories of many files."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

SEED = 7


def layered(count: int, width: int) -> list[tuple[int, ...]]:
    """The needs of each story: layers of `width`, each story needs two of the layer before."""
    rng = random.Random(SEED)
    found: list[tuple[int, ...]] = []
    for number in range(count):
        start = (number // width - 1) * width
        needs = {start + rng.randrange(width) for _ in range(2)} if start >= 0 else set()
        found.append(tuple(sorted(needs)))
    return found


def story_id(number: int) -> str:
    """S-00042."""
    return f"S-{number:05d}"


def prd(count: int, width: int = 50) -> str:
    """A PRD of layered stories."""
    stories: list[dict[str, Any]] = [
        {
            "id": story_id(number),
            "title": f"story {number}",
            "acceptanceCriteria": [f"does {number}"],
            "passes": False,
            "dependsOn": [story_id(need) for need in needs],
        }
        for number, needs in enumerate(layered(count, width))
    ]
    return json.dumps({"project": "benchmark", "userStories": stories}, indent=1)


def repository(folder: Path, files: int, stories: int) -> None:
    """A repository with that many files of 2.5 kB, fifty a directory, and a PRD."""
    for start in range(0, files, 50):
        (folder / f"src/d{start // 50}").mkdir(parents=True)
        for number in range(start, min(start + 50, files)):
            (folder / f"src/d{start // 50}/f{number}.txt").write_text(f"file {number}\n" * 220)
    (folder / "prd.json").write_text(prd(stories, 20))
    for args in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Benchmark"),
        ("config", "user.email", "benchmark@example.org"),
        ("config", "gc.auto", "0"),
        ("add", "-A"),
        ("commit", "-qm", "start"),
        ("repack", "-adq"),
    ):
        subprocess.run(["git", *args], cwd=folder, check=True)


def bound(needs: list[tuple[int, ...]], workers: int, seconds: float) -> float:
    """No schedule of stories that take `seconds` each is shorter: the critical path, and the work per worker."""
    depth: list[int] = []
    for own in needs:
        depth.append(1 + max((depth[need] for need in own), default=0))
    rounds = -(-len(needs) // workers)
    return max(*depth, rounds) * seconds
