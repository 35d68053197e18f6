"""Descendants, marks and who is who, with real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_marks import clean_environment, marked_processes, wait_until_gone

from rad_engineer import process
from rad_engineer.process import tree as process_tree

ENV = clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}

mark = pytest.fixture(marked_processes)


def program(body: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Runs Python code in an interpreter of its own, which may inherit and kill what it likes."""
    prelude = "import os, signal, subprocess, sys, time\nfrom rad_engineer import process\nfrom rad_engineer.process import tree as process_tree\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + body, *arguments],
        env=ENV | (env or {}), check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip


def test_orphans_come_to_a_subreaper_and_are_killed(mark):
    out = program(
        """
print(process.become_subreaper(), process.become_subreaper(), process_tree.has_children())
subprocess.run(["sh", "-c", "setsid sleep 300 & (trap '' TERM; exec sleep 300) & sh -c 'sleep 300 &'"])
print(len(process_tree.children(os.getpid())), process.kill_descendants(), process_tree.has_children())
""",
        env=mark.env,
    )
    assert out == "True True False\n3 3 False\n"
    assert mark.left() == []


def test_with_a_grace_they_are_asked_first_and_once(mark, tmp_path):
    out = program(
        """
process.become_subreaper()
child = subprocess.Popen(["bash", "-c", "trap 'echo asked >> $0; exit' TERM; echo up; while :; do sleep 0.01; done",
                          sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
started = time.monotonic()
process.kill_descendants(20)
print(time.monotonic() - started < 5)
""",
        str(tmp_path / "asked"),
        env=mark.env,
    )
    assert out == "True\n"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_kept_children_keep_their_trees(mark):
    out = program(
        """
process.become_subreaper()
kept = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True)
below = int(kept.stdout.readline())
subprocess.run(["sh", "-c", "setsid sleep 300 &"])
print(process.kill_descendants(keep={kept.pid}))
print([process.alive(pid, process.start_time(pid)) for pid in (kept.pid, below)])
process.kill_descendants()
""",
        env=mark.env,
    )
    assert out == "1\n[True, True]\n"
    assert mark.left() == []


def test_threads_have_children_too():
    out = program(
        """
import threading
def start():
    started.append(subprocess.Popen(["sleep", "300"]))
    done.set(); end.wait()
started, done, end = [], threading.Event(), threading.Event()
threading.Thread(target=start).start()
done.wait()
print(process_tree.children(os.getpid()) == [started[0].pid])
started[0].kill(); started[0].wait(); end.set()
"""
    )
    assert out == "True\n"


def test_children_are_found_without_the_kernels_list():
    with subprocess.Popen(["sleep", "300"]) as child:
        assert child.pid in process_tree._children_by_scan(os.getpid())
        assert process_tree._children_by_scan(child.pid) == []
        child.kill()


def test_a_sweep_finds_the_marked_wherever_they_went(mark):
    subprocess.run(
        ["bash", "-c", "setsid sleep 300 & (setsid nohup sleep 300 &) ; (trap '' TERM; exec sleep 300) &"],
        env=ENV | mark.env, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    with subprocess.Popen(["sleep", "300"], env=ENV) as stranger:
        found = process.marked(mark.name)
        assert len(found) == 3
        kept = frozenset(found[:1])
        assert set(process.sweep(mark.name, keep=kept)) == set(found[1:])
        assert process.marked(mark.name) == list(kept)
        assert process.sweep(mark.name) == list(kept)
        assert process.sweep(mark.name) == []
        assert stranger.poll() is None
        stranger.kill()


def test_a_sweep_takes_the_unmarked_children_of_the_marked(mark):
    shell = subprocess.Popen(
        ["sh", "-c", "env -i setsid sleep 300 & echo $!; wait"], env=ENV | mark.env, stdout=subprocess.PIPE
    )
    with shell:
        child = int(shell.stdout.readline())
        wanted = process.start_time(child)
        assert process.sweep(mark.name) == sorted([shell.pid, child])
        assert wait_until_gone([child], 1.0) == []
        assert not process.alive(child, wanted)


def test_a_mark_is_the_whole_value_and_never_our_own(mark):
    assert (
        program("print(process.marked(sys.argv[1]), process.sweep(sys.argv[1]))", mark.name, env=mark.env)
        == "[] []\n"
    )
    longer = mark.env | {process.MARK: mark.name + "x"}
    with subprocess.Popen(["sleep", "300"], env=ENV | longer) as other:
        assert process.marked(mark.name) == []
        other.kill()


def test_pids_are_told_apart_by_their_start():
    with subprocess.Popen(["sleep", "300"]) as child:
        start = process.start_time(child.pid)
        assert start is not None
        assert process.alive(child.pid, start)
        assert not process.alive(child.pid, str(int(start) - 1))
        assert not process.stop_process(child.pid, str(int(start) - 1))
        assert child.poll() is None
        assert process.stop_process(child.pid, start)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.alive(child.pid, start), "a zombie does not live"
        assert child.wait() == -signal.SIGKILL
        assert process.start_time(child.pid) is None
        assert not process.stop_process(child.pid, start)


def test_a_stopped_process_takes_its_tree_along_but_not_its_pipeline(mark):
    script = "sleep 300 | (exec sleep 299)"
    with subprocess.Popen(["sh", "-c", f"{script} & echo $!; wait"], stdout=subprocess.PIPE, env=ENV | mark.env,
                          start_new_session=True) as shell:  # fmt: skip
        last = int(shell.stdout.readline())
        until = time.monotonic() + 10
        while len(process.marked(mark.name)) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        assert process.stop_process(last, process.start_time(last))
        assert wait_until_gone([last], 1.0) == []
        assert shell.poll() is None or shell.returncode >= 0
        shell.kill()


def test_names_with_brackets_and_blanks_confuse_nobody(tmp_path):
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "300"]) as child:
        start = process.start_time(child.pid)
        assert start is not None
        assert start.isdigit()
        assert process.alive(child.pid, start)
        child.kill()


def test_we_can_describe_ourselves():
    about = process.describe_self("run x")
    assert about["pid"] == os.getpid()
    assert process.alive(about["pid"], about["start"])
    assert (about["boot"], about["command"]) == (process.boot_id(), "run x")
    assert len(about["boot"]) == 36
    assert about["host"]
