"""The run that is killed: twelve stories that need each other, conflict, turn red, fail, and leave processes behind."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Project, prd, story

NEEDS = {4: (1,), 5: (1, 2), 6: (3,), 7: (4,), 10: (9,), 11: (8,), 12: (5, 6)}
NAMES = [f"S{n:02d}" for n in range(1, 13)]
GOOD = [name for name in NAMES if name not in ("S09", "S10")]
SHARED = "S02\nS03\nbase\n"  # both insert there: whoever lands second has to do it again

# Says outside of the slot when it starts and when it is done, and when it reads that this attempt is done. Whoever finds a process of an earlier attempt at the
# same story alive says so: the lock lives as long as any process that has inherited descriptor 9.
SCRIPT = """
say() {{ echo "$1 $RAD_STORY_ID $RAD_ATTEMPT $$ $EPOCHREALTIME" >> {box}/said; }}
exec 9> {box}/$RAD_STORY_ID.busy
flock -n 9 || say overlap
grep -qs "\\"attempt\\":$RAD_ATTEMPT,\\"stage\\":" "${{RAD_PROMPT_FILE%/*/*}}/checkpoint.json" && say paid
say start
mkdir -p out
case $RAD_STORY_ID in S01|S02|S05|S08|S09) setsid sleep 60 > /dev/null 2>&1 & esac
case $RAD_STORY_ID in
  S02|S03) sleep 0.1; echo $RAD_STORY_ID | LC_ALL=C sort - shared.txt > new; mv new shared.txt;;
  S08) test $RAD_ATTEMPT = 1 && touch out/bad;;
  S09) echo boom; exit 1;;
esac
sleep 0.03
echo "work $RAD_STORY_ID" > out/$RAD_STORY_ID.txt
say end
"""
SETTINGS = """
[gates]
check = "sleep 0.01; test ! -e out/bad"
shape = "test -e shared.txt"
"""


@dataclass(frozen=True)
class Said:
    """A line that an agent wrote."""

    word: str
    story: str
    attempt: int
    pid: int
    at: float


@dataclass(frozen=True)
class Twelve:
    """The project, and the folder in which its agents say what they do."""

    project: Project
    box: Path
    command: tuple[str, ...]

    @property
    def runs(self) -> Path:
        """Where the run directories are."""
        return self.project.folder / ".rad-engineer" / "runs"

    def said(self) -> list[Said]:
        """What agents have said so far."""
        try:
            lines = (self.box / "said").read_text().split("\n")[:-1]
        except FileNotFoundError:
            return []
        words = (line.split() for line in lines)
        return [Said(word, name, int(attempt), int(pid), float(at)) for word, name, attempt, pid, at in words]


def twelve(project: Project) -> Twelve:
    """Makes the project; nothing has been run in it yet."""
    stories = [
        story(name, *(f"S{m:02d}" for m in NEEDS.get(n, ())), verify=f"test -f out/{name}.txt")
        for n, name in enumerate(NAMES, 1)
    ]
    box = project.folder.parent / "box"
    box.mkdir()
    script = box / "agent.sh"
    script.write_text(SCRIPT.format(box=box))
    project.init({"prd.json": prd(*stories), "shared.txt": "base\n", "rad-engineer.toml": SETTINGS})
    command = ("run", "prd.json", "--agent-command", f"{shutil.which('bash')} {script}", "--yes", "-j", "4")
    return Twelve(project, box, command)
