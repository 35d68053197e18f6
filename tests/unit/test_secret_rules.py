"""Secrets: each type is found in code and hidden in texts; what is made up, spoken of or drawn by nobody is not."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core import secret_rules
from rad_engineer.core.secret_shapes import SHAPES
from tests.secret_samples import samples, spoken

SAMPLES = samples()
SPOKEN = spoken()
DRAWN = SAMPLES["npm-token"][4:]
PLANTED = int(os.environ.get("RAD_PLANTED_SECRETS", "300"))


def kinds(text, path="src/app.py"):
    return [found.kind for found in secret_rules.in_code(text, path)]


def test_there_is_a_sample_of_every_type():
    assert set(SAMPLES) | set(SPOKEN) == {shape.name for shape in SHAPES}
    assert len(SAMPLES) >= 40


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_type_is_found_in_code_and_hidden_in_texts(kind):
    secret = SAMPLES[kind]
    line = f'config.update(x="{secret}")'
    found = secret_rules.in_code(line, "src/app.py")
    assert [one.kind for one in found] == [kind]
    hidden = secret_rules.redacted(f"before {secret} behind")
    assert (
        hidden == f"before [redacted: {kind} {secret_rules.short_hash(found[0].value)}] behind"
        or "AccountKey=[" in hidden
    )
    assert found[0].value not in hidden


@pytest.mark.parametrize("kind", SPOKEN)
def test_what_programs_only_speak_of_is_hidden_and_not_found(kind):
    before, secret, behind = SPOKEN[kind]
    assert kind not in kinds(f'"{before}{secret}{behind}"')
    hidden = secret_rules.redacted(f"{before}{secret}{behind} ok")
    assert secret not in hidden
    assert f"[redacted: {kind} " in hidden
    assert hidden.endswith(" ok")


def test_a_particular_type_comes_before_a_general_one_and_nothing_is_hidden_twice():
    text = "Bear" + f"er {SAMPLES['github-token']}"
    assert [one.kind for one in secret_rules.find(text)] == ["github-token"]
    once = secret_rules.redacted(text)
    assert secret_rules.redacted(once) == once
    plain = secret_rules.redacted(text, hashed=False)
    assert plain.endswith("[redacted: github-token]")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (f'api_key = "{DRAWN}"', "src/a.py"),
        (f"  clientSecret: '{DRAWN}',", "src/a.ts"),
        (f'os.environ["APP_TOKEN"] = "{DRAWN}"', "src/a.py"),
        (f'setPassword("{DRAWN}")', "src/A.java"),
        (f"APP_SECRET={DRAWN}", ".env.production"),
        (f"  password: {DRAWN}", "deploy/values.yaml"),
        (f'db = "postgres://svc:{DRAWN[:16]}@db.internal:5432/x"', "src/a.py"),
        ('signing_key = "' + "9f86d081884c7d65" * 2 + '"', "src/a.go"),
    ],
)
def test_what_is_assigned_to_a_telling_name_is_found(line, path):
    assert kinds(line, path) == [secret_rules.GENERIC]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (f'checksum = "{DRAWN}"', "src/a.py"),  # no telling name
        (f"APP_SECRET={DRAWN}", "src/a.py"),  # nothing is assigned like that there
        ('token = "your-token-goes-here-1234"', "src/a.py"),
        ('password = "correct-horse-battery-staple-99"', "src/a.py"),
        ('secret = "0123456789012345"', "src/a.py"),  # no letters
        ('secret = "aaaaaaaaaaaaaaaa111"', "src/a.py"),
        ('api_key = "${SECRET_FROM_VAULT_123}"', "src/a.py"),
        ('token = "settings.auth.token_2024"', "src/a.py"),
        ('secret_path = "/run/secrets/token/1234"', "src/a.py"),
        (f'"token": "{DRAWN}"', "package-lock.json"),
        ("url = 'https:" + "//user:password1234@localhost/db'", "src/a.py"),
        ('key = "AKIA' + 'IOSFODNN7EXAMPLE"', "src/a.py"),  # the one of the manual
        ("if '-----BEGIN PRIV" + "ATE KEY-----' in text:", "src/a.py"),
        ('"' + "sk_" + "live_" + "a" * 24 + '"', "src/a.py"),
        ("plain words about a password and nothing else", "README.md"),
    ],
)
def test_what_is_no_secret_is_left_alone(line, path):
    assert kinds(line, path) == []


def test_a_known_shape_is_not_told_a_second_time_as_something_assigned():
    assert kinds(f'token = "{SAMPLES["github-token"]}"') == ["github-token"]


def test_the_place_is_that_of_the_secret_in_the_whole_text():
    text = f'a = 1\ntoken = "{DRAWN}"\nb = 2'
    [found] = secret_rules.in_code(text, "a.py")
    assert text[found.start : found.end] == found.value == DRAWN
    assert found.mark == f"assigned-secret {secret_rules.short_hash(DRAWN)}"


def test_a_remark_allows_a_line():
    assert secret_rules.allowed("x  # pragma: allowlist secret")
    assert secret_rules.allowed("x // gitleaks:allow")
    assert not secret_rules.allowed("x  # allowed")


def test_a_text_without_secrets_is_the_same_text():
    text = "nothing to see"
    assert secret_rules.redacted(text) is text


@settings(max_examples=PLANTED, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(sorted(SAMPLES)),
    before=st.text(max_size=40),
    behind=st.text(max_size=40),
    quote=st.sampled_from(["", '"', "'", "`", "\n", "\\n", "\\t", "=", ": ", "(", "["]),
)
def test_no_planted_secret_comes_through(seed, kind, before, behind, quote):
    secret = samples(seed)[kind]
    value = secret.removeprefix("AccountKey=")
    assert value not in secret_rules.redacted(f"{before} {quote}{secret}{quote} {behind}")
