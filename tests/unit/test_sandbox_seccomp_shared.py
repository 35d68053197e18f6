"""The filter of a box that shares network and objects with everybody: what only its own namespaces would keep apart."""

import pytest

from rad_engineer.sandbox import seccomp
from tests.unit.test_sandbox_seccomp import ALLOW, machines, verdict

UNIX, INET, INET6, NETLINK, STREAM, DATAGRAM = 1, 2, 10, 16, 1, 2
FAST_OPEN = 0x20000000
OBJECTS = ("shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl",
           "mq_open", "mq_unlink")  # fmt: skip
shared = pytest.mark.parametrize("network", ["none", "tcp", "host"])


@machines
@pytest.mark.parametrize(
    ("network", "family", "kind", "protocol", "wanted"),
    [
        ("none", UNIX, STREAM, 0, "EPERM"), ("none", INET, STREAM, 0, "EPERM"), ("none", INET6, DATAGRAM, 0, "EPERM"),
        ("none", NETLINK, 3, 0, "EPERM"), ("none", 40, STREAM, 0, "EPERM"),
        ("tcp", INET, STREAM, 0, ALLOW), ("tcp", INET6, STREAM, 6, ALLOW), ("tcp", INET, STREAM, 262, "EPROTONOSUPPORT"),
        ("tcp", INET, DATAGRAM, 0, "EPERM"), ("tcp", INET, 3, 0, "EPERM"), ("tcp", UNIX, STREAM, 0, "EPERM"),
        ("tcp", NETLINK, 3, 0, "EPERM"),
        ("host", UNIX, STREAM, 0, "EPERM"), ("host", INET, DATAGRAM, 17, ALLOW), ("host", INET, STREAM, 0, ALLOW),
        ("host", NETLINK, 3, 0, ALLOW), ("host", INET, 3, 0, "EPERM"),
    ],
)  # fmt: skip
def test_sockets(machine, network, family, kind, protocol, wanted):
    assert verdict(machine, "socket", family, kind | 0o2000000, protocol, network=network) == wanted


@machines
@shared
def test_pairs_that_cannot_be_sent_elsewhere(machine, network):
    assert verdict(machine, "socketpair", UNIX, STREAM, 0, network=network) == ALLOW
    assert verdict(machine, "socketpair", UNIX, 5, 0, network=network) == ALLOW
    assert verdict(machine, "socketpair", UNIX, DATAGRAM | 0o2000000, 0, network=network) == "EPERM"
    assert verdict(machine, "socketpair", UNIX, DATAGRAM, 0) == ALLOW


@machines
@shared
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_of_everybody(machine, network, name):
    assert verdict(machine, name, 0, 56, 0, network=network) == "EPERM"
    assert verdict(machine, name, 0, 56, 0) == ALLOW


@machines
@shared
def test_limits_of_other_processes(machine, network):
    assert verdict(machine, "prlimit64", 0, 7, 0, network=network) == ALLOW
    assert verdict(machine, "prlimit64", 7, 7, 0, network=network) == "EPERM"
    assert verdict(machine, "prlimit64", 7, 7, 0) == ALLOW


@machines
def test_what_a_ruleset_for_ports_is_not_asked_about(machine):
    sends = {"sendto": (3, 0, 0, FAST_OPEN), "sendmsg": (3, 0, FAST_OPEN), "sendmmsg": (3, 0, 1, FAST_OPEN)}
    for name, arguments in sends.items():
        plain = tuple(0 if each == FAST_OPEN else each for each in arguments)
        assert verdict(machine, name, *arguments, network="tcp") == "EPERM"
        assert verdict(machine, name, *plain, network="tcp") == ALLOW
        assert verdict(machine, name, *arguments) == ALLOW
    assert verdict(machine, "listen", 3, 1, network="tcp") == "EPERM"
    assert verdict(machine, "listen", 3, 1, network="host") == ALLOW


@machines
@shared
def test_what_else_is_refused_stays_so_and_every_jump_stays_in_the_program(machine, network):
    assert {*seccomp.refused(machine)} < {*seccomp.refused(machine, network)}
    code = seccomp.instructions(machine, network)
    assert len(code) < 4096
    for at, (operation, when, otherwise, _) in enumerate(code):
        if operation in (0x15, 0x25, 0x35, 0x45):
            assert at + 1 + max(when, otherwise) < len(code)
