"""The policy held against the history of public repositories: what it stops, looked at one by one.

Takes a minute and needs bare clones: RAD_HISTORIES names a folder with OWNER+NAME/repo for each of the repositories.
"""

import os
import subprocess
from pathlib import Path

import pytest

from rad_engineer import git
from rad_engineer.core import secret_rules
from rad_engineer.core.policy import Policy, blocking, judge
from rad_engineer.core.policy_rules import Change
from rad_engineer.gates import policy

HISTORIES = os.environ.get("RAD_HISTORIES", "")
COMMITS = 300
pytestmark = pytest.mark.skipif(not HISTORIES, reason="needs clones: set RAD_HISTORIES")

# What is stopped among the last 300 commits before the one that is named, merges left out; "right" is what the rule is for.
STOPPED = {
    ("pallets/flask", "2ac89889f4cc330eabd50f295dcef02828522c69"): {
        "a31e6b7346": "right: three tests are deleted, and nothing else is done",
        "91c6b3fecf": "right: a test is deleted, and nothing else is done",
        "1d7281fe07": "right: the test of installed eggs is deleted; what they were is only a comment in the code",
    },
    ("psf/requests", "1f6589ec3a1ee910f9a65cc3ceac60b26677bc0e"): {
        "4e383642a9": "right: a test that ran everywhere is skipped on one version of a dependency while it moves",
        "15585909c3": "right: a test that ran everywhere is skipped on one version of a dependency",
    },
    ("expressjs/express", "a3714473feb3d2908add734d340e7755fd85e0a3"): {
        "416ba025a1": "right: six suites are skipped because they fail",
        "697547cde6": "right: nine tests are deleted as a security patch is taken back",
        "bf91946bd4": "right: the test of a behaviour that changes is deleted, one beside it is rewritten",
        "0b746953c4": "wrong: one test is replaced by many others, elsewhere in the file and under other names",
        "da4d763ff6": "wrong: the same change on another branch",
        "9c85a25c02": "wrong: duplicates are deleted, under other titles than those that stay",
    },
    ("BurntSushi/ripgrep", "3fce3b5bb0236da2df6d99672afb8a719642eca7"): {},
}  # fmt: skip

# Every secret in all of the history before a commit: by short hash, what it is.
DOCUMENTED = "an example in the documentation"
OF_TESTS = "made for tests, and lies below them: only warned of"
PUBLISHED = "the key of a search service, which everybody who reads the page gets"
SECRETS: dict[tuple[str, str], dict[str, str]] = {
    ("jpadilla/pyjwt", "dcc27a9d3182a2349c30b160758785c6ce7a6508"): {
        **dict.fromkeys(["17892fac", "3284b7c2", "a6c76e52", "5548c424", "3436da56", "30b26cc4", "4dcaca75", "1da77990", "e2a1852f", "bf145d93", "84ff1db3", "be9df5ee", "24514a3b", "16157199"], DOCUMENTED),
        **dict.fromkeys(["6cfedbe6", "1a9e7de3", "46dc174d", "b97c884e", "26aebaf7", "b505c701", "ccf53cdf", "5f8308e9", "19091e6a", "4af58e3f", "f9033410", "f6958694", "4c1ddc13", "d4b6ad0c", "a8c02daa", "4e18484d", "82b61905"], OF_TESTS),
    },
    ("pallets/itsdangerous", "672971d66a2ef9f85151e53283113f33d642dabd"): {},
    ("tj/commander.js", "ba6d13ddb4243e5913367734f8c159089ffe7834"): {},
    ("pypa/packaging", "053c884615f2e83d80705251b447769ec2599653"): {},
    ("pallets/flask", "2ac89889f4cc330eabd50f295dcef02828522c69"): {
        **dict.fromkeys(["9cb335cb", "2598f7d6"], DOCUMENTED),
    },
    ("psf/requests", "1f6589ec3a1ee910f9a65cc3ceac60b26677bc0e"): {
        **dict.fromkeys(["620b6ab1", "5d48352a", "a90ffc94", "552474a3"], OF_TESTS),
        **dict.fromkeys(["9c16d697"], PUBLISHED),
    },
    ("expressjs/express", "a3714473feb3d2908add734d340e7755fd85e0a3"): {},
    ("BurntSushi/ripgrep", "3fce3b5bb0236da2df6d99672afb8a719642eca7"): {},
}  # fmt: skip


def history(name, folder):
    source = Path(HISTORIES) / name.replace("/", "+") / "repo"
    subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", source, folder], check=True)
    return git.discover(folder)


def last(repository, commit, number):
    listed = git.run(repository, "rev-list", "--no-merges", f"--max-count={number}", commit).decode().split()
    return [row for found in listed for row in git.commits(repository, found)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "commit"), STOPPED)
def test_what_is_stopped_among_the_last_commits(name, commit, tmp_path):
    repository, found, lines, told = history(name, tmp_path / "clone"), {}, 0, 0
    rows = last(repository, commit, COMMITS)
    for one, parent, _subject in rows:
        diff = policy.diff(repository, parent, one)
        lines += sum(len(hunk.added) for file in diff for hunk in file.hunks)
        violations = judge(Change(diff, read=policy.reader(repository, one)), Policy())
        told += bool(violations)
        if stop := blocking(violations):
            found[one[:10]] = str(stop[0])
    print(
        f"\n{name}: {len(rows)} commits, {lines} added lines, {len(found)} stopped, {told} with any violation"
    )
    print("\n".join(f"  {one} {text}" for one, text in found.items()))
    assert set(found) == set(STOPPED[name, commit])
    assert len(found) <= 0.02 * len(rows)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "commit"), SECRETS)
def test_every_secret_of_a_history_is_known(name, commit, tmp_path):
    repository, found, lines = history(name, tmp_path / "clone"), {}, 0
    for one, parent, _subject in last(repository, commit, 1500):
        for file in policy.diff(repository, parent, one):
            for hunk in file.hunks:
                lines += len(hunk.added)
                for secret in secret_rules.in_code("\n".join(line.text for line in hunk.added), file.path):
                    found.setdefault(
                        (secret.kind, secret_rules.short_hash(secret.value)), f"{one[:10]} {file.path}"
                    )
    generic = sum(kind == secret_rules.GENERIC for kind, _digest in found)
    print(f"\n{name}: {lines} added lines, {len(found)} secrets, {generic} by the generic rule")
    print("\n".join(f"  {kind} {digest} {place}" for (kind, digest), place in found.items()))
    assert generic <= lines / 10_000
    assert {digest for _kind, digest in found} == set(SECRETS[name, commit])
