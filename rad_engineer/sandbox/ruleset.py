"""Rulesets of landlock: what the kernel knows of it, and what a box may open, connect to and signal."""

import ctypes
import functools
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CREATE, _ADD = 444, 445
_ASK_VERSION = 1
_BELOW, _PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1
_SINCE = {2: _REFER, 3: _TRUNCATE, 5: _DEVICE_CONTROL}
_BIND, _CONNECT = 1, 2
_ABSTRACT, _SIGNAL = 1, 2

NETWORK_SINCE, SCOPES_SINCE = 4, 6
LEAST = 3
"""Before that, files that may only be read could be cut off."""

SEE = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | _TRUNCATE | _DEVICE_CONTROL
CHANGE = (_FIRST | _REFER | _TRUNCATE) & ~_MAKE_DEVICES
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _DEVICE_CONTROL


class _Handled(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Below(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Port(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done with a file, or with everything below a folder."""

    path: Path
    allowed: int


@functools.cache
def version() -> int:
    """Which landlock this kernel has; 0 for none."""
    found = int(_library().syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION))
    return max(0, found)


def build(rules: Iterable[Rule], ports: Iterable[int] | None) -> int:
    """A descriptor of a ruleset. Rules for what is not there are left out; ports None: every TCP port is open."""
    known = version()
    files = _FIRST | sum(bit for since, bit in _SINCE.items() if since <= known)
    handled = _Handled(files)
    if ports is not None and known >= NETWORK_SINCE:
        handled.ports = _BIND | _CONNECT
    if known >= SCOPES_SINCE:
        handled.scopes = _ABSTRACT | _SIGNAL
    size = 8 if known < NETWORK_SINCE else 16 if known < SCOPES_SINCE else 24
    ruleset = int(_library().syscall(_CREATE, ctypes.byref(handled), ctypes.c_size_t(size), 0))
    _checked(ruleset)
    try:
        for rule in rules:
            _add_path(ruleset, rule, files)
        for port in ports or ():
            about = _Port(_CONNECT, port)
            _checked(_library().syscall(_ADD, ruleset, _PORT, ctypes.byref(about), 0))
    except OSError:
        os.close(ruleset)
        raise
    return ruleset


def _add_path(ruleset: int, rule: Rule, files: int) -> None:
    try:
        descriptor = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        allowed = rule.allowed & files & (-1 if is_folder else _OF_FILES)
        about = _Below(allowed, descriptor)
        _checked(_library().syscall(_ADD, ruleset, _BELOW, ctypes.byref(about), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "landlock")


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
