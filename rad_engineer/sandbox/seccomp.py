"""The system call filter of a box, as the bytes of a BPF program: what no command of a stranger needs.

No new namespaces and mounts, no way into other processes, no kernel keyrings, io_uring, BPF and the like, no unusual
socket families, no large System V memory, no setuid and setgid bits, no typing into terminals. Whatever passes its
arguments in memory (clone3, openat2) does not exist, so that libraries fall back to calls that can be judged.
"""

import errno
import struct
from collections.abc import Iterable, Iterator
from typing import Literal

MACHINES = ("x86_64", "aarch64")

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _MORE, _AT_LEAST, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_CREATES = 0x400040  # O_CREAT, O_TMPFILE
_SET_ID = 0o6000
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _DATAGRAM = 1, 2
_SHARED = 1024 * 1024  # bytes of a segment; 4096 segments are in no process, and nobody could count them
_TCP = 6
_PROTOCOLS = (0, 1, _TCP, 17, 58)  # whatever fits, ICMP, TCP, UDP, ICMPv6

Network = Literal["own", "none", "tcp", "host"]
"""What sockets lead to: a network of the box alone; the machine's, then none, TCP as far as something else lets it, all.

Without namespaces of its own, a box refuses besides what would reach others: sockets with a path, System V objects,
message queues, limits of other processes.
"""

# Numbers from 424 on are the same everywhere.
_SAME = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "openat2": 437, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "fchmodat2": 452, "open_tree_attr": 467,
}  # fmt: skip
_NUMBERS = {
    "x86_64": {
        **_SAME,
        "open": 2, "ioctl": 16, "shmget": 29, "socket": 41, "clone": 56, "creat": 85, "chmod": 90, "fchmod": 91, "ptrace": 101,
        "syslog": 103, "mknod": 133, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153, "modify_ldt": 154,
        "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164,
        "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
        "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
        "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180,
        "lookup_dcookie": 212, "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249,
        "keyctl": 250, "openat": 257, "mknodat": 259, "fchmodat": 268, "unshare": 272, "perf_event_open": 298,
        "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
        "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320,
        "bpf": 321, "userfaultfd": 323,
        "shmat": 30, "shmctl": 31, "socketpair": 53, "semget": 64, "semop": 65, "semctl": 66, "msgget": 68, "msgsnd": 69,
        "msgrcv": 70, "msgctl": 71, "semtimedop": 220, "mq_open": 240, "mq_unlink": 241, "prlimit64": 302,
        "sendto": 44, "sendmsg": 46, "listen": 50, "sendmmsg": 307,
    },
    "aarch64": {
        **_SAME,
        "lookup_dcookie": 18, "ioctl": 29, "mknodat": 33, "umount2": 39, "mount": 40, "pivot_root": 41,
        "nfsservctl": 42, "chroot": 51, "fchmod": 52, "fchmodat": 53, "openat": 56, "vhangup": 58, "quotactl": 60,
        "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112,
        "syslog": 116, "ptrace": 117, "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170,
        "adjtimex": 171, "shmget": 194, "socket": 198, "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220,
        "swapon": 224, "swapoff": 225, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
        "kexec_file_load": 294,
        "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "semget": 190,
        "semctl": 191, "semtimedop": 192, "semop": 193, "shmctl": 195, "shmat": 196, "socketpair": 199, "prlimit64": 261,
        "listen": 201, "sendto": 206, "sendmsg": 211, "sendmmsg": 269,
    },
}  # fmt: skip
_ABSENT = ("clone3", "openat2")
_LOOKED_AT = ("clone", "ioctl", "shmget", "socket")
_OF_OTHERS = ("shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl",
              "mq_open", "mq_unlink")  # fmt: skip
_SENDS = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}
_FAST_OPEN = 0x20000000  # sends without connecting, which no ruleset is asked about
_NAMED = ("socketpair", "prlimit64", "listen", *_SENDS)
"""Refused, or looked at, where nothing but the filter keeps the box from objects of others."""
_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
_OPENS = {"open": 1, "openat": 2}
"""At which argument file modes stand; for what opens files, the flags, which the mode follows."""

Instruction = tuple[int, int, int, int]


def program(machine: str, network: Network = "own") -> bytes:
    """The filter for a machine as `os.uname` names it; KeyError for one that it is not known for."""
    return b"".join(struct.pack("<HBBI", *each) for each in instructions(machine, network))


