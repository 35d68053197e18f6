"""What says who somebody is, or which machine is theirs: hidden in the audit log and in run.log.

Patterns are narrow on purpose: a log in which versions, dates, hashes and line numbers are blacked out is of no use.
What only the context could tell (names of people, national telephone numbers, versions that are addresses) stays.
"""

import re
from functools import cached_property

from rad_engineer.core.secret_rules import redacted


class _Late:
    """A pattern that is compiled when a text first has something like it."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._pattern = pattern
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern, self._flags)


_EMAIL = _Late(
    r"(?<![\w.+%-])(?!git@)[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE = _Late(
    r"(?<![\w+.])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,10}\)?){1,6}(?![\w,]|[.:-]\d)"
    r"|(?<![\w.)-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[ .-]\d{4}(?![\w]|[.:-]\d)"
)
_CARD = _Late(
    r"(?<![\w.:+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -])\d{6}\2\d{4,5})(?![\w]|[.:-]\d)"
)
_ISSUED = _Late(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01]|720)\d{12,13}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = _Late(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w]|\.\d|[-+][A-Za-z\d])")
_VERSION = _Late(
    r"(?:[=~<>^(]=? ?|[A-Za-z]/|[vV](?:er)?\.? ?|version[\"':= ]{1,4}|release |@)$", re.IGNORECASE
)
_HOST = _Late(
    r"(?:://|@|\b(?:ip|addr|address|host|hostname|peer|client|server|remote|from|to|ssh|ping|at)[\"':= \[(]{1,4})$",
    re.IGNORECASE,
)
_BEHIND = _Late(r":\d{1,5}\b|/\d{1,2}(?![\w.])")
_LARGEST_OF_VERSIONS = 63
_IPV6 = _Late(
    r"(?<![\w:.])(?:[23][0-9a-fA-F]{3}|[fF][cCdDeE][0-9a-fA-F]{2})"
    r"(?:(?::[0-9a-fA-F]{1,4}){7}|(?::[0-9a-fA-F]{1,4}){0,6}::(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?)"
    r"(?:%\w{1,16})?(?![\w:])"
)
_MAC = _Late(r"(?<![\w:-])[0-9a-fA-F]{2}(?:(?::[0-9a-fA-F]{2}){5}|(?:-[0-9a-fA-F]{2}){5})(?![\w:-])")
_HOME = _Late(
    r"(?P<before>(?<![\w.])(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2}|[A-Za-z]:/Users/))"
    r"(?!(?:agent|runner|user|Shared|Public|linuxbrew|circleci|vscode|node|\[user\])(?![\w.-]))(?P<name>[^\s/\\:\"'<>|*?,;()\[\]]{1,64})"
)
_HINT = re.compile(r"[@+~]|\d[ .)-]\d|\d{13}|[0-9a-fA-F]{2}[:-][0-9a-fA-F]|::|/home/|Users")


def scrubbed(text: str) -> str:
    """The text without secrets, e-mail addresses, telephone and card numbers, addresses of machines, names of users."""
    text = redacted(text)
    if not _HINT.search(text):
        return text
    text = _HOME.compiled.sub(r"\g<before>[user]", text)
    text = _EMAIL.compiled.sub("[email]", text)
    text = _CARD.compiled.sub(_card, text)
    text = _MAC.compiled.sub("[mac]", text)
    text = _IPV6.compiled.sub("[ip]", text)
    text = _IPV4.compiled.sub(_address, text)
    return _PHONE.compiled.sub(_telephone, text)


def _telephone(match: re.Match[str]) -> str:
    """A plus and a number is one; so is a line that a diff adds, and a figure."""
    digits = sum(char.isdigit() for char in match[0])
    signs = match[0].count(" ") + match[0].count("-") + match[0].count("(")
    return "[phone]" if 9 <= digits <= 15 and (signs or digits > 9) and match[0].count(".") != 1 else match[0]


def _card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    return "[card]" if _ISSUED.compiled.fullmatch(digits) and luhn(digits) else match[0]


def luhn(digits: str) -> bool:
    """Whether the last digit is the one that the others ask for."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _address(match: re.Match[str]) -> str:
    """Four numbers with points are a machine, or a version: told by what they are and by what stands around them."""
    octets = [int(part) for part in match[0].split(".")]
    if octets[0] in (0, 127, 255):  # this machine, all of them, a mask: they say nothing
        return match[0]
    before = match.string[max(0, match.start() - 20) : match.start()]
    if _HOST.compiled.search(before) or _BEHIND.compiled.match(match.string, match.end()):
        return "[ip]"
    if _VERSION.compiled.search(before):
        return match[0]
    private = (
        octets[0] == 10
        or octets[:2] in ([192, 168], [169, 254])
        or (octets[0] == 172 and 16 <= octets[1] <= 31)
    )
    return "[ip]" if private or max(octets) > _LARGEST_OF_VERSIONS else match[0]
