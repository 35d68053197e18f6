"""Plans of numbered stories with ids, waves, trackers and gate sections, and the commands in their fences."""

from pathlib import Path

import pytest

from rad_engineer.core.prd import Check, Prd, Wave
from rad_engineer.importers.markdown import load_markdown

SHARED = Path(__file__).parents[2].parent / "shared"


def load(text: str) -> Prd:
    return load_markdown(text, "plan.md", "/plan.md")


PLAN = """\
# Plan

### Wave 1: Base (PARALLEL)

---

## Story 1: Install it

**ID**: W1-S1
**Points**: 3
**Agent**: developer
**Dependencies**: None

### Tasks
- Task 1.1.1: Look at it

### Tests
- [ ] `bun test src/` passes

### Verification
```bash
cd app
bun test src/  # all pass
```

### Files
- `app/package.json`
- `app/install.sh` (new, at the top)

### Wave Assignment
- Wave 1, Agent 1

---

## UI Stories (Parallel Track)

## Story 2: Show it

**ID**: UI-S1
**Points**: 8
**Agent**: planner
**Dependencies**: Story 1

### Tests
- [ ] It shows

### Wave Assignment
- UI Wave 1, Agent 1 (sequential)

---

## Progress

| Wave | Stories | Status |
|------|---------|--------|
| 1 | 2 | pending |

```
Wave 1
  [ ] W1-S1: Install (3 pts)
  [x] UI-S1: Show (8 pts) - depends: W1-S1
```

## Quality Gates

### Per-Story Gates
```bash
bun run lint       # all rules
```

### Per-Wave Gates
- [ ] All done
"""


def test_a_plan_of_numbered_stories_with_ids_waves_and_trackers() -> None:
    prd = load(PLAN)
    first, second = prd.stories
    assert (first.id, first.title, first.points, first.agent, first.needs) == (
        "W1-S1",
        "Install it",
        3.0,
        "developer",
        (),
    )
    assert (first.wave, first.group, first.state) == (Wave("", 1), "Wave 1: Base (PARALLEL)", "todo")
    assert first.criteria[0].command == "cd app && bun test src/"
    assert first.files == ("app/package.json", "app/install.sh")
    assert first.description == "Tasks:\n- Task 1.1.1: Look at it"
    assert (second.id, second.needs, second.wave, second.state) == (
        "UI-S1",
        ("W1-S1",),
        Wave("UI", 1),
        "done",
    )
    assert prd.gates == (Check("bun-run-lint", "bun run lint"),)


def test_placeholders_are_not_commands() -> None:
    fence = "```bash\nrun-it\nKEY=xxx run-it --live\ncd /path/to/project\nbuild .\n```"
    prd = load(f"## T1: Do it\n- [ ] works\n### Verification\n{fence}\n")
    assert [check.command for check in prd.stories[0].checks] == ["run-it"]
    assert [finding.code for finding in prd.findings] == ["placeholder-command"] * 3


def test_a_transcript_fence_keeps_only_what_was_typed() -> None:
    prd = load(
        "## T1: Do it\n- [ ] works\n### Verification\n```console\n$ make test\nok 3 tests\n$ echo '# no' \\\n  two\n```\n"
    )
    assert [check.command for check in prd.stories[0].checks] == ["make test", "echo '# no' two"]


corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")


@corpus
def test_the_master_plan() -> None:
    text = (SHARED / "plans" / "master-plan-production-readiness.md").read_text("utf-8")
    prd = load(text)
    stories = {story.id: story for story in prd.stories}
    assert len(stories) == 30
    needs = {
        "W2-S1": "W1-S1 W1-S3", "W2-S2": "W2-S1", "W2-S3": "W2-S1", "W3-S1": "W1-S3", "W3-S2": "W1-S3", "W3-S3": "W1-S3",
        "W4-S2": "W4-S1", "W4-S3": "W3-S1", "W4-S4": "W3-S1 W3-S2", "W5-S1": "W2-S1", "W5-S2": "W3-S1",
        "W5-S3": "W5-S1 W5-S2", "W6-S1": "W2-S2 W4-S4", "W6-S2": "W6-S1", "W6-S3": "W6-S1", "W6-S4": "W6-S2 W6-S3",
        "W7-S1": "W6-S4", "W7-S2": "W7-S1", "W7-S3": "UI-S3 W7-S2", "W7-S4": "UI-S3 W7-S2", "W8-S1": "W7-S1 W7-S2",
        "W8-S2": "W8-S1", "W8-S3": "W8-S2", "UI-S2": "UI-S1", "UI-S3": "UI-S1",
    }  # fmt: skip
    assert {story.id: " ".join(story.needs) for story in prd.stories if story.needs} == needs
    waves = sorted({(story.wave.track, story.wave.number) for story in prd.stories if story.wave})
    assert waves == [*(("", number) for number in range(1, 9)), ("UI", 1)]
    for story in prd.stories:
        track, number = ("UI", 1) if story.id.startswith("UI") else ("", int(story.id[1]))
        assert story.wave == Wave(track, number), story.id
        assert story.criteria, story.id
    assert sum(story.points or 0 for story in prd.stories) == 147
    assert {story.agent for story in prd.stories} == {"developer", "test-writer", "code-reviewer", "planner"}
    assert stories["W5-S3"].agent == "code-reviewer"
    assert [check.command for check in prd.gates] == ["bun run typecheck", "bun run lint", "bun test"]
    assert prd.wave_gates == ()
    assert [check.command for check in prd.final_gates] == ["rad-engineer validate --production --full"]
    assert all(story.state == "todo" for story in prd.stories)
