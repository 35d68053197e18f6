"""Flipped bytes and cut files: what a run has written is read as it was written, or refused by name with a way on.

RAD_DAMAGE_STEP=7 makes a campaign of it: readers then see every byte flipped in nine ways, commands every 7th.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from rad_engineer import cli, durable, store, story_files
from tests.chaos.faults import Trial
from tests.conftest import Project

STEP = int(os.environ.get("RAD_DAMAGE_STEP", "1999"))
READ_STEP = 1 if STEP < 100 else 29
T = TypeVar("T")
FLIPS = (*(1 << bit for bit in range(8)), 0xFF)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(tmp_path_factory.mktemp("finished"), Path("/none"))
    ended = trial.start(trial.project.env)
    assert ended.returncode == 0, ended.stderr
    return trial


@pytest.fixture
def killed(tmp_path: Path) -> Trial:
    """A run that was killed when two stories had landed and the third one's gate was running."""
    trial = Trial(tmp_path / "killed", Path("/none"))
    gate = f"test ! -e out/B.txt || test -e {tmp_path}/on || sleep 60"
    trial.project.write({"rad-engineer.toml": f"[gates]\ncheck = '{gate}'\n"})
    run = trial.project.start(*trial.command)
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "story_landed" and event["story"] == "C":
            break
    checkpoint = next(rundir(trial.project).stories.glob("B-*")) / "checkpoint.json"
    until = time.monotonic() + 60
    while not checkpoint.exists() or b'"policy"' not in checkpoint.read_bytes():
        assert time.monotonic() < until
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    (tmp_path / "on").touch()
    return trial


def rundir(project: Project) -> store.RunDir:
    return store.runs(project.folder)[0]


def flipped(data: bytes, at: int, flip: int) -> bytes:
    return data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]


def damaged(path: Path, step: int = READ_STEP) -> Iterator[str]:
    """The file with a byte flipped, for every byte in every way, then cut to every length; at last as it was.

    With a step: so many bytes further each time, in one way.
    """
    data = path.read_bytes()
    try:
        for at in range(0, len(data), step):
            for flip in FLIPS if step == 1 else (FLIPS[at % len(FLIPS)],):
                path.write_bytes(flipped(data, at, flip))
                yield f"byte {at} ^ {flip}"
        for size in range(0, len(data), step):
            path.write_bytes(data[:size])
            yield f"{size} bytes"
    finally:
        path.write_bytes(data)


READERS: dict[str, Callable[[store.RunDir], object]] = {
    "run.json": lambda run: run.read_run(),
    "report.json": lambda run: store.read_report(run, json=True),
    "report.md": lambda run: store.read_report(run, json=False),
    "prd/1.json": lambda run: store.kept_prd(
        run, 1, {"crc": run.read_run()["inputs"][0]["crc"], "file": "p"}
    ),
}


def answer(read: Callable[[], T]) -> tuple[T | None, durable.StateDamaged | None]:
    """What was read, or why it was refused."""
    try:
        return read(), None
    except durable.StateDamaged as error:
        return None, error


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", READERS)
def test_no_damaged_file_is_believed(finished: Trial, name: str) -> None:
    run = rundir(finished.project)
    for how in damaged(run.path / name):
        found, error = answer(lambda: READERS[name](run))
        assert found is None, how
        assert error is None or (str(run.path / name) in str(error) and error.hint), how


@pytest.mark.timeout(1200)
def test_a_damaged_journal_is_refused_or_ends_earlier(finished: Trial) -> None:
    run = rundir(finished.project)
    events = [event for event, _end in store.scan_journal(run.journal)]
    refused = 0
    for how in damaged(run.journal):
        found, error = answer(lambda: [event for event, _end in store.scan_journal(run.journal)])
        if found is None:
            refused += 1
            assert f"{run.journal} is damaged at byte " in str(error)
            continue
        assert found == events[: len(found)], how
        # flipped: the last line, or the line end before it; cut: anything
        assert len(found) >= len(events) - 2 or " bytes" in how
    assert refused > len(FLIPS if READ_STEP == 1 else "1") * 0.8 * run.journal.stat().st_size / READ_STEP


