"""A box by landlock: what it lets through and what not, and what it says of it; nobody can be shown anything elsewhere."""

import os
import socket
import stat

import pytest

from rad_engineer import process, sandbox
from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox import Grants, Mount, bubblewrap, ruleset
from rad_engineer.sandbox.ownership import let_through
from tests.sandboxes import opened, sh, slot_in


@pytest.fixture
def slot(tmp_path):
    return slot_in(tmp_path)


def python(box, slot, script):
    return box.run(["python3", "-c", script], cwd=slot, env=sandbox.environment(os.environ, {}))


def test_only_the_slot_and_its_own_folders_can_be_written(slot):
    script = "for d in / /usr /etc /dev /dev/shm /proc/sys/kernel /root /run /var /tmp /var/tmp ..; do "
    script += "(echo x >$d/probe) 2>/dev/null && echo $d; done; for d in . $HOME $TMPDIR; do (echo x >$d/probe) && echo ok; done"
    with opened(slot, level="landlock") as box:
        assert sh(box, slot, script).output.split() == ["ok"] * 3


def test_files_of_others_can_neither_be_read_nor_cut_off_nor_taken(slot, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    secret.chmod(0o666)
    tmp_path.chmod(0o777)
    script = f"cat {secret}; truncate -s0 {secret}; rm -f {secret}; ln {secret} stolen; mv {secret} stolen; ls {tmp_path}"
    with opened(slot, level="landlock") as box:
        ended = sh(box, slot, script)
    assert secret.read_text() == "a secret"
    assert "a secret" not in ended.output
    assert list(slot.iterdir()) == []


def test_its_folders_go_with_it(slot):
    with opened(slot, level="landlock") as box:
        script = "mkdir -p $TMPDIR/a/b; touch $TMPDIR/a/b/c; chmod 0 $TMPDIR/a/b $TMPDIR/a; ln -s / $HOME/root; echo $TMPDIR"
        folder = os.path.dirname(sh(box, slot, script).output.strip())  # noqa: PTH120
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700  # noqa: PTH116
    assert not os.path.exists(folder)  # noqa: PTH110


def test_what_it_cannot_run(slot):
    """As docs/security.md says; each of them works in a box of its own."""
    servers = "import socket; socket.create_server(('127.0.0.1', 0))"
    locks = "import multiprocessing; multiprocessing.Lock()"
    terminals = "import os; os.openpty()"
    with opened(slot, level="landlock") as box:
        for script in (servers, locks, terminals):
            ended = python(box, slot, script)
            assert ended.code == 1
            assert ended.last_line.startswith("PermissionError")
        assert (
            python(box, slot, "import asyncio; asyncio.run(asyncio.sleep(0)); print('runs')").output
            == "runs\n"
        )


def test_no_socket_leads_out(slot, tmp_path):
    """Neither by a path, as that of Docker's has, nor by an abstract name, nor by a pair that is sent elsewhere."""
    path = str(tmp_path / "s")
    outside = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    outside[0].bind(path)
    (tmp_path / "s").chmod(0o777)
    outside[1].bind("\0rad-engineer-test")
    script = f"""
import socket
for name in ({path!r}, "\\0rad-engineer-test"):
    for make in (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), lambda: socket.socketpair(type=socket.SOCK_DGRAM)[0],
                 lambda: socket.socketpair()[0], lambda: socket.socketpair(type=socket.SOCK_SEQPACKET)[0]):
        try:
            make().sendto(b"out", name)
        except OSError:
            pass
        try:
            make().connect(name)
        except OSError:
            pass
print("tried")
"""
    with opened(slot, level="landlock") as box:
        assert python(box, slot, script).output == "tried\n"
    for each in outside:
        each.setblocking(False)
        with pytest.raises(BlockingIOError):
            each.recv(10)
        each.close()


def test_nothing_is_shared_with_others_but_files(slot):
    script = """
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
for call in (libc.shmget(0, 4096, 0o1600), libc.semget(0, 1, 0o1600), libc.msgget(0, 0o1600), libc.mq_open(b"/x", 0o102, 0o600, 0)):
    print(call, ctypes.get_errno())
try:
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)
except PermissionError:
    print("held")
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0, os.kill(os.getpid(), 0))
"""
    with opened(slot, level="landlock") as box:
        assert python(box, slot, script).output.splitlines() == ["-1 1"] * 4 + ["held", "True None"]


def test_processes_outside_can_neither_be_signalled_nor_looked_into(slot, monkeypatch):
    monkeypatch.setenv(process.MARK, "a-run")
    box_env = {"OUTSIDE": str(os.getpid())}
    with opened(slot, level="landlock") as box:
        guard = box._namespace._child.pid
        script = f"for p in $OUTSIDE {guard}; do kill -0 $p; cat /proc/$p/environ /proc/$p/maps; ls /proc/$p/fd; done; grep Cap /proc/self/status"
        ended = sh(box, slot, script, env=box_env)
    assert "RAD_" not in ended.output.replace("RAD_RUN_MARK=a-run", "")
    assert ended.output.count("not permitted") >= 2
    assert ended.output.count("0000000000000000") >= 4


def test_mounts_have_the_paths_of_the_host(slot, tmp_path):
    for name in ("scratch", "store", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "there").write_text(name)
        sandbox.hand_over(tmp_path / name, sandbox.owner())
    mounts = (
        Mount(tmp_path / "scratch", "/scratch", writable=True),
        Mount(tmp_path / "store", "/store/objects"),
    )
    with opened(slot, *mounts, grants=Grants(home=tmp_path / "home"), level="landlock") as box:
        scratch, store = box.inside(tmp_path / "scratch"), box.inside(tmp_path / "store")
        assert scratch == str(tmp_path / "scratch")
        ended = sh(
            box, slot, f"cat {scratch}/there {store}/there ~/there; echo >{scratch}/new; echo >{store}/new"
        )
        assert box.outside(f"{slot}/x") == "/src/demo/x"
    assert ended.output.startswith("scratchstorehome")
    assert "Permission denied" in ended.output
    assert (tmp_path / "scratch" / "new").exists()


def test_the_gateway_is_the_one_port_that_can_be_reached(slot):
    gateway, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    port, wrong = gateway.getsockname()[1], other.getsockname()[1]
    script = f"""
import socket
for port in ({port}, {wrong}):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        print("connected")
    except OSError as error:
        print(error.strerror)
for attempt in (lambda: socket.create_server(("127.0.0.1", 0)), lambda: socket.socket().listen(),
                lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), lambda: socket.socket(socket.AF_UNIX),
                lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", {wrong}))):
    try:
        attempt()
        print("worked")
    except OSError:
        pass
"""
    with opened(slot, grants=Grants(gateway=f"http://127.0.0.1:{port}"), level="landlock") as box:
        assert python(box, slot, script).output.splitlines() == ["connected", "Permission denied"]
    for each in (gateway, other):
        each.close()


def test_what_it_cannot_grant_is_refused_with_a_reason(slot, monkeypatch):
    with (
        pytest.raises(ConfigInvalid, match="single hosts"),
        opened(slot, grants=Grants(("a.example:443",)), level="landlock"),
    ):
        pass
    monkeypatch.setattr(ruleset, "version", lambda: 3)
    with (
        pytest.raises(ConfigInvalid, match="knows no ports"),
        opened(slot, grants=Grants(gateway="x:1"), level="landlock"),
    ):
        pass


@pytest.mark.parametrize(("version", "told"), [(0, "landlock is not there"), (2, "too old")])
def test_a_kernel_without_it(monkeypatch, version, told):
    monkeypatch.setattr(ruleset, "version", lambda: version)
    with pytest.raises(ConfigInvalid, match=told):
        sandbox.choose("landlock")


def test_without_scopes_it_still_ends_and_only_its_own(slot, monkeypatch):
    """Kernels before 6.12: one signal to everybody would then be one to all of this user's processes."""
    monkeypatch.setattr(ruleset, "version", lambda: 4)
    with opened(slot, level="landlock") as box:
        sh(box, slot, "setsid sleep 600 & setsid sleep 600 &", keep=True)
        inside = [os.pidfd_open(pid) for pid in process.children(box._namespace.init)]
        assert inside
    for pidfd in inside:
        with pytest.raises(ProcessLookupError):
            signal_nothing(pidfd)
        os.close(pidfd)


def signal_nothing(pidfd):
    import signal  # noqa: PLC0415

    signal.pidfd_send_signal(pidfd, 0)


def test_auto_takes_it_where_namespaces_are_forbidden_and_says_what_it_lacks(tmp_path, monkeypatch):
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for known in (bubblewrap._program, bubblewrap._knows):
        known.cache_clear()
    try:
        chosen = sandbox.choose("auto")
    finally:
        for known in (bubblewrap._program, bubblewrap._knows):
            known.cache_clear()
    assert chosen.level == "landlock"
    assert "No permissions to create new namespace" in chosen.told
    assert "weaker" in chosen.told


def test_who_cannot_pass_is_told_where(tmp_path):
    closed = tmp_path / "closed"
    (closed / "slot").mkdir(parents=True)
    closed.chmod(0o700)
    stranger = (os.getuid() + 7, os.getgid() + 7)
    with pytest.raises(ConfigInvalid, match=str(closed)):
        let_through(closed / "slot", stranger)
    closed.chmod(0o711)
    tmp_path.chmod(0o711)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    let_through(closed / "slot", stranger)
