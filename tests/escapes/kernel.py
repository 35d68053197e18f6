"""Asking the kernel for more than a command needs. The numbers of calls are those of x86_64."""

import stat

from tests.escapes import Attempt, Seen, says


def _asks(name: str, script: str, only: str = "", without: str = "filter") -> Attempt:
    return Attempt(name, f"{script}\ngot()", says(), without, only=only)


def _has(bits: int) -> Seen:
    """A file of its slot lends somebody's rights to whoever runs it."""
    return lambda world, _output: any(bool(path.lstat().st_mode & bits) for path in world.slot.iterdir())


def _plants(name: str, script: str, bits: int = stat.S_ISUID) -> Attempt:
    return Attempt(name, f"os.umask(0)\n{script}", _has(bits), "filter")


def _device(world, _output: str) -> bool:
    return any(stat.S_ISCHR(path.lstat().st_mode) for path in world.slot.iterdir())


# Machine code: int 0x80 as it was done by 32 bits, from memory that lies low enough to be named by it.
SHORT = """
import mmap
libc.mmap.restype = C.c_void_p
low = libc.mmap(None, 8192, 7, 0x40 | 0x22, -1, 0)
code = bytes.fromhex('53 89 f8 89 f3 89 d1 cd 80 5b c3')  # eax = 1st, ebx = 2nd, ecx = 3rd
C.memmove(low, code, len(code))
short = C.CFUNCTYPE(C.c_int, C.c_int, C.c_uint, C.c_uint)(low)
"""

KERNEL = [
    _asks("a namespace of users", "call(272, 0x10000000)"),
    _asks("a namespace of users for a child", "call(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    _asks("the same by the newer call", "import struct\ncall(435, struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)"),
    _asks("a namespace of mounts of its own", "call(272, 0x10020000)"),
    _asks("a network of its own, and rights in it", "call(272, 0x50000000)"),
    _asks("mounting memory in its slot",
          "os.mkdir('m')\ncall(272, 0x10020000)\ncall(165, b'none', b'm', b'tmpfs', 0, 0)"),
    _asks("a mount without a place", "call(272, 0x10020000)\ncall(430, b'tmpfs', 0)"),
    _asks("a copy of a mount", "call(272, 0x10020000)\ncall(428, -100, b'/etc/passwd', 1)"),
    _asks("taking a mount away", "os.mkdir('u')\ncall(272, 0x10020000)\ncall(165, b'none', b'u', b'tmpfs', 0, 0)\ncall(166, b'u', 2)"),
    _asks("another root", "os.mkdir('r')\ncall(272, 0x10000000)\nos.chroot('r')"),
    _asks("another root, and out of it", "os.mkdir('out')\nos.chroot('out')\nfor _ in range(64): os.chdir('..')\nos.chroot('.')", only="root"),
    _asks("a name for this machine", "call(272, 0x14000000)\ncall(170, b'mine', 4)"),
    _asks("a key in a keyring", "call(248, b'user', nonce.encode(), b'x', 1, -2)"),
    _asks("reading the keyring of its user", "call(250, 0, -4, 1)"),
    _asks("a ring for input and output", "call(425, 8, C.create_string_buffer(120))"),
    _asks("handling its own page faults", "call(323, 1)"),
    _asks("counting events of the processor", """import struct
call(298, C.create_string_buffer(struct.pack('IIQQQQQ', 1, 112, 0, 0, 0, 0, 0x60) + bytes(64), 112), 0, -1, -1, 0)"""),
    _asks("a program in the kernel", """import struct
call(321, 0, C.create_string_buffer(struct.pack('IIIII', 2, 4, 4, 1, 0) + bytes(52), 72), 72)""", only="root"),
    _asks("being told of others' files", "call(300, 0x200, 0)"),
    _asks("a segment of its own for its code", "call(154, 1, C.create_string_buffer(__import__('struct').pack('III', 0, 0, 0) + bytes([0xC1, 0, 0, 0]), 16), 16)"),
    _asks("a file's handle ", "call(303, -100, b'.', C.create_string_buffer(__import__('struct').pack('Ii', 128, 0) + bytes(128), 136), C.create_string_buffer(8), 0)"),
    _asks("the messages of the kernel", "call(103, 10, 0, 0)", only="root"),
    _asks("much shared memory that outlives it", "segment = call(29, 0, 8 << 20, 0o1600)\nlibc.shmctl(segment, 0, None)"),
    _asks("opening by rules of its own", "call(437, -100, b'.', C.create_string_buffer(24), 24)"),
    _asks("a list of file systems", "call(139, 3)"),
    Attempt("a call of 32 bits", SHORT + "assert short(20, 0, 0) == os.getpid()\ngot()", says(), "filter"),
    _plants("a setuid file", "open('s', 'w').close()\nos.chmod('s', 0o4755)"),
    _plants("a setgid file", "open('g', 'w').close()\nos.chmod('g', 0o2755)", stat.S_ISGID),
    _plants("a setgid folder", "os.mkdir('gd')\nos.chmod('gd', 0o2777)", stat.S_ISGID),
    _plants("a setuid file by its descriptor", "os.fchmod(os.open('f', os.O_CREAT | os.O_RDWR), 0o4755)"),
    _plants("a setuid file from a folder's descriptor",
            "open('a', 'w').close()\ncall(268, os.open('.', os.O_RDONLY), b'a', 0o4755)"),
    _plants("a setuid file by the newest call", "open('n', 'w').close()\ncall(452, -100, b'n', 0o4755, 0)"),
    _plants("a setuid file as it is made", "os.open('o', os.O_CREAT | os.O_WRONLY, 0o4755)"),
    _plants("a setuid file as it is made, the old way", "call(85, b'c', 0o4755)"),
    _plants("a setuid file as a node", "call(133, b'k', 0o104755, 0)"),
    _plants("a setuid file without a name first",
            "t = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o4755)\ncall(265, -100, f'/proc/self/fd/{t}'.encode(), -100, b't', 0x400)"),
    _plants("a setuid file by a call of 32 bits",
            "open('x', 'w').close()" + SHORT + "C.memmove(low + 4096, b'x\\0', 2)\nshort(15, low + 4096, 0o4755)"),
    _plants("a setuid pipe", "os.mkfifo('p', 0o4755)"),
    _plants("a setuid file in memory that it runs", "m = os.memfd_create('m')\nos.fchmod(m, 0o4755)\n"
            "open('proof', 'w').close()\nos.chmod('proof', os.fstat(m).st_mode & 0o7777)"),
    Attempt("a file that lends capabilities", """open('cap', 'w').close()
os.setxattr('cap', 'security.capability', bytes.fromhex('0100000202000000000000000000000000000000'))
got()""", says(), "user", only="root"),
    Attempt("a device in its slot", "os.mknod('device', 0o20666, os.makedev(1, 3))", _device, "filter", only="root"),
    Attempt("a file of root's in its slot", "open('roots', 'w').close()\nos.chown('roots', 0, 0)",
            lambda world, _: any(path.lstat().st_uid == 0 for path in world.slot.glob("roots")), "user", only="root"),
    Attempt("typing into its terminal", """import fcntl
libc.setsid()
fcntl.ioctl(0, 0x540E, 0)
for byte in nonce.encode(): fcntl.ioctl(0, 0x5412, bytes([byte]))""", lambda world, _: world.typed(), "filter", terminal=True),
]  # fmt: skip
