"""What calls cost: as genai-prices says it afterwards, and never less than that before."""

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.budget import Amount
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.exchange import Call, Refusal, Session, Usage
from rad_engineer.gateway.prices import Prices

SONNET, HAIKU, OPUS = "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"


def call(model=SONNET, max_tokens=1_000, **more):
    data = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}], **more}
    body = json.dumps(data).encode()
    return Call(Session("A", 1, "run"), 1, "/v1/messages", "", {}, body, data, model, True, max_tokens)


def said(usage, model):
    """The usage as the vendor's answer has it."""
    return {"model": model, "usage": {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
                           "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens},
        "server_tool_use": {"web_search_requests": usage.server_tools.get("web_search_requests", 0)},
    }}  # fmt: skip


tokens = st.integers(0, 300_000)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from([SONNET, HAIKU, OPUS, "claude-sonnet-4-5", "claude-opus-4-6"]),
    counts=st.tuples(tokens, tokens, tokens, tokens, tokens),
    searches=st.integers(0, 20),
    fast=st.booleans(),
)
def test_a_settled_price_is_that_of_the_table(model, counts, searches, fast):
    from genai_prices import extract_usage  # noqa: PLC0415

    fast = fast and model == OPUS
    usage = Usage(
        *counts, server_tools={"web_search_requests": searches}, model=model, speed="fast" if fast else ""
    )
    context = {"speed": "fast"} if fast else None
    found = extract_usage(said(usage, model), provider_id="anthropic").calc_price(price_context=context)
    exact = found.total_price * 1_000_000
    assert exact <= Prices({}).settle(model, usage) < exact + 1


@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from([SONNET, HAIKU, OPUS]),
    words=st.integers(0, 3_000),
    output=st.integers(0, 1_000),
    kind=st.sampled_from(
        ["input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"]
    ),
)
def test_an_estimate_covers_whatever_the_input_turns_out_to_be(model, words, output, kind):
    ttl = {"cache_write_5m_tokens": "5m", "cache_write_1h_tokens": "1h"}.get(kind)
    cached = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    text = {"type": "text", "text": "word " * words, **cached}
    estimate = Prices({}).estimate(call(model, messages=[{"role": "user", "content": [text]}]))
    usage = Usage(output_tokens=output, model=model, **{kind: words + 10})
    assert Prices({}).settle(model, usage) <= estimate.micro_usd
    assert usage.tokens <= estimate.tokens


def test_the_parts_of_an_estimate():
    estimate = Prices({}).estimate(call(max_tokens=64_000))
    assert estimate.pico_usd == 10_000_000
    assert estimate.micro_usd == estimate.input.micro_usd + 640_000
    assert estimate.tokens == estimate.input.tokens + 64_000
    assert estimate.after(1_000) == estimate.input + Amount(10_000, 1_000)
    asked = estimate.want(call(max_tokens=64_000))
    assert (asked.story, asked.model, asked.max_tokens) == ("A", SONNET, 64_000)
    assert asked.cost(64_000) == Amount(estimate.micro_usd, estimate.tokens)


def test_a_long_input_is_estimated_at_its_own_tier():
    short = Prices({}).estimate(call(HAIKU))
    long = Prices({}).estimate(call(HAIKU, system="x" * 300_000))
    assert (short.pico_usd, long.pico_usd) == (500_000, 2_500_000)


def test_an_image_counts_as_much_as_images_may_whatever_its_bytes():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
    plain = Prices({}).estimate(call()).input.tokens
    found = Prices({}).estimate(call(messages=[{"role": "user", "content": [result, image]}])).input.tokens
    assert plain + 15_000 <= found < plain + 15_500


@pytest.mark.parametrize(
    "source", [{"type": "base64", "data": "AAAA"}, {"type": "file", "file_id": "f"}, None]
)
def test_a_document_of_unknown_length_counts_as_the_whole_window(source):
    block = {"type": "document", "source": source}
    assert (
        Prices({}).estimate(call(messages=[{"role": "user", "content": [block]}])).input.tokens == 1_000_000
    )


