"""What a command in a box may use up: each limit ends it with a reason of its own, and nothing of it is left."""

import os
import time

import pytest

from rad_engineer import sandbox
from rad_engineer.process import Limits
from tests.sandboxes import every, opened, running, sh, slot_in

MB = 1024 * 1024


@pytest.fixture
def slot(tmp_path):
    return slot_in(tmp_path)


def python(box, slot, script, limits):
    env = sandbox.environment(os.environ, {})
    return box.run(["python3", "-c", script], cwd=slot, env=env, limits=limits)


def nothing_is_left(box):
    return not box._namespace.alive() or running(box) == []


HOG = "x = []\nwhile True: x.append(bytearray(4 * 1024 * 1024))"
SHARED_OUT = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(40 * 1024 * 1024); time.sleep(600)
time.sleep(600)
"""
UNNAMED = "f = open('big', 'wb'); import os; os.unlink('big')\nwhile True: f.write(b'x' * 1048576)"
DESCRIPTORS = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        kept = [os.open('/dev/null', 0) for _ in range(200)]; time.sleep(600)
time.sleep(600)
"""
NAMES = 'import os, time\nfor i in range(3000): open(f"{where}/{i}", "w").close()\ntime.sleep(600)'


@pytest.mark.parametrize(
    ("reason", "script", "limits"),
    [
        ("memory-limit", HOG, Limits(memory=200 * MB)),
        ("memory-limit", SHARED_OUT, Limits(memory=150 * MB)),
        ("memory-limit", "f = open('/tmp/big', 'wb')\nwhile True: f.write(b'x' * 1048576)", Limits(memory=200 * MB)),
        ("cpu-limit", "while True: pass", Limits(cpu=0.4)),
        ("open-file-limit", DESCRIPTORS, Limits(open_files=500)),
        ("disk-limit", "f = open('big', 'wb')\nwhile True: f.write(b'x' * 1048576)", Limits(disk=50 * MB)),
        ("disk-limit", UNNAMED, Limits(disk=50 * MB)),
        ("inode-limit", NAMES.replace("{where}", "."), Limits(inodes=2000)),
        ("inode-limit", NAMES.replace("{where}", "{os.environ['TMPDIR']}"), Limits(inodes=2000)),
        ("process-limit", "import os, time\nfor i in range(60): os.fork() or time.sleep(600)\ntime.sleep(600)", Limits(processes=40)),
    ],
    ids=["memory", "memory-of-many", "files-in-memory", "cpu", "open-files", "disk", "disk-without-name", "inodes",
         "inodes-of-its-own", "processes"],
)  # fmt: skip
@every
def test_a_limit_ends_a_command_with_its_reason(level, slot, reason, script, limits):
    if level == "landlock" and "/tmp/" in script:
        pytest.skip("its folder for temporary files lies on a disk: there is another limit for that")
    with opened(slot, level=level) as box:
        ended = python(box, slot, script, limits)
        assert (ended.reason, ended.code) == (reason, 137), ended.output
        assert nothing_is_left(box)
        assert sh(box, slot, "echo after").output == "after\n"


@every
def test_a_fork_bomb_is_over_with_its_box(level, slot):
    bomb = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
    with opened(slot, level=level) as box:
        ended = python(box, slot, bomb, Limits(processes=50))
        assert ended.reason == "process-limit"
        assert nothing_is_left(box)
        assert sh(box, slot, "echo after").output == "after\n"


@every
def test_a_flood_is_stopped_and_is_not_kept_in_memory(level, slot):
    with opened(slot, level=level) as box:
        ended = sh(box, slot, "yes", limits=Limits(output_bytes=8 * MB, grace=0.2))
        assert ended.reason == "flooded"
        assert len(ended.output) < MB
        assert nothing_is_left(box)


@every
def test_what_somebody_else_writes_is_not_blamed_on_a_command(level, slot, tmp_path):
    with opened(slot, level=level) as box, (tmp_path / "of somebody else").open("wb") as file:

        def write(_pid):
            file.write(b"x" * 30 * MB)
            file.flush()
            os.fsync(file.fileno())

        ended = sh(box, slot, "echo >small; for i in 1 2 3 4 5; do sleep 0.1; done",
                   limits=Limits(disk=10 * MB), on_start=write)  # fmt: skip
    assert ended.reason == "exited"


@every
def test_time_used_by_commands_before_does_not_count(level, slot):
    busy = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    with opened(slot, level=level) as box:
        for _ in range(3):
            assert python(box, slot, busy, Limits(cpu=0.75)).reason == "exited"


@every
def test_children_that_have_ended_count(level, slot):
    burn = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    script = f"import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', '''{burn}'''])"
    with opened(slot, level=level) as box:
        assert python(box, slot, script, Limits(cpu=0.6, seconds=60)).reason == "cpu-limit"


@every
def test_each_process_has_its_own_limits_that_cannot_be_raised(level, slot):
    script = "ulimit -c; ulimit -n; ulimit -n unlimited 2>/dev/null || echo held; ulimit -u 100000 2>/dev/null || echo held"
    with opened(slot, level=level) as box:
        assert sh(box, slot, script).output.split() == ["0", "16384", "held", "held"]
        assert sh(box, slot, "ulimit -Su", limits=Limits(processes=50)).output == f"{264 + box._others()}\n"
        assert int(sh(box, slot, "ulimit -Su").output) > 1000


@every
def test_a_box_that_ignores_being_asked_is_gone_in_time(level, slot):
    script = "for i in $(seq 40); do (trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do :; done') & done; sleep 600"
    with opened(slot, level=level) as box:
        sh(box, slot, script, limits=Limits(seconds=0.5, grace=0.1), keep=True)
        init = box._namespace.init
        pidfd = os.pidfd_open(init)
        began = time.monotonic()
    taken = time.monotonic() - began
    os.close(pidfd)
    assert taken < 30
