"""What counts when a request is held against a recorded one: a closed list of what does not, and secrets never."""

import pytest

from rad_engineer.gateway.drift import described, differences
from rad_engineer.gateway.normal_form import Forms, lane_of, moved, workplace
from rad_engineer.gateway.redaction import Redaction
from tests.unit.gateway_calls import asked, call

NONE = Redaction()


def normal(data=None, **more):
    return Forms(NONE).of(call(data, **more)).request


def result(text, **more):
    return asked("x") | {
        "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text, **more}]}]
    }  # fmt: skip


ALIKE = {
    "stream": (asked("x"), asked("x", stream=True)),
    "metadata": (asked("x"), asked("x", metadata={"user_id": "u"})),
    "cache_control": (
        asked("x", system=[{"type": "text", "text": "s"}], tools=[{"name": "t"}]),
        asked("x", cache_control={"type": "ephemeral"},
              system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
              tools=[{"name": "t", "cache_control": {"type": "ephemeral"}}]),
    ),
    "a text alone": (
        asked("x", system="s"),
        asked(system=[{"type": "text", "text": "s"}]) | {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
    ),
    "durations": (result("3 passed in 0.02s"), result("3 passed in 1.5 seconds")),
    "times": (result("2026-11-21T16:00:00Z ok"), result([{"type": "text", "text": "2027-01-02 03:04:05.678 ok"}])),
    "dates in words": (result("Sat Nov 21 16:06:19 UTC 2026"), result("Mon Jan 4 01:02:03 UTC 2027")),
    "temporary folders": (result("in /tmp/a1/b.txt:3"), result("in /home/ada/x/y/b.txt:3")),
    "commits": (result("commit 1a2b3c4"), result("commit 9f8e7d6c5b4a39281706f5e4d3c2b1a098765432")),
    "addresses": (result("<object at 0x7f0011223344>"), result("<object at 0x7fffaabbccdd>")),
    "uuids": (asked("x", system="id 123e4567-e89b-12d3-a456-426614174000"),
              asked("x", system="id 00000000-e89b-12d3-a456-426614174fff")),
    "the machine": (asked("x", system="a\nPlatform: linux\nOS Version: Linux 6.1\nb"),
                    asked("x", system="a\nPlatform: darwin\nOS Version: Darwin 25\nb")),
    "where it works, in a temporary folder": (
        asked("see /tmp/a/x.py", system="CWD: /tmp/a\nBe good."), asked("see /opt/b/x.py", system="CWD: /opt/b\nBe good.")),
    "billing": (asked("x", system="x-anthropic-billing-header: cc_version=2.1.327.e53; cch=1;\ns"),
                asked("x", system="x-anthropic-billing-header: cc_version=2.1.327.abc; cch=2;\ns")),
    "where it works": (asked("see /srv/a/x.py", system="Working directory: /srv/a\nBe good."),
                       asked("see /mnt/slot-3/x.py", system="Working directory: /mnt/slot-3\nBe good.")),
    "what others have done": (
        asked("Do it.\n\n## What earlier stories changed\n\n- A: a.py\n\n## Learnings\n\n- (A) x\n\n## And\n\nmore\n"),
        asked("Do it.\n\n## And\n\nmore\n\n## Learnings\n\n- (B) y\n")),
    "reminders": (asked("hi<system-reminder>It is 2026-11-21.</system-reminder>"),
                  asked("hi<system-reminder>It is 2027-01-01.</system-reminder>")),
}  # fmt: skip


@pytest.mark.parametrize("what", ALIKE)
def test_does_not_count(what):
    one, other = ALIKE[what]
    assert differences(normal(one), normal(other)) == []
    assert lane_of(normal(one)) == lane_of(normal(other))


def test_the_api_version_does_not_count_nor_how_the_path_begins():
    assert normal() == normal(headers={"anthropic-version": "2023-06-01"}, path="/messages")


COUNTS = {
    "messages[0].content[0].text": asked("hello?"),
    "max_tokens": asked("hello") | {"max_tokens": 1001},
    "model": asked("hello") | {"model": "claude-opus-5-5"},
    "system": asked("hello", system="s"),
    "tools": asked("hello", tools=[{"name": "bash"}]),
    "thinking": asked("hello", thinking={"type": "adaptive"}),
    "messages": asked("hello", "hi", "and"),
}


@pytest.mark.parametrize("field", COUNTS)
def test_counts_and_is_named(field):
    assert differences(normal(asked("hello")), normal(COUNTS[field]))[-1].startswith(f"{field} ")


def test_query_and_betas_count():
    assert differences(normal(), normal(query="beta=true"))[0].startswith("query ")
    assert differences(normal(), normal(headers={"anthropic-beta": "b"}))[0].startswith("betas ")


def test_what_a_user_writes_counts_to_the_letter():
    one, other = normal(asked("due 2026-11-21, see /tmp/a/b")), normal(asked("due 2026-11-22, see /tmp/a/b"))
    assert differences(one, other) == [
        (
            "messages[0].content[0].text differs from character 13 on: 'due 2026-11-22, see /tmp/a/b', "
            "recorded was 'due 2026-11-21, see /tmp/a/b'"
        )
    ]


def test_lanes_are_told_apart_by_system_tools_and_model_alone():
    lane = lane_of(normal(asked("a", system="s")))
    assert lane == lane_of(normal(asked("b", "c", "d", system="s", max_tokens=5)))
    for other in (asked("a", system="t"), asked("a", system="s", tools=[{"name": "x"}]),
                  asked("a", system="s") | {"model": "m"}):  # fmt: skip
        assert lane_of(normal(other)) != lane
    assert lane_of(normal(asked("a", system="s"), path="/v1/messages/count_tokens")) != lane


def test_images_stand_there_as_a_digest():
    def image(data):
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return normal(
            {**asked(), "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
        )

    assert image("aGk=" * 1000)["messages"][0]["content"][0]["source"]["data"].startswith("sha256:")
    assert image("aGk=") != image("aGo=")


def test_what_is_no_request_at_all_does_not_break_anything():
    odd = {"model": "m", "system": [None, 3], "tools": "x", "messages": ["a", {"role": "user"}, {
        "role": "user", "content": [1, {"type": "tool_result"}, {"type": "image", "source": {"type": "url"}}]}]}  # fmt: skip
    assert normal(odd)["messages"][0] == "a"


def test_the_workplace_is_what_the_system_prompt_says():
    assert workplace([{"text": "a"}, {"text": "env:\n Primary working directory: /srv/x.\n"}]) == "/srv/x"
    assert workplace(None) == workplace("Working directory: here") == workplace(5) == ""
    assert moved({"a": ["/srv/x/y", 3]}, "/srv/x", "/mnt") == {"a": ["/mnt/y", 3]}


SECRETS = {
    "anthropic-key": "sk-" + "ant-api03-" + "a1B2" * 8,
    "aws-access-key": "AKIA" + "A1B2" * 4,
    "github-token": "ghp" + "_" + "a1" * 18,
    "slack-token": "xox" + "b-" + "1" * 24,
    "npm-token": "npm" + "_" + "a" * 36,
    "json-web-token": "eyJ" + "a" * 24 + ".eyJ" + "b" * 24 + ".c_-",
    "bearer-token": "Bearer " + "abcdefgh" * 3,
    "private-key": "-----BEGIN RSA PRIV" + "ATE KEY-----\nMIIE\nabc\n-----END RSA PRIV" + "ATE KEY-----",
    "url-password": "https://ada:" + "lovelace@example.org/x",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_taken_out_wherever_they_stand(kind):
    secret = SECRETS[kind].removeprefix("Bearer ").removeprefix("https://").removesuffix("@example.org/x")
    found = normal({**asked(f"take {SECRETS[kind]} ok"), "tools": [{SECRETS[kind]: [SECRETS[kind]]}]})
    assert secret not in repr(found)
    assert f"[redacted: {kind}]" in repr(found)
    assert "ok" in repr(found)


def test_known_values_are_taken_out_and_short_ones_are_no_secrets():
    assert Redaction(["opensesame-12", "x"]).text("x opensesame-12 x") == "x [redacted: secret] x"


@pytest.mark.parametrize(
    "text", ["task-force", "sk-learn", "https://example.org:8080/a@b", "the bearer of news", "a.b.c"]
)
def test_ordinary_words_stay(text):
    assert NONE.text(text) == text


def test_many_differences_are_cut_short():
    one = {str(number): 1 for number in range(10)}
    lines = differences(one, {**one, **{str(number): [2] * 100 for number in range(10)}})
    assert described(lines).endswith("; and more")
    assert len(described(lines)) < 1500


def test_differences_say_what_is_absent_and_where_texts_end():
    assert differences({"a": 1}, {}) == ["a is absent, recorded was 1"]
    assert differences({"a": "x" * 100}, {"a": "x" * 99}) == [
        f"a differs from character 99 on: '…{'x' * 20}', recorded was '…{'x' * 21}'"
    ]
    assert differences({"a": [1, 2]}, {"a": [1]}) == ["a has 1 entries, recorded were 2"]
    assert differences({"a": 1}, {"a": True}) == ["a is True, recorded was 1"]