def test_a_document_of_text_counts_as_its_text():
    block = {"type": "document", "source": {"type": "text", "data": "x" * 10_000}}
    found = Prices({}).estimate(call(messages=[{"role": "user", "content": [block]}])).input.tokens
    assert 5_000 < found < 7_000


def test_a_model_that_answers_in_place_of_another_is_paid_at_its_own_price():
    usage = Usage(1_000, 1_000, model=OPUS)
    assert Prices({}).settle(SONNET, usage) == 24_000
    assert Prices({}).settle(SONNET, Usage(1_000, 1_000, model="unheard-of")) == 12_000
    assert Prices({}).settle("unheard-of", Usage(1_000, 1_000)) == 0


def test_an_unknown_model_is_refused_and_the_message_says_what_to_do():
    with pytest.raises(Refusal, match=r"gateway\.prices") as refused:
        Prices({}).estimate(call("llama-of-mine"))
    assert (refused.value.status, refused.value.reason) == (400, "unknown-model")


def test_own_prices_stand_before_the_table():
    own = Prices({SONNET: {"input": 1, "output": 2, "cache_read": 0, "web_search": 5, "fast": 3}})
    usage = Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, {"web_search_requests": 1}, SONNET)
    assert own.settle(SONNET, usage) == 1_000_000 + 2_000_000 + 0 + 1_250_000 + 2_000_000 + 5_000
    assert own.settle(SONNET, Usage(1_000_000, speed="fast")) == 3_000_000
    free = Prices({"local": {"input": 0, "output": 0, "cache_write": 0, "cache_write_1h": 0}})
    assert free.estimate(call("local")).micro_usd == 0


def test_own_prices_of_fast_answers_are_so_many_times_the_plain_ones():
    price = {
        "input": 1,
        "output": 2,
        "cache_read": 0.5,
        "cache_write": 3,
        "cache_write_1h": 4,
        "web_search": 5,
        "fast": 3,
    }
    usage = Usage(
        1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, {"web_search_requests": 2}, "m", "fast"
    )
    assert Prices({"m": price}).settle("m", usage) == 3 * 10_500_000 + 10_000
    defaults = Prices({"m": {"input": 1, "output": 2, "fast": 3}})
    assert defaults.settle("m", usage) == 3_000_000 + 6_000_000 + 3_000_000 + 3_750_000 + 6_000_000


@pytest.mark.parametrize("price", [{"input": 1}, {"output": 1}])
def test_an_own_price_has_both_sides(price):
    with pytest.raises(ConfigInvalid, match="`m`"):
        Prices({"m": price})