def test_a_damaged_checkpoint_is_refused_or_was_cut_short(finished: Trial) -> None:
    folder = next(rundir(finished.project).stories.glob("A-*"))
    whole = story_files.read_checkpoint(folder)
    assert whole is not None
    for how in damaged(folder / "checkpoint.json"):
        found, error = answer(lambda: story_files.read_checkpoint(folder))
        assert found is None, how
        assert "checkpoint.json is damaged" in str(error) if error else how.endswith("bytes"), how


@pytest.fixture
def inside(finished: Trial, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """The finished run, seen by commands in this process."""
    for name, value in finished.project.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(finished.project.folder)
    return finished


def ask(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


COMMANDS = (("status", "--json"), ("report",), ("report", "--json"), ("explain", "A", "--json"),
            ("logs", "A"), ("compact", "--dry-run"))  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [*READERS, "journal.jsonl"])
def test_commands_tell_the_truth_or_refuse(
    inside: Trial, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = rundir(inside.project)
    if name.startswith("prd/"):
        (inside.project.folder / "prd.json").rename(inside.folder / "away.json")
    good = {argv: ask(capsys, *argv) for argv in COMMANDS}
    for how in damaged(run.path / name, STEP):
        for argv in COMMANDS:
            code, out, err = ask(capsys, *argv)
            assert code != 70, (how, argv, err)
            if name != "journal.jsonl" and argv[0] != "compact":
                assert (code, out) == good[argv][:2] or (code == 73 and name in err), (how, argv, err)
    if name.startswith("prd/"):
        (inside.folder / "away.json").rename(inside.project.folder / "prd.json")
    assert {argv: ask(capsys, *argv) for argv in COMMANDS} == good


def test_a_damaged_trust_file_trusts_nothing(inside: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    good = ask(capsys, "trust", "--list")
    assert "test ! -e out/bad" in good[1]
    path = inside.folder / "state" / "rad-engineer" / "trust.json"
    for how in damaged(path, max(7, STEP // 20)):
        code, out, err = ask(capsys, "trust", "--list")
        assert (code, out) == (0, "nothing is trusted in this repository\n"), (how, err)


def bought_since(trial: Trial, before: int) -> list[str]:
    return (trial.folder / "paid").read_text().splitlines()[before:]


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_the_way_on_from_a_damaged_run(killed: Trial, name: str) -> None:
    """What has landed stays landed and is not bought again; afterwards everything is as ever."""
    path = rundir(killed.project).path / name
    path.write_bytes(flipped(path.read_bytes(), 200, 1))
    paid = len((killed.folder / "paid").read_text().splitlines())
    for command in (killed.command, ["resume"], ["status"]):
        ran = killed.project.rad(*command)
        assert ran.code == 73
        assert str(path) in ran.err
        assert "--fresh" in ran.err
    ran = killed.project.rad(*killed.command, "--fresh")
    assert ran.code == 0, ran.err
    assert killed.wrong_state() == ""
    assert bought_since(killed, paid) == ["B 1"]
    assert killed.project.rad(*killed.command).code == 0
    assert killed.project.rad("resume").code == 66
    assert killed.project.rad("status").code == 0
    assert len(bought_since(killed, paid)) == 1


def test_the_way_on_from_a_damaged_checkpoint(killed: Trial) -> None:
    path = next(rundir(killed.project).stories.glob("B-*")) / "checkpoint.json"
    path.write_bytes(flipped(path.read_bytes(), 30, 1))
    ran = killed.project.rad("resume")
    assert ran.code == 73
    assert f"remove {path} and resume" in ran.err
    path.unlink()
    assert killed.project.rad("resume").code == 0
    assert killed.wrong_state() == ""


def test_a_journal_cut_anywhere_is_gone_on_from(killed: Trial) -> None:
    """Landed work is known from the branch; nothing of it is bought or landed again."""
    data = rundir(killed.project).journal.read_bytes()
    for part in (0, 3) if STEP < 100 else (0,):
        trial_folder = killed.folder
        keep = trial_folder.with_name("keep")
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(trial_folder, keep, symlinks=True)
        rundir(killed.project).journal.write_bytes(data[: len(data) * part // 4])
        paid = len((killed.folder / "paid").read_text().splitlines())
        ran = killed.project.rad("resume")
        assert ran.code == 0, ran.err
        (killed.folder / "paid-again").unlink(missing_ok=True)  # an attempt that the journal has lost
        assert killed.wrong_state() == ""
        assert set(bought_since(killed, paid)) <= {"B 1", "B 2"}
        shutil.rmtree(trial_folder)
        keep.rename(trial_folder)
