"""A box, by whatever confines it: what can be reached from it, how commands run in it, and that nothing of it is left.

What only one of the back-ends promises stands in the file of its own.
"""

import os
import re
import select
import signal
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rad_engineer import process, sandbox
from tests.sandboxes import every, needs, opened, place, running, sh, slot_in


@pytest.fixture
def slot(tmp_path):
    return slot_in(tmp_path)


@every
def test_a_command_works_in_the_slot_with_folders_of_its_own(level, slot):
    with opened(slot, level=level) as box:
        ended = sh(box, slot, "pwd; echo made >file; id -u; echo $HOME $TMPDIR")
        assert ended.code == 0
        where, user, rest = ended.output.splitlines()
        assert where == box.inside(slot)
    assert int(user) > 0
    assert str(Path.home()) not in rest.split()
    assert len(set(rest.split())) == 2
    assert box.outside(rest) == "/home/agent /tmp"
    assert (slot / "file").read_text() == "made\n"
    assert (slot / "file").stat().st_uid == (sandbox.owner() or (os.getuid(), 0))[0]


@every
def test_neither_files_beside_the_slot_nor_home_folders_are_seen(level, slot, tmp_path):
    (tmp_path / "secret").write_text("a secret")
    home = Path.home()
    probes = (
        f"ls -a {home} {tmp_path} /home /var /run /etc/shadow /sys /mnt /media /srv {Path(__file__).parent}"
    )
    with opened(slot, level=level) as box:
        ended = sh(box, slot, f"cat {tmp_path}/secret ../secret; {probes}")
    seen = ended.output
    assert "a secret" not in seen
    for name in ("secret", ".ssh", ".bashrc", ".gitconfig", Path(__file__).name):
        assert name not in [line.strip() for line in seen.splitlines()]


@every
def test_the_outermost_process_carries_the_mark_of_the_run(level, slot, monkeypatch):
    monkeypatch.setenv(process.MARK, "a-run-of-the-sandbox-test")
    with opened(slot, level=level) as box:
        sh(box, slot, "true")
        assert process.marked("a-run-of-the-sandbox-test") != []
    assert process.marked("a-run-of-the-sandbox-test") == []


@every
def test_there_is_no_network(level, slot):
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with opened(slot, level=level) as box:
        ended = sh(
            box,
            slot,
            f"(echo x >/dev/tcp/127.0.0.1/{port}) 2>&1",
        )
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept()
    server.close()
    assert re.search("refused|not permitted", ended.output)