@pytest.mark.parametrize(
    ("control", "rate"), [({}, 200), ({"type": "ephemeral"}, 250), ({"type": "ephemeral", "ttl": "1h"}, 400)]
)
def test_input_is_taken_at_the_dearest_kind_that_it_may_become(control, rate):
    text = {"type": "text", "text": "x" * 1_000, **({"cache_control": control} if control else {})}
    found = Prices({}).estimate(call(system=[text])).input
    assert found.micro_usd == -(-found.tokens * rate // 100)


def test_names_that_are_spelt_with_escapes_cost_the_same():
    def estimated(body):
        data = json.loads(body)
        plain = call(**{name: data[name] for name in ("system", "messages") if name in data})
        return Prices({}).estimate(replace(plain, body=body)).input

    hour = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    page = {"type": "document", "source": {"type": "url", "url": "u"}}
    said = json.dumps({"system": [hour], "messages": [{"role": "user", "content": [page]}]}).encode()
    escaped = said.replace(b"document", b"d\\u006fcument").replace(b"cache_control", b"cache\\u005fcontrol")
    escaped = escaped.replace(b'"1h"', b'"\\u0031h"')
    assert (b"document" in escaped, b'"1h"' in escaped, json.loads(escaped)) == (
        False,
        False,
        json.loads(said),
    )
    assert estimated(escaped) == estimated(said)
    assert estimated(said).tokens == 1_000_000


def test_words_count_where_they_name_something_and_not_in_what_is_said():
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    both = {b'"cache_control"', b'"1h"'}
    block = {"type": "text", "text": "x", **cached}
    told = {"role": "user", "content": [{"type": "text", "text": '"cache_control" and "1h", an "image"'}]}
    assert call(messages=[told], system='a "document"').said.words == set()
    for where in ({"system": [block]}, {"tools": [{"name": "t", **cached}]}, cached,
                  {"messages": [told, {"role": "user", "content": [block]}]}):  # fmt: skip
        assert call(**where).said.words == both


def test_no_input_is_longer_than_the_window():
    assert Prices({}).estimate(call(system="x" * 3_000_000)).input.tokens == 1_000_000


def test_prices_are_read_again_on_another_day():
    day = date(2026, 3, 1)
    prices = Prices({}, lambda: day)
    usage = Usage(300_000, model="claude-opus-4-6")
    before = prices.settle("claude-opus-4-6", usage)
    day = date(2026, 11, 21)
    assert (before, prices.settle("claude-opus-4-6", usage)) == (3_000_000, 1_500_000)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "max_uses"),
        (
            {"tools": [{"type": "web_fetch_20260209", "name": "web_fetch", "max_uses": 3}]},
            "max_content_tokens",
        ),
        ({"tools": [{"type": "code_execution_20260120", "name": "code_execution"}]}, "code_execution"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        ({"speed": "warp"}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
    ],
)
def test_what_nobody_can_price_is_refused(more, word):
    with pytest.raises(Refusal, match=word) as refused:
        Prices({}).estimate(call(**more))
    assert (refused.value.status, refused.value.reason) == (400, "unpriced")


def test_fast_answers_have_their_own_price_where_the_table_has_one():
    plain, fast = (Prices({}).estimate(call(OPUS, speed=speed)) for speed in ("standard", "fast"))
    assert fast.pico_usd == 2 * plain.pico_usd


def test_server_tools_with_bounds_are_priced():
    plain = Prices({}).estimate(call())
    search = {"type": "web_search_20260209", "name": "web_search", "max_uses": 2}
    fetch = {"type": "web_fetch_20260209", "name": "web_fetch", "max_uses": 3, "max_content_tokens": 1_000}
    bash = {"type": "bash_20250124", "name": "bash"}
    own = {"name": "mine", "input_schema": {}}
    found = Prices({}).estimate(call(tools=[search, fetch, bash, own, {**own, "type": "custom"}]))
    assert found.tokens > plain.tokens + 2 * 8_000 + 3_000
    assert found.input.micro_usd == found.input.tokens * 2 + 2 * 10_000
    assert (plain.closed, found.closed) == (True, False)


def test_every_model_that_the_vendor_may_ask_reads_the_input():
    plain, dear = Prices({}).estimate(call()), Prices({}).estimate(call(OPUS))
    found = Prices({}).estimate(call(fallbacks=[{"model": OPUS}]))
    assert found.pico_usd == dear.pico_usd
    assert plain.input.micro_usd + dear.input.micro_usd < found.input.micro_usd
    assert not found.closed
    assert Prices({}).estimate(call(fallbacks="default")).input.micro_usd > 2 * plain.input.micro_usd
    for fallbacks in ([{"model": "nobody"}], [{"model": OPUS, "max_tokens": 9}]):
        with pytest.raises(Refusal):
            Prices({}).estimate(call(fallbacks=fallbacks))


def test_a_compaction_by_the_vendor_is_a_second_pass():
    plain = Prices({}).estimate(call())
    twice = Prices({}).estimate(call(context_management={"edits": [{"type": "compact_20260112"}]}))
    assert twice.pico_usd == 2 * plain.pico_usd
    assert 2 * plain.input.tokens < twice.input.tokens < 2 * plain.input.tokens + 200
    assert twice.input.micro_usd == 2 * twice.input.tokens
    assert not twice.closed
    once = Prices({}).estimate(call(context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}))
    assert once.pico_usd == plain.pico_usd
