"""The system call filter, run by a small interpreter of its own: what fails, how, and what does not."""

import errno
import struct

import pytest

from rad_engineer.sandbox import seccomp

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = "allow", "kill"


def verdict(machine, name_or_number, *arguments, arch=None, network="own"):
    """What the kernel would do with a call."""
    number = name_or_number
    if isinstance(name_or_number, str):
        number = seccomp.number(machine, name_or_number)
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *padded)
    code = [struct.unpack("<HBBI", each) for each in chunks(seccomp.program(machine, network), 8)]
    at, accumulator = 0, 0
    while True:
        operation, when, otherwise, value = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x06:
            return told(value)
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }
            at += when if holds[operation] else otherwise


def chunks(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def told(value):
    if value == 0x7FFF0000:
        return ALLOW
    if value == 0x80000000:
        return KILL
    assert value & 0xFFFF0000 == 0x00050000
    return errno.errorcode[value & 0xFFFF]


machines = pytest.mark.parametrize("machine", seccomp.MACHINES)


@machines
def test_the_program_fits_and_every_jump_stays_in_it(machine):
    code = seccomp.instructions(machine)
    assert len(code) < 4096
    for at, (operation, when, otherwise, _) in enumerate(code):
        if operation in (0x15, 0x25, 0x35, 0x45):
            assert at + 1 + max(when, otherwise) < len(code)


@machines
def test_foreign_system_calls_kill(machine):
    assert verdict(machine, 0, arch=0x40000003) == KILL
    if machine == "x86_64":
        assert verdict(machine, 0x40000000 | 59) == KILL


@machines
@pytest.mark.parametrize(
    "name",
    ["unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "ptrace", "process_vm_readv", "process_vm_writev",
     "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
     "io_uring_setup", "io_uring_enter", "io_uring_register", "open_by_handle_at", "name_to_handle_at", "fsopen",
     "open_tree", "move_mount", "mount_setattr", "init_module", "finit_module", "kexec_load", "sethostname",
     "settimeofday", "clock_settime", "reboot", "swapon", "quotactl", "syslog", "fanotify_init"],
)  # fmt: skip
def test_what_no_command_needs_fails(machine, name):
    assert verdict(machine, name) == "EPERM"
    assert name in list(seccomp.refused(machine))


@machines
def test_calls_with_arguments_in_memory_do_not_exist(machine):
    assert verdict(machine, "clone3") == "ENOSYS"
    assert verdict(machine, "openat2") == "ENOSYS"


@machines
@pytest.mark.parametrize(
    "flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_a_clone_makes_no_namespace(machine, flag):
    assert verdict(machine, "clone", flag | 17) == "EPERM"
    assert verdict(machine, "clone", 0x3D0F00) == ALLOW  # a thread
    assert verdict(machine, "clone", 0x4111) == ALLOW  # vfork


@machines
@pytest.mark.parametrize(("family", "wanted"), [
    (1, ALLOW), (2, ALLOW), (10, ALLOW), (16, ALLOW), (0, "EAFNOSUPPORT"), (3, "EAFNOSUPPORT"), (15, "EAFNOSUPPORT"),
    (17, "EAFNOSUPPORT"), (29, "EAFNOSUPPORT"), (31, "EAFNOSUPPORT"), (38, "EAFNOSUPPORT"), (40, "EAFNOSUPPORT"),
])  # fmt: skip
def test_families_of_sockets(machine, family, wanted):
    assert verdict(machine, "socket", family, 1 | 0o2000000, 0) == wanted


@machines
def test_types_and_protocols_of_sockets(machine):
    assert verdict(machine, "socket", 2, 3, 0) == "EPERM"  # raw
    assert verdict(machine, "socket", 2, 2, 17) == ALLOW
    assert verdict(machine, "socket", 10, 1, 6) == ALLOW
    assert verdict(machine, "socket", 2, 1, 132) == "EPROTONOSUPPORT"  # SCTP
    assert verdict(machine, "socket", 16, 3, 0) == ALLOW  # routes
    assert verdict(machine, "socket", 16, 3, 9) == "EAFNOSUPPORT"  # audit


@machines
def test_nothing_is_typed_into_a_terminal(machine):
    assert verdict(machine, "ioctl", 0, 0x5412) == "EPERM"
    assert verdict(machine, "ioctl", 0, 0x541C) == "EPERM"
    assert verdict(machine, "ioctl", 0, 0x5412 | 1 << 40) == "EPERM"  # the kernel looks at 32 bits
    assert verdict(machine, "ioctl", 0, 0x5401) == ALLOW


@machines
@pytest.mark.parametrize("bits", [0o4755, 0o2755, 0o6777])
def test_no_file_gets_the_rights_of_its_owner(machine, bits):
    asked = {
        "fchmod": (3, bits),
        "fchmodat": (3, 0, bits),
        "fchmodat2": (3, 0, bits, 0),
        "mknodat": (3, 0, bits | 0o10000),
    }
    asked["openat"] = (3, 0, 0x41, bits)
    if machine == "x86_64":
        asked |= {"chmod": (0, bits), "creat": (0, bits), "mknod": (0, bits), "open": (0, 0x41, bits)}
    for name, arguments in asked.items():
        assert verdict(machine, name, *arguments) == "EPERM", name
        plain = tuple(each & ~0o6000 if each == bits or each & 0o10000 else each for each in arguments)
        assert verdict(machine, name, *plain) == ALLOW, name
    assert verdict(machine, "openat", 3, 0, 0x410000, bits) == "EPERM"  # without a name
    assert (
        verdict(machine, "openat", 3, 0, 0, bits) == ALLOW
    )  # what stands behind flags that create nothing is noise


@machines
@pytest.mark.parametrize("number", [424, 434, 436, 439, 441, 451])
def test_other_calls_pass(machine, number):
    assert verdict(machine, number) == ALLOW


@machines
def test_memory_that_is_in_no_process_is_small(machine):
    assert verdict(machine, "shmget", 0, 56, 0o1600) == ALLOW
    assert verdict(machine, "shmget", 0, 1 << 20, 0o1600) == ALLOW
    assert verdict(machine, "shmget", 0, (1 << 20) + 1, 0o1600) == "EINVAL"
    assert verdict(machine, "shmget", 0, 1 << 32, 0o1600) == "EINVAL"
