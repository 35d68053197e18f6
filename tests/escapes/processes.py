"""Looking into processes outside, steering them, and outliving the box."""

from tests.escapes import Attempt, prints, says

POINTERS = """
import struct
def vectors(address, size):
    mine = C.create_string_buffer(size)
    return mine, C.create_string_buffer(struct.pack('QQ', C.addressof(mine), size)), C.create_string_buffer(struct.pack('QQ', address, size))
"""


def _look(name: str, secret: str, script: str) -> Attempt:
    return Attempt(name, script, prints(secret), "processes")


def _steer(name: str, script: str, attribute: str) -> Attempt:
    return Attempt(name, script, lambda world, _: bool(getattr(world.victim, attribute)()), "processes")


def _survive(name: str, script: str) -> Attempt:
    begun = f"reader, writer = os.pipe()\n{script}\nos.close(writer)\nos.read(reader, 1)"  # it has what it is called by
    return Attempt(name, begun, lambda world, _: bool(world.survivors()), "processes", after=True)


STAY = "os.execv('/usr/bin/python3', ['python3', '-I', '-S', '-c', 'import time; time.sleep(25)', nonce])"
QUIET = "for number in range(3): os.dup2(os.open('/dev/null', os.O_RDWR), number)"

LOOKS = [
    _look("its environment", "token", "print(open(f'/proc/{pid}/environ').read())"),
    _look("its command line", "argument", "print(open(f'/proc/{pid}/cmdline').read())"),
    _look("its memory, by a file", "memory",
          "print(os.pread(os.open(f'/proc/{pid}/mem', os.O_RDONLY), 64, told['address']).decode())"),
    _look("its memory, by a call", "memory",
          POINTERS + "mine, ours, theirs = vectors(told['address'], 64)\ncall(310, pid, ours, 1, theirs, 1, 0)\nprint(mine.raw.decode())"),
    _look("its memory, as its tracer", "memory",
          """call(101, 16, pid, 0, 0)
os.waitpid(pid, 0x40000000)
libc.ptrace.restype = C.c_long
words = [C.c_ulong(libc.ptrace(C.c_long(1), C.c_long(pid), C.c_long(told['address'] + at), C.c_long(0))).value for at in range(0, 64, 8)]
call(101, 17, pid, 0, 0)
print(b''.join(word.to_bytes(8, 'little') for word in words).decode())"""),
    _look("its folder", "cwd", "print(open(f'/proc/{pid}/cwd/private').read())"),
    _look("its root", "cwd", "print(open(f'/proc/{pid}/root' + told['private']).read())"),
    _look("its open files, by name", "unlinked", "print(open(f'/proc/{pid}/fd/{told[\"file\"]}').read())"),
    _look("its open files, by a call", "unlinked",
          "print(os.pread(call(438, os.pidfd_open(pid), told['file'], 0), 99, 0).decode())"),
    _look("where its memory lies", "program", "print(open(f'/proc/{pid}/maps').read(), os.readlink(f'/proc/{pid}/cwd'))"),
    Attempt("whether it shares its files", "call(312, pid, os.getpid(), 0, 0, 0)\ngot()", says(), "processes"),
    Attempt("shared memory of System V",
            "libc.shmat.restype = C.c_void_p\nprint(C.string_at(libc.shmat(told['segment'], None, 0o10000), 40).decode())",
            prints("segment"), "ipc"),
    Attempt("a message queue", "libc2 = C.CDLL('librt.so.1')\nqueue = libc2.mq_open(told['queue'].encode(), 0)\n"
            "room = C.create_string_buffer(8192)\nassert libc2.mq_receive(queue, room, 8192, None) > 0\nprint(room.value.decode())",
            prints("queue"), "ipc"),
]  # fmt: skip

STEERS = [
    _steer("killing it", "os.kill(pid, 9)", "died"),
    _steer("killing it by a descriptor", "import signal\nsignal.pidfd_send_signal(os.pidfd_open(pid), 9)", "died"),
    _steer("killing one of its threads", "call(234, pid, pid, 9)", "died"),
    _steer("stopping it", "os.kill(pid, 19)", "stopped"),
    _steer("making it slow", "os.setpriority(os.PRIO_PROCESS, pid, 7)", "slow"),
    _steer("binding it to one processor", "os.sched_setaffinity(pid, {0})", "bound"),
    _steer("taking its limits away", "import resource\nresource.prlimit(pid, resource.RLIMIT_NOFILE, (77, 77))", "limited"),
    _steer("having the kernel end it first", "open(f'/proc/{pid}/oom_score_adj', 'w').write('321')", "first"),
    _steer("writing its memory, by a file",
           "os.pwrite(os.open(f'/proc/{pid}/mem', os.O_WRONLY), b'changed', told['address'])", "changed"),
    _steer("writing its memory, by a call",
           POINTERS + "mine, ours, theirs = vectors(told['address'], 7)\nmine.raw = b'changed'\ncall(311, pid, ours, 1, theirs, 1, 0)",
           "changed"),
    Attempt("holding it as its tracer", "call(101, 0x4206, pid, 0, 0)\ngot()", says(), "processes"),
]  # fmt: skip

SURVIVORS = [
    _survive("in a session of its own", f"if os.fork() == 0:\n    os.setsid()\n    {QUIET}\n    {STAY}"),
    _survive("as nobody's child",
             f"if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    {QUIET}\n    {STAY}"),
    _survive("deaf to signals",
             f"import signal\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    libc.prctl(1, 0)\n"
             f"    for each in (1, 2, 13, 15): signal.signal(each, signal.SIG_IGN)\n    {QUIET}\n    {STAY}"),
    _survive("holding its output open", f"if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    {STAY}"),
    _survive("as a sibling", f"if call(56, 0x8000 | 17, 0, 0, 0, 0) == 0:\n    os.setsid()\n    {QUIET}\n    {STAY}"),
]  # fmt: skip

EXECUTOR = [
    Attempt("the memory of what runs it", "os.open(f'/proc/{os.getppid()}/mem', os.O_RDONLY)\ngot()", says(), "dumpable"),
    Attempt("the socket of what runs it",
            "for name in os.listdir(f'/proc/{os.getppid()}/fd'): print(os.readlink(f'/proc/{os.getppid()}/fd/{name}'))\ngot()",
            says(), "dumpable"),
]  # fmt: skip
