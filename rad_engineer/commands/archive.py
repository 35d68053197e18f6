"""archive: puts a finished PRD, its report and its notes aside under a dated name; it never commits."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rad_engineer import durable, importers, past_run, store
from rad_engineer.core.printable import one_line, several
from rad_engineer.core.report import Report
from rad_engineer.core.report_markdown import markdown
from rad_engineer.errors import ExitCode, Locked, RadError
from rad_engineer.past_run import PastRun

NOTES = ("progress.txt", "progress.md")
_ENDED = frozenset({"passed", "already-done", "skipped"})


def archive(prd: str, *, yes: bool = False, today: str | None = None) -> int:
    """Moves the PRD into `archive/<date>-<name>` beside it; 4 when stories are open, unless `yes`."""
    found = past_run.find(prd=prd)
    if found.alive:
        raise Locked(
            f"run {found.checkpoint.run} is still working on {prd}", hint="rad-engineer status --watch"
        )
    report = found.report()
    still_open = [
        one_line(story.key) for story in report.stories if story.status not in _ENDED and not story.landed
    ]
    if still_open and not yes:
        shown = ", ".join(still_open[:5]) + (
            f" and {len(still_open) - 5} more" if len(still_open) > 5 else ""
        )
        sys.stderr.write(
            f"rad-engineer: {several(len(still_open), 'story', 'stories')} of {prd} "
            f"{'is' if len(still_open) == 1 else 'are'} open: {shown}\nhint: archive it all the same with --yes\n"
        )
        return ExitCode.WAITING
    source = Path(os.path.abspath(prd))  # noqa: PTH100 - a link stays where it is
    target = _target(source, found, today or time.strftime("%Y-%m-%d"))
    with durable.writing(source.parent, of_run=False):
        target.mkdir(parents=True)
        for line in (*_put_aside(source, target, found), *_reports(target, found, report)):
            print(line)
    print("nothing was committed; git shows the files as moved")
    return ExitCode.OK


def _target(source: Path, found: PastRun, today: str) -> Path:
    """A folder that does not exist yet."""
    names = {prd.name for prd in found.graph.prds}
    name = store.slug(names.pop() if len(names) == 1 else source.stem)
    target, number = source.parent / "archive" / f"{today}-{name}", 1
    while target.exists():
        number += 1
        target = source.parent / "archive" / f"{today}-{name}-{number}"
    return target


def _put_aside(source: Path, target: Path, found: PastRun) -> Iterator[str]:
    """The PRD, the files it is made of, and the notes beside it."""
    folder = source.parent
    parts = {Path(prd.path) for prd in found.graph.prds if Path(prd.path).parent == folder}
    if not source.is_symlink():
        parts.add(source)
    elif source.resolve() in parts:
        source.unlink()
        yield f"removed the link {_near(source)}"
    else:
        shutil.copyfile(source, target / source.name)
        source.unlink()
        yield f"copied {_near(source)} to {_near(target)} and removed the link; the file it led to stays"
    for path in sorted(parts):
        if path.is_file() and not path.is_symlink():
            yield _move(path, target)
    shared = _others(folder)
    for name in NOTES:
        notes = folder / name
        if not notes.is_file() or notes.is_symlink():
            continue
        if shared:
            shutil.copyfile(notes, target / name)
            yield f"copied {_near(notes)} to {_near(target)}: {shared} uses it too"
        else:
            yield _move(notes, target)


def _others(folder: Path) -> str:
    """Another PRD in the same folder, which may go on with the notes; "" where there is none."""
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.md"))):
        if path.name in NOTES:
            continue
        try:
            if any(prd.stories for prd in importers.load(path, root=folder)):
                return path.name
        except RadError:
            continue
    return ""


def _move(path: Path, target: Path) -> str:
    path.rename(target / path.name)
    return f"moved {_near(path)} to {_near(target)}"


def _reports(target: Path, found: PastRun, report: Report) -> Iterator[str]:
    if found.rundir is None:
        return
    (target / "report.md").write_text(markdown(report), encoding="utf-8", errors="replace")
    (target / "report.json").write_bytes(durable.dump(report.to_json()))
    yield f"wrote the report of run {found.checkpoint.run} to {_near(target)}"


def _near(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
