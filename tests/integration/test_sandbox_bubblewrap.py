"""A box by bubblewrap: what only namespaces and mounts can do, and what happens where they are forbidden."""

import os
import re
import subprocess
import sys

import pytest

from rad_engineer import process, sandbox
from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox import Grants, Mount, bubblewrap, self_test
from tests.sandboxes import INNER, needs_bubblewrap, opened, sh, slot_in


@pytest.fixture
def slot(tmp_path):
    return slot_in(tmp_path)


def test_only_the_slot_and_folders_in_memory_can_be_written(slot):
    script = "for d in / /usr /etc /dev /proc/sys/kernel /src /root /run /var; do (echo x >$d/probe) 2>/dev/null && echo $d; done; "
    script += "for d in . /tmp /home/agent /dev/shm /var/tmp; do (echo x >$d/probe) && echo ok; done"
    with opened(slot) as box:
        ended = sh(box, slot, script)
    assert ended.output.split() == ["ok"] * 5


def test_nothing_of_the_environment_comes_in_but_what_is_given(slot, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a.secret")
    monkeypatch.setenv(process.MARK, "run-1")
    with opened(slot) as box:
        ended = sh(
            box, slot, "env; cat /proc/1/environ; tr '\\0' '\\n' </proc/1/cmdline", env={"MINE": f"{slot}/x"}
        )
    assert "a.secret" not in ended.output
    assert "run-1" not in ended.output
    assert f"MINE={INNER}/x" in ended.output.splitlines()


def test_own_servers_on_loopback_work(slot):
    script = """
import socket, os
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); s.accept(); c.close()
import multiprocessing; multiprocessing.Lock(); os.openpty(); print("works")
"""
    with opened(slot) as box:
        ended = box.run(["python3", "-c", script], cwd=slot, env=sandbox.environment(os.environ, {}))
    assert ended.output == "works\n"


def test_other_mounts_are_seen_and_read_only_unless_they_say_otherwise(slot, tmp_path):
    for name in ("scratch", "store", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "there").write_text(name)
        sandbox.hand_over(tmp_path / name, sandbox.owner())
    mounts = (
        Mount(tmp_path / "scratch", "/scratch", writable=True),
        Mount(tmp_path / "store", "/store/objects"),
    )
    with opened(slot, *mounts, grants=Grants(home=tmp_path / "home")) as box:
        assert box.inside(tmp_path / "scratch" / "a") == "/scratch/a"
        assert box.inside("/usr/bin/true") == "/usr/bin/true"
        ended = sh(
            box,
            slot,
            "cat /scratch/there /store/objects/there ~/there; echo >/scratch/new; echo >/store/objects/new",
        )
    assert ended.output.startswith("scratchstorehome")
    assert "Read-only file system" in ended.output
    assert (tmp_path / "scratch" / "new").exists()


def test_what_setup_made_is_read_only_but_for_caches(slot):
    for folder in ("node_modules/.cache", ".venv"):
        (slot / folder).mkdir(parents=True)
    sandbox.hand_over(slot, sandbox.owner())
    with opened(slot, read_only=("node_modules", ".venv")) as box:
        ended = sh(
            box,
            slot,
            "for d in node_modules .venv node_modules/.cache .; do (echo >$d/x) 2>/dev/null && echo $d; done",
        )
    assert ended.output.split() == ["node_modules/.cache", "."]
    assert list((slot / "node_modules" / ".cache").iterdir()) == []


def test_a_link_in_place_of_what_setup_made_leads_nowhere(slot, tmp_path):
    (tmp_path / "private").mkdir()
    (slot / "node_modules").symlink_to(tmp_path / "private")
    with (
        pytest.raises(ConfigInvalid, match="node_modules is not a plain"),
        opened(slot, read_only=("node_modules",)),
    ):
        pass


def fake(folder, script):
    path = folder / "bin" / "bwrap"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path.parent)


@pytest.fixture
def anew():
    """What is found once a process is looked for again, before and after."""
    for known in (bubblewrap._program, bubblewrap._knows):
        known.cache_clear()
    yield
    for known in (bubblewrap._program, bubblewrap._knows):
        known.cache_clear()


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "bubblewrap is not installed"),
        (
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "No permissions to create new namespace",
        ),
        ("exit 1", "it did not answer"),
    ],
)
def test_what_does_not_work_here_ends_with_a_reason_and_exit_code_78(tmp_path, monkeypatch, script, told):
    monkeypatch.setenv("PATH", str(tmp_path) if script is None else fake(tmp_path, script))
    with pytest.raises(ConfigInvalid, match=told) as refused:
        sandbox.choose("bubblewrap")
    assert refused.value.exit_code == 78
    assert "--sandbox off" in str(refused.value.hint)


@pytest.mark.usefixtures("anew")
def test_a_sandbox_that_holds_nothing_is_not_used(tmp_path, monkeypatch):
    """A bubblewrap that shows everything: the trial sees it."""
    real = bubblewrap._program()
    script = f"""
args=$2; shift 3
exec {real} --dev-bind / / --bind "$PWD" "$PWD" --unshare-pid --die-with-parent --as-pid-1 --dir /src -- "$@"
"""
    needs_bubblewrap()
    monkeypatch.setenv("PATH", f"{fake(tmp_path, script)}:/usr/bin:/bin")
    bubblewrap._program.cache_clear()
    assert self_test.why_not("bubblewrap") != ""


def test_a_box_opens_wherever_our_own_environment_lies():
    env = {**os.environ, "PATH": os.defpath}
    told = subprocess.run(
        [sys.executable, "-m", "rad_engineer", "doctor"], env=env, capture_output=True, text=True, check=False
    ).stdout
    assert re.search(r"^ok +sandbox +sandbox: bubblewrap$", told, re.MULTILINE), told
