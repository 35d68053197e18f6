"""Which hosts a stage may reach, as `grants` name them: `example.org:443`, `*.example.org:443,8443`. No effects."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rad_engineer.errors import ConfigInvalid

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST = 253
_LAST_PORT = 65535
_TLS = 443


@dataclass(frozen=True, slots=True)
class HostRule:
    """A host, or everything below one, and the ports that may be reached there."""

    host: str
    below: bool
    ports: tuple[int, ...]

    def allows(self, host: str, port: int) -> bool:
        """Whether this host, as `name` has it, may be reached at that port."""
        fits = host.endswith("." + self.host) if self.below else host == self.host
        return fits and port in self.ports


def name(text: str) -> str:
    """A host's name in the one spelling that is compared; nothing for what is none, addresses above all.

    An address has many spellings (`127.1`, `0x7f000001`, `2130706433`): what ends in a number is one of them.
    """
    found = text.lower().removesuffix(".")
    labels = found.split(".")
    good = found.isascii() and len(found) <= _LONGEST and all(_LABEL.fullmatch(each) for each in labels)
    return found if good and not _NUMBER.fullmatch(labels[-1]) else ""


def rule(text: str, key: str) -> HostRule:
    """A rule as it stands under a key; ConfigInvalid for what is none."""
    host, colon, ports = text.strip().partition(":")
    below = host.startswith("*.")
    found = name(host.removeprefix("*."))
    numbers = [int(each) if each.isdecimal() else 0 for each in ports.split(",")] if colon else [_TLS]
    if not found or (below and "." not in found) or not all(0 < each <= _LAST_PORT for each in numbers):
        raise ConfigInvalid(
            f"{key}: `{text}` names no host",
            hint='write "example.org:443" or "*.example.org:443,8443", or "host" for all that this machine reaches; '
            "addresses are not taken",
        )
    return HostRule(found, below, tuple(numbers))


def allowed(rules: Iterable[HostRule], host: str, port: int) -> bool:
    """Whether any of them allows it."""
    return any(each.allows(host, port) for each in rules)
