"""What handing out stories costs: the same for each, however many there are."""

import time
from typing import Any

import pytest
from plans import prd, story

from rad_engineer.core import graph
from rad_engineer.core.prd import Prd
from rad_engineer.core.schedule import Schedule

pytestmark = pytest.mark.large


def layered(count: int, **more: Any) -> Prd:
    stories = []
    for i in range(count):
        layer = i // 100
        needs = [f"S{(layer - 1) * 100 + (i * 7 + k * 13) % 100}" for k in range(3)] if layer else []
        stories.append(
            story(f"S{i}", *needs, priority=i % 5, **{name: value(i) for name, value in more.items()})
        )
    return prd(*stories)


@pytest.mark.parametrize(
    "more",
    [{}, {"files": lambda i: (f"src/d{i % 50}/a.py", "src/d1" if i % 40 == 0 else f"docs/{i % 30}.md")},
     {"wave": lambda i: 1 + i // 100}],
    ids=["needs", "files", "waves"],
)  # fmt: skip
def test_every_story_costs_the_same(more: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the cost of a story; asserts only that all of 20 000 are handed out."""
    for count in (1_000, 20_000):
        schedule = Schedule(graph.build([layered(count, **more)]), {})
        running: list[int] = []
        ended = 0
        begin = time.process_time()
        while True:
            while len(running) < 8 and (taken := schedule.take()) is not None:
                running.append(taken)
            if not running:
                break
            schedule.landed(running.pop(0))
            ended += 1
        each = (time.process_time() - begin) / count * 1e6
        with capsys.disabled():
            print(f"\n  take and landed, {count} stories: {each:.1f} µs each")
        assert ended == count


@pytest.mark.parametrize("files", [("same.py",), ("a.py", "b.py"), ("src/",)])
def test_thousands_that_want_one_file_take_turns(files: tuple[str, ...]) -> None:
    plan = graph.build([prd(*[story(f"S{i}", files=files) for i in range(3_000)])], parallel=True)
    schedule = Schedule(plan, {})
    for i in range(3_000):
        assert schedule.take() == i
        assert schedule.take() is None
        schedule.landed(i)
