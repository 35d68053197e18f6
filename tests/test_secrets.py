"""No key, no host name of a package registry and no path of somebody's machine is in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Put together from parts, so that this file does not find itself.
_DOT = r"\."
PATTERNS = {
    "private key": "-----BEGIN [A-Z ]*PRIV" + "ATE KEY-----",
    "model provider key": r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{24,}",
    "cloud key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}",
    "forge token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,})",
    "chat token": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "registry token": r"\b(?:pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})",
    "signed token": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.",
    "password in a URL": r"[a-z]+://[^/\s:@'\"{}$<>]+:[^/\s:@'\"{}$<>]{6,}@(?!example)",
    "registry host": "|".join(
        _DOT.join(parts)
        for parts in (
            ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "(?:org|com)"), ("yarnpkg", "com"), ("crates", "io"),
            ("debian", "org"), ("ubuntu", "com"), ("golang", "org"), ("rubygems", "org"), ("maven", "org"),
            ("anaconda", "org"), ("docker", "io"), ("ghcr", "io"), ("quay", "io"),
        )
    ),
    "index option": "--(?:extra-)?index" + "-url|--find" + "-links[ =](?!$)",
    "machine path": r"(?<![\w.$}\])*/~-])/(?:work|root|opt/pypi|opt/wheels|tmp/brief|home/(?!u\b|user|me|you|ada|agent|dev|alice|tester)\w+|Users/\w+)(?![\w-])",
}  # fmt: skip
SAMPLES = {
    "private key": "-----BEGIN RSA PRIV" + "ATE KEY-----",
    "model provider key": "key = 'sk-" + "ant-" + "a1" * 20 + "'",
    "cloud key": "AKIA" + "A1B2" * 4,
    "forge token": "ghp" + "_" + "a" * 36,
    "chat token": "xox" + "b-" + "1" * 24,
    "registry token": "npm" + "_" + "a" * 36,
    "signed token": "eyJ" + "a" * 24 + ".eyJ" + "b" * 24 + ".c",
    "password in a URL": "https://ada:" + "lovelace@host/",
    "registry host": "https://files.python" + "hosted.org/x",
    "index option": "pip install --index" + "-url x",
    "machine path": 'cd "/' + 'work/main"',
}
ALLOWED = {
    ("rad_engineer/delivery/deploy_engine.py", "registry host"),  # a package of Debian is called like one
    ("tests/engine", "registry host"),  # the same
    ("requirements/lock", "index option"),  # says that none is written into the pins
    ("rad_engineer/gateway/normal_form.py", "machine path"),  # names folders in which people's files lie
    ("rad_engineer/sandbox/toolchains.py", "machine path"),  # the same
    ("tests/unit/test_sandbox_toolchains.py", "machine path"),  # the same
    ("tests/integration/test_sandbox_bubblewrap.py", "machine path"),  # the same
    ("tests/integration/test_sandbox_landlock.py", "machine path"),  # the same
    (
        "rad_engineer/launch/registries.py",
        "registry host",
    ),  # those that clients ask where nothing else is configured
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_nothing_secret_and_nothing_of_a_machine_is_tracked():
    compiled = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            for name, pattern in compiled.items():
                if pattern.search(line) and (path.relative_to(ROOT).as_posix(), name) not in ALLOWED:
                    found.append(f"{path.relative_to(ROOT)}:{number}: {name}")
    assert found == []


@pytest.mark.parametrize("kind", PATTERNS)
def test_the_scan_finds(kind):
    assert re.search(PATTERNS[kind], SAMPLES[kind])


@pytest.mark.parametrize(
    "line",
    ["agent/work/PB-1", "$HOME/work", "https://example.org/work", "/tmp/x", "the root/branch", "~/root/x"],
)
def test_the_scan_lets_ordinary_paths_pass(line):
    assert not re.search(PATTERNS["machine path"], line)