@every
def test_no_setuid_files_no_new_namespaces_no_keyrings(level, slot):
    script = """
import ctypes, os, socket
os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)
def failed(*call):
    ctypes.set_errno(0)
    return libc.syscall(*call) == -1 and ctypes.get_errno()
open("f", "w").close()
for attempt in (lambda: os.chmod("f", 0o4755), lambda: os.fchmod(os.open("f", 0), 0o2755),
                lambda: os.open("g", os.O_CREAT | os.O_WRONLY, 0o4755), lambda: os.mkfifo("h", 0o6777),
                lambda: socket.socket(socket.AF_VSOCK), lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)):
    try:
        attempt()
        print("worked", attempt.__code__.co_consts)
    except OSError as error:
        pass
for name, call in {"unshare": (272, 0x10000000), "keyctl": (250, 0, -3, 0), "io_uring": (425, 8, 0),
                   "ptrace": (101, 16, os.getppid(), 0, 0), "clone3": (435, 0, 0), "openat2": (437, 0, 0, 0, 0)}.items():
    print(name, failed(*call))
os.mkdir("d", 0o755); os.chmod("d", 0o1777); print("fine")
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64; the filter itself is tested for both")
    with opened(slot, level=level) as box:
        ended = box.run(["python3", "-c", script], cwd=slot, env=sandbox.environment(os.environ, {}))
    assert ended.output.splitlines() == [
        "unshare 1", "keyctl 1", "io_uring 1", "ptrace 1", "clone3 38", "openat2 38", "fine",
    ]  # fmt: skip
    assert not any(path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID) for path in slot.iterdir())


@every
def test_what_is_handed_in_cannot_be_written_by_its_number(level, slot, tmp_path):
    prompt = tmp_path / "prompt"
    prompt.write_text("do it")
    tmp_path.chmod(0o755)
    if sandbox.owner():
        os.chown(prompt, *sandbox.owner())
    with opened(slot, level=level) as box:
        ended = sh(box, slot, "cat; echo changed >/proc/self/fd/0", stdin=prompt)
    assert ended.output.startswith("do it")
    assert prompt.read_text() == "do it"


@every
def test_commands_see_what_earlier_ones_left_and_nothing_of_other_boxes(level, slot):
    with opened(slot, level=level) as box:
        sh(box, slot, "echo kept >$TMPDIR/x")
        assert sh(box, slot, "cat $TMPDIR/x").output == "kept\n"
    with opened(slot, level=level) as box:
        assert sh(box, slot, "cat $TMPDIR/x").code == 1


@every
def test_what_a_command_leaves_behind_is_gone_when_it_returns(level, slot):
    script = "(trap '' TERM; setsid sleep 600 &) ; setsid sh -c 'sleep 600 & sleep 600 &' ; nohup sleep 600 >/dev/null 2>&1 & echo left"
    with opened(slot, level=level) as box:
        sh(box, slot, "true")
        assert sh(box, slot, script).output == "left\n"
        assert running(box) == []


@every
def test_what_is_kept_lives_between_commands_and_dies_with_the_box(level, slot):
    script = "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!"
    with opened(slot, level=level) as box:
        pid = sh(box, slot, script, keep=True).output.strip()
        assert sh(box, slot, f"kill -0 {pid} && echo lives").output == "lives\n"
        init = box._namespace.init
        pidfd = os.pidfd_open(init)
        beside = [os.pidfd_open(each) for each in running(box)]
        assert beside
    assert all(select.select([each], [], [], 0)[0] for each in (pidfd, *beside))
    for each in (pidfd, *beside):
        os.close(each)


@every
def test_a_lasting_program_is_spoken_with_and_ended(level, slot):
    with opened(slot, level=level) as box:
        asked, answered = os.pipe(), os.pipe()
        lasting = box.spawn(["cat"], slot, {"PATH": "/usr/bin"}, (asked[0], answered[1], answered[1]))
        os.write(asked[1], b"hello")
        assert os.read(answered[0], 100) == b"hello"
        assert sh(box, slot, "true").code == 0
        assert lasting.poll() is None
        lasting.kill()
        assert lasting.wait() == -signal.SIGKILL
    for descriptor in (*asked, *answered):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["sh", "-c", "exit 7"], 7, "exited"),
        (["sh", "-c", "kill -9 $$"], 137, "exited"),
        (["no-such-program"], 127, "not-started"),
        (["./a-folder"], 126, "not-started"),
        (["./without-a-first-line"], 3, "exited"),
    ],
)
@every
def test_a_command_ends_as_it_would_outside(level, slot, argv, code, reason):
    (slot / "a-folder").mkdir()
    (slot / "without-a-first-line").write_text("exit 3\n")
    (slot / "without-a-first-line").chmod(0o755)
    sandbox.hand_over(slot, sandbox.owner())
    with opened(slot, level=level) as box:
        ended = box.run(argv, cwd=slot, env={"PATH": "/usr/bin:/bin"})
    assert (ended.code, ended.reason) == (code, reason)


@every
def test_time_is_up_for_a_tree_that_ignores_being_asked(level, slot):
    script = "trap '' TERM; (trap '' TERM; setsid sleep 600) & sleep 600 & wait; sleep 600"
    limits = process.Limits(seconds=0.3, grace=0.2)
    with opened(slot, level=level) as box:
        began = time.monotonic()
        ended = sh(box, slot, script, limits=limits)
        assert ended.reason == "timeout"
        assert time.monotonic() - began < 20
        assert running(box) == []


@every
def test_a_command_is_told_of_and_cancelled(level, slot):
    told = []
    reader, writer = os.pipe()

    def begun(pid):
        told.append(pid)
        os.close(writer)

    with opened(slot, level=level) as box:
        ended = sh(box, slot, "sleep 600", cancel=reader, on_start=begun, limits=process.Limits(grace=0.2))
        assert ended.reason == "cancelled"
        codes = []
        sh(box, slot, "exit 5", on_exit=codes.append, on_start=told.append)
        assert codes == [5]
        assert all(pid > 1 for pid in told)
    os.close(reader)


@every
def test_a_box_that_is_killed_is_opened_again_for_the_next_command(level, slot):
    with opened(slot, level=level) as box:
        sh(box, slot, "true")
        init = box._namespace.init
        ended = sh(box, slot, "sleep 600", on_start=lambda _: os.kill(init, signal.SIGKILL))
        assert ended.code == 137
        assert sh(box, slot, "echo again").output == "again\n"


@every
def test_being_interrupted_while_something_starts_ends_the_box(level, slot, monkeypatch):
    class Enough(BaseException):
        pass

    def enough(*_):
        raise Enough

    with opened(slot, level=level) as box:
        sh(box, slot, "true")
        monkeypatch.setattr(box._namespace, "_receive", enough)
        with pytest.raises(Enough):
            sh(box, slot, "sleep 600")
        assert sh(box, slot, "echo again").output == "again\n"
        assert running(box) == []


@every
def test_only_the_main_thread_opens_a_box(level, slot):
    needs(level)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(sandbox.open_box, level, place(slot))
        with pytest.raises(AssertionError, match="main thread"):
            opening.result()
