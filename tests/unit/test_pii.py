"""What is hidden as personal, and what only looks like it."""

import pytest

from rad_engineer.core.pii import luhn, scrubbed

HOME, USERS = "/" + "home", "/" + "Users"
HIDDEN = {
    "ann@example.org": "[email]",
    "to: Bob.Smith+x@mail.example.co.uk!": "to: [email]!",
    "call +1 415 555 2671 now": "call [phone] now",
    "+14155552671": "[phone]",
    "(415) 555-2671": "[phone]",
    "415-555-2671": "[phone]",
    "+49 30 1234567": "[phone]",
    "+44 (0)20 7946 0958": "[phone]",
    "4111 1111 1111 1111": "[card]",
    "4111111111111111": "[card]",
    "3782 822463 10005": "[card]",
    "378282246310005": "[card]",
    "5555-5555-5555-4444": "[card]",
    "192.168.1.17": "[ip]",
    "172.20.3.4": "[ip]",
    "169.254.1.1": "[ip]",
    "http://10.0.0.5:8080/x": "http://[ip]:8080/x",
    "from 8.8.8.8": "from [ip]",
    "1.2.3.4/24": "[ip]/24",
    "203.0.113.7": "[ip]",
    "2001:db8::8a2e:370:7334": "[ip]",
    "fe80::1%eth0": "[ip]",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334": "[ip]",
    "00:1A:2b:3c:4D:5e": "[mac]",
    "00-1A-2b-3c-4D-5e": "[mac]",
    f"{HOME}/alice/x.py": f"{HOME}/[user]/x.py",
    f"{USERS}/bob": f"{USERS}/[user]",
    r"C:\Users\carol\x": r"C:\Users\[user]\x",
    r'"C:\\Users\\carol\\x"': r'"C:\\Users\\[user]\\x"',
    f"file://{HOME}/dora/x": f"file://{HOME}/[user]/x",
}

KEPT = (
    "1.2.3.4",
    "v10.0.0.1",
    "Chrome/119.0.0.0",
    "pkg==10.20.30.40",
    "127.0.0.1:80",
    "0.0.0.0",
    "255.255.255.0",
    "1.2.3.4.5",
    "2026-11-21 22:43:47",
    "2026-11-21T22:43:47.123Z",
    "12:34:56",
    "1234567890123",
    "1700000000123456789",
    "git@github.com:a/b.git",
    "@scope/pkg@1.2.3",
    "a+b@c",
    "x.py:123:45",
    "@@ -1,7 +1234567,8 @@",
    "+3 -2",
    "+123456789",
    "+1.25 -0.75 +3.5",
    "+1.234567890",
    "100-200-3000",
    "deadbeefcafe1234567890",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "SHA256:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89",
    "123e4567-e89b-12d3-a456-426614174000",
    "4111111111111112",
    "1111111111111117",
    "std::vector",
    "::1",
    f"{HOME}/agent/x",
    "/src/project/home/x",
    r"C:\Windows",
    "tests/unit/test_x.py::TestY::test_z",
    "10 passed in 0.12s",
    "5.15.0-91-generic",
    "3.14159265358979",
    "nothing at all",
)


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items())
def test_personal_data_is_hidden(text: str, shown: str) -> None:
    """Each in its place; what stands around it stays."""
    assert scrubbed(text) == shown


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    """Versions, dates, hashes, line numbers, figures of a diff."""
    assert scrubbed(text) == text


def test_secrets_go_first() -> None:
    """A token keeps its type and its short hash."""
    token = "ghp" + "_" + "a1B2" * 9
    assert scrubbed(f"token {token}").startswith("token [redacted: github-token ")


def test_a_second_time_changes_nothing() -> None:
    """The marks themselves are not personal."""
    once = scrubbed(" ".join(HIDDEN))
    assert scrubbed(once) == once


def test_luhn() -> None:
    """The last digit is the one that the others ask for."""
    assert luhn("79927398713")
    assert not any(luhn(f"7992739871{digit}") for digit in "012456789")
