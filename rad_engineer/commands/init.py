"""init: makes a new project, from one of our templates or from somebody's with copier."""

import json
import sys
import time
from pathlib import Path
from shlex import quote

from rad_engineer.core.printable import one_line, plain
from rad_engineer.launch import ground
from rad_engineer.projects import copied, creation, questions
from rad_engineer.projects.templates import PRD

_WITHOUT_GIT = "note: `rad-engineer run` needs git: git init && git add -A && git commit -m 'First commit'"


def init(
    *, source: str | None, into: str | None, no_git: bool, yes: bool, as_json: bool, **said: str | None
) -> int:
    """Makes the project and says what to type next."""
    wanted = questions.Said(**said, git=not no_git, parent=Path(into or "."))
    terminal = questions.Terminal(sys.stdin, sys.stderr)
    if source is not None:
        made = copied.create(source, wanted, terminal, yes=yes)
    else:
        wish = questions.settle(wanted, terminal, yes=yes)
        creation.place(wish.name, wish.parent)
        questions.agree_to_nest(wanted, terminal, yes=yes)
        made = creation.create(wish, time.gmtime().tm_year)
    if no_git and ground.work_tree(made.target) is None:
        print(_WITHOUT_GIT, file=sys.stderr)
    print(json.dumps(_as_json(made), indent=2) if as_json else plain(_as_text(made)))
    return 0


def _as_json(made: creation.Made) -> dict[str, object]:
    first = None if made.first is None else {"commit": made.first.commit, "branch": made.first.branch}
    return {"schema_version": 1, "path": str(made.target), "files": list(made.files), "first_commit": first}


def _as_text(made: creation.Made) -> str:
    here = Path.cwd()
    near = made.target.relative_to(here) if made.target.is_relative_to(here) else made.target
    lines = [f"made {one_line(str(near))}: {len(made.files)} files"]
    if made.first is not None:
        by = made.first.author
        lines[0] += (
            f", first commit {made.first.commit[:10]} on {made.first.branch} by {one_line(f'{by.name} <{by.mail}>')}"
        )
    lines += ["next:", f"  cd {quote(str(near))}"]
    if PRD in made.files:
        lines += [f"  rad-engineer plan {PRD}", f"  rad-engineer run {PRD}"]
    else:
        lines.append("  rad-engineer import   # finds its tests and proposes gates")
    return "\n".join(lines)
