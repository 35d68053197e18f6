"""`--timings`: every part of a story is accounted for, on the screen, in the last event and in the report."""

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
FILES = {
    "prd.json": prd(story("A"), story("B"), story("C", "A", "B")),
    "rad-engineer.toml": '[gates]\ncheck = "sh check.sh"\n',
    "check.sh": "true\n",
}
PARTS = [
    "schedule", "journal", "slot move", "walk", "stage", "commit", "policy", "checkpoint", "gate copy", "landing", "rest",
    "agent", "gates",
]  # fmt: skip


def test_each_part_has_its_row(project: Project) -> None:
    project.init(FILES)
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "-j", "2", "--json", "--timings")
    assert ran.code == 0, ran.err
    told = ran.events[-1]["timings"]
    assert told["stories"] == 3
    parts = [row["part"] for row in told["parts"]]
    assert ("box" in parts) == (project.env["RAD_SANDBOX"] != "off")
    assert [part for part in parts if part != "box"] == PARTS
    assert all(0 <= row["median_ms"] <= row["p95_ms"] <= row["total_ms"] for row in told["parts"])
    ours = sum(row["total_ms"] for row in told["parts"] if row["ours"])
    assert abs(told["all_of_ours"]["total_ms"] - ours) < 0.1
    assert project.report()["timings"] == told


def test_the_table_is_shown_after_resume_and_never_unasked(project: Project) -> None:
    project.init(FILES)
    first = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--once")
    assert first.code == 3, first.err
    assert "ms each" not in first.out
    assert project.report()["timings"] is None
    second = project.rad("resume", "--timings")
    assert second.code == 3, second.err
    assert "1 story, ms each " in second.out
    assert "\n  slot move " in second.out