def instructions(machine: str, network: Network = "own") -> list[Instruction]:
    """The filter, one instruction at a time."""
    numbers = _NUMBERS[machine]
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCH[machine]), (_RETURN, 0, 0, _KILL)]
    code.append((_LOAD, 0, 0, _NUMBER))
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for name in refused(machine, network):
        code += _when(numbers[name], [_failing(errno.EPERM)])
    for name in _ABSENT:
        code += _when(numbers[name], [_failing(errno.ENOSYS)])
    code += _when(numbers["clone"], _with_bits(0, _NAMESPACES))
    code += _when(numbers["ioctl"], _one_of(1, _TERMINAL_INPUT, errno.EPERM))
    code += _sockets(numbers, network)
    for name, argument in _MODES.items():
        if name in numbers:
            code += _when(numbers[name], _with_bits(argument, _SET_ID))
    for name, argument in _OPENS.items():
        if name in numbers:
            creating = _with_bits(argument + 1, _SET_ID)
            flags = [_argument(argument), (_ANY_BIT, 1, 0, _CREATES), (_RETURN, 0, 0, _ALLOW)]
            code += _when(numbers[name], [*flags, *creating])
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def refused(machine: str, network: Network = "own") -> Iterator[str]:
    """The calls that fail whatever they are given."""
    others = {*_ABSENT, *_LOOKED_AT, *_MODES, *_OPENS, *_NAMED, *_OF_OTHERS}
    yield from (name for name in _NUMBERS[machine] if name not in others)
    if network != "own":
        yield from _OF_OTHERS


def number(machine: str, name: str) -> int:
    """The number of a system call that the filter knows."""
    return _NUMBERS[machine][name]


def _when(number: int, block: list[Instruction]) -> list[Instruction]:
    """A block for one system call. It always returns, so that the number stays loaded for what follows."""
    return [(_EQUAL, 0, len(block), number), *block]


def _argument(index: int) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _failing(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | error)


def _with_bits(index: int, bits: int) -> list[Instruction]:
    """Fails when any of the bits is set."""
    return [_argument(index), (_ANY_BIT, 0, 1, bits), _failing(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _one_of(index: int, values: Iterable[int], error: int) -> list[Instruction]:
    """Fails for these values."""
    tests = [each for value in values for each in ((_EQUAL, 0, 1, value), _failing(error))]
    return [_argument(index), *tests, (_RETURN, 0, 0, _ALLOW)]


def _small(index: int, most: int) -> list[Instruction]:
    """Fails for what is larger; sizes have 64 bits."""
    high = (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4)
    return [
        high, (_EQUAL, 1, 0, 0), _failing(errno.EINVAL),
        _argument(index), (_MORE, 0, 1, most), _failing(errno.EINVAL), (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip


def _sockets(numbers: dict[str, int], network: Network) -> list[Instruction]:
    """What there is to speak with others."""
    code = _when(numbers["socket"], _SOCKETS[network]())
    if network == "own":
        return code + _when(numbers["shmget"], _small(1, _SHARED))
    code += _when(numbers["socketpair"], _pairs())
    code += _when(numbers["prlimit64"], _zero(0))
    if network == "tcp":  # who listens without a name is not asked by a ruleset
        code += _when(numbers["listen"], [_failing(errno.EPERM)])
        for name, argument in _SENDS.items():
            code += _when(numbers[name], _with_bits(argument, _FAST_OPEN))
    return code


def _zero(index: int) -> list[Instruction]:
    """Fails for anything but 0."""
    return [_argument(index), (_EQUAL, 1, 0, 0), _failing(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def _pairs() -> list[Instruction]:
    """Connected pairs, but not of datagrams: those can be sent anywhere all the same."""
    return [
        _argument(1),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 0, 1, _DATAGRAM),
        _failing(errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _no_socket() -> list[Instruction]:
    """None: a socket with a path leads to others as well, and no ruleset is asked."""
    return [_failing(errno.EPERM)]


def _streams() -> list[Instruction]:
    """TCP, whose ports a ruleset can name; nothing that it is not asked about."""
    protocols = [each for value in (0, _TCP) for each in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    return [
        _argument(0), (_EQUAL, 2, 0, _INET), (_EQUAL, 1, 0, _INET6), _failing(errno.EPERM),
        _argument(1), (_AND, 0, 0, 0xF), (_EQUAL, 1, 0, _STREAM), _failing(errno.EPERM),
        _argument(2), *protocols, _failing(errno.EPROTONOSUPPORT),
    ]  # fmt: skip


def _host() -> list[Instruction]:
    """As in a network of its own, but no socket with a path."""
    return [_argument(0), (_EQUAL, 0, 1, _UNIX), _failing(errno.EPERM), *_socket()]


def _socket() -> list[Instruction]:
    """Unix; internet with the usual types and protocols, which leads nowhere; netlink for routes and addresses."""
    protocols = [each for value in _PROTOCOLS for each in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    internet = [
        _argument(1), (_AND, 0, 0, 0xF), (_EQUAL, 2, 0, _STREAM), (_EQUAL, 1, 0, _DATAGRAM), _failing(errno.EPERM),
        _argument(2), *protocols, _failing(errno.EPROTONOSUPPORT),
    ]  # fmt: skip
    netlink = [_argument(2), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), _failing(errno.EAFNOSUPPORT)]
    return [
        _argument(0),
        (_EQUAL, 0, 1, _UNIX), (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, len(netlink), _NETLINK), *netlink,
        (_EQUAL, 2, 0, _INET), (_EQUAL, 1, 0, _INET6), _failing(errno.EAFNOSUPPORT),
        *internet,
    ]  # fmt: skip


_SOCKETS = {"own": _socket, "none": _no_socket, "tcp": _streams, "host": _host}
