"""What calls cost, in whole millionths of a dollar: before they are made, at most; afterwards, by what was used.

The table is that of genai-prices; its rates are read once a day for each model, because its own arithmetic takes longer
than everything else that is done for a call. A test holds both against each other, through `extract_usage`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from rad_engineer.core.budget import PICO, Amount, Want
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.exchange import Call, Refusal, Usage

UNPRICED = "no price is known for the model {!r}: it could spend without limit"
GIVE_PRICE = 'Give its price in rad-engineer.toml, [gateway.prices]: "{}" = {{ input = 2.0, output = 10.0 }}'
IMAGE_TOKENS = 5_000
"""No image counts for more."""
SEARCH_TOKENS = 8_000
"""What one web search adds to the input, at most as a rule."""
_WINDOW = 1_000_000
"""What an input of unknown length (a document) is taken for, where the table names no context window."""
_BYTES_PER_TOKEN = 2
"""Text has more bytes to a token, so an estimate is rarely too low."""
_OVERHEAD = 1_000
"""What the vendor puts around a request: its own words about tools."""
_SEARCH = "web_search_requests"
_HERE = ("bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_")
"""Tools of the vendor that run with the client, or cost nothing of their own."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of one token, in 10^-12 dollars, for inputs longer than `above`."""

    above: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


@dataclass(frozen=True, slots=True)
class Price:
    """The prices of one model: its tiers, the longest input first; of a search; and those of fast answers."""

    tiers: tuple[Rates, ...]
    window: int
    search: int | None
    fast: "Price | None" = None

    def at(self, input_tokens: int) -> Rates:
        """The rates for an input of this length, caches included."""
        return next((rates for rates in self.tiers if input_tokens > rates.above), self.tiers[-1])


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs at most; `input` is the part that does not depend on the length of its answer.

    It is `closed` when nothing comes to its input once the answer has begun.
    """

    micro_usd: int
    tokens: int
    input: Amount
    pico_usd: int
    closed: bool

    def want(self, call: Call) -> Want:
        """The call as the budget knows it."""
        return Want(call.session.story, self.input, call.max_tokens, self.pico_usd, call.model)

    def after(self, output_tokens: int) -> Amount:
        """What it costs at most with an answer of this length."""
        return self.input + Amount(-(-output_tokens * self.pico_usd // PICO), output_tokens)


class Prices:
    """The prices of models: the user's own, else those of the table."""

    def __init__(
        self, own: Mapping[str, Mapping[str, float]], today: Callable[[], date] | None = None
    ) -> None:
        self._own = {model: _own_price(model, price) for model, price in own.items()}
        self._today = today or (lambda: datetime.now(UTC).date())
        self._read: dict[str, tuple[date, Price | None]] = {}

    def estimate(self, call: Call) -> Cost:
        """The most that a call costs; raises Refusal where nobody can know."""
        data = call.data
        price = _in_time_and_place(data, self._known(call.model))
        others = [self._known(model) for model in _fallbacks(data, call.model)]
        passes = 2 if _compacts(data) else 1
        added, searches = _server_tools(data, price)
        said = call.said.words
        tokens = (min(_input_tokens(call, said, price.window), price.window) + added) * passes
        rates = [each.at(tokens) for each in (price, *others)]
        micro = -(-(tokens * sum(_dearest(said, each) for each in rates) + searches) // PICO)
        output = max(each.output for each in rates) * passes
        most = micro - (-call.max_tokens * output // PICO)
        tokens *= len(rates)
        closed = passes == 1 and not added and not others
        return Cost(most, tokens + call.max_tokens, Amount(micro, tokens), output, closed)

    def settle(self, requested_model: str, usage: Usage) -> int:
        """What was used, in micro-dollars: at the price of the model that answered, where that is known."""
        price = (self._price(usage.model) if usage.model else None) or self._price(requested_model)
        if price is None:
            return 0
        if usage.speed == "fast" and price.fast is not None:
            price = price.fast
        rates = price.at(usage.tokens - usage.output_tokens)
        pico = (
            usage.input_tokens * rates.input
            + usage.output_tokens * rates.output
            + usage.cache_read_tokens * rates.cache_read
            + usage.cache_write_5m_tokens * rates.cache_write
            + usage.cache_write_1h_tokens * rates.cache_write_1h
        )
        return -(-(pico + usage.server_tools.get(_SEARCH, 0) * (price.search or 0)) // PICO)

    def knows(self, model: str) -> bool:
        """Whether a call to that model has a price."""
        return self._price(model) is not None

    def _known(self, model: str) -> Price:
        price = self._price(model)
        if price is None:
            raise _refused(f"{UNPRICED.format(model)}. {GIVE_PRICE.format(model)}", "unknown-model")
        return price

    def _price(self, model: str) -> Price | None:
        if model in self._own:
            return self._own[model]
        today = self._today()
        found = self._read.get(model)
        if found is None or found[0] != today:
            if len(self._read) > 1_000:
                self._read.clear()
            found = self._read[model] = (today, _from_table(model, today))
        return found[1]


def _from_table(model: str, today: date) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - 0.1 s, and only where a price is wanted

    try:
        _provider, info = get_snapshot().find_provider_model(model, None, "anthropic", None)
    except LookupError:
        return None
    noon = datetime.combine(today, time(12), UTC)
    standard, fast = info.get_prices(noon), info.get_prices(noon, {"speed": "fast"})
    window = info.context_window or _WINDOW
    return _price_of(standard, window, None if fast == standard else _price_of(fast, window))


def _price_of(table: Any, window: int, fast: Price | None = None) -> Price:
    starts = sorted({0, *_starts(table)}, reverse=True)
    search = table.web_searches_kcount
    pico = None if search is None else _whole(_at(search, 0) * PICO * PICO / 1_000)
    return Price(tuple(_rates(table, start) for start in starts), window, pico, fast)


_KINDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")


def _starts(table: Any) -> list[int]:
    """Where dearer tiers begin."""
    return [tier.start for kind in _KINDS for tier in getattr(getattr(table, kind), "tiers", ())]


def _rates(table: Any, above: int) -> Rates:
    plain = _at(table.input_mtok, above)
    write = _at(table.cache_write_mtok, above, plain * Decimal("1.25"))
    return Rates(
        above,
        _pico(plain),
        _pico(_at(table.output_mtok, above)),
        _pico(_at(table.cache_read_mtok, above, plain)),
        _pico(write),
        _pico(_at(table.cache_write_1h_mtok, above, max(write, plain * 2))),
    )


def _at(price: Any, above: int, otherwise: Decimal = Decimal(0)) -> Decimal:
    """One price of the table for inputs just longer than `above`."""
    if price is None:
        return otherwise
    if isinstance(price, Decimal):
        return price
    found: Decimal = price.base
    for tier in price.tiers:
        if above >= tier.start:
            found = tier.price
    return found


def _own_price(model: str, own: Mapping[str, float]) -> Price:
    if not {"input", "output"} <= own.keys():
        raise ConfigInvalid(f"gateway.prices: the model `{model}` has no price for input and output")
    of = {name: Decimal(str(price)) for name, price in own.items()}
    search = _whole(of["web_search"] * PICO * PICO / 1_000) if "web_search" in of else None
    fast = Price((_own_rates(of, of["fast"]),), _WINDOW, search) if "fast" in of else None
    return Price((_own_rates(of, Decimal(1)),), _WINDOW, search, fast)


def _own_rates(of: Mapping[str, Decimal], times: Decimal) -> Rates:
    plain = of["input"] * times
    write = of["cache_write"] * times if "cache_write" in of else plain * Decimal("1.25")
    return Rates(
        0,
        _pico(plain),
        _pico(of["output"] * times),
        _pico(of["cache_read"] * times if "cache_read" in of else plain),
        _pico(write),
        _pico(of["cache_write_1h"] * times if "cache_write_1h" in of else max(write, plain * 2)),
    )


def _input_tokens(call: Call, said: frozenset[bytes], window: int) -> int:
    """The tokens of a request at most, but for those that server tools add; an unknown length is the whole window."""
    size = len(call.body)
    extra = 0
    if b'"image"' in said or b'"document"' in said:
        for block in _attachments(call.data.get("messages")):
            source = block.get("source")
            data = source.get("data") if isinstance(source, dict) else None
            if block["type"] == "document" and not (
                isinstance(source, dict) and source.get("type") in _READABLE
            ):
                return window
            if block["type"] == "image":
                extra += IMAGE_TOKENS
                size -= len(data) if isinstance(data, str) else 0
    return -(-size // _BYTES_PER_TOKEN) + extra + _OVERHEAD


_MOST_COUNTED = 1_000_000_000
_READABLE = ("text", "content")


def _attachments(content: Any) -> list[Mapping[str, Any]]:
    """Every image and document block, however deep: in messages, tool results and documents."""
    found: list[Mapping[str, Any]] = []
    left = [content]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left += each
        elif isinstance(each, dict):
            if each.get("type") in ("image", "document"):
                found.append(each)
            left += [part for name, part in each.items() if name in ("content", "source")]
    return found


def _dearest(said: frozenset[bytes], rates: Rates) -> int:
    """What a token of the input costs at most: all of it may be written to a cache."""
    if b'"cache_control"' not in said:
        return rates.input
    if b'"1h"' in said:
        return max(rates.input, rates.cache_write_1h)
    return max(rates.input, rates.cache_write)


def _server_tools(data: Mapping[str, Any], price: Price) -> tuple[int, int]:
    """The tokens that the vendor's own tools add at most, and their price in 10^-12 dollars."""
    tokens = pico = 0
    for tool in _list(data.get("tools")):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or kind == "custom" or kind.startswith(_HERE):
            continue
        uses = tool.get("max_uses")
        if kind.startswith("web_search_") and price.search is not None and _counts(uses):
            tokens += uses * SEARCH_TOKENS
            pico += uses * price.search
        elif kind.startswith("web_fetch_") and _counts(uses) and _counts(tool.get("max_content_tokens")):
            tokens += uses * tool["max_content_tokens"]
        else:
            needs = {"web_search": "max_uses and a price", "web_fetch": "max_uses and max_content_tokens"}
            named = next((f"; it needs {need}" for name, need in needs.items() if kind.startswith(name)), "")
            raise _refused(f"nobody can say what the server tool {kind!r} costs at most{named}", "unpriced")
    if data.get("mcp_servers"):
        raise _refused("nobody can say what `mcp_servers` cost at most; let the client call them", "unpriced")
    return tokens, pico


def _counts(value: Any) -> bool:
    """Whether that is how often something may be: one below 0 would make room for others, one without end cannot be said."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COUNTED


def _in_time_and_place(data: Mapping[str, Any], price: Price) -> Price:
    """The price for the wanted speed; raises Refusal where that, or the wanted place, has none."""
    if data.get("inference_geo") not in (None, "global"):
        raise _refused("`inference_geo` has no price here; leave it out", "unpriced")
    speed = data.get("speed")
    if speed in (None, "standard"):
        return price
    if speed != "fast" or price.fast is None:
        raise _refused(
            f"`speed` {json.dumps(speed)} has no price for this model; give `fast` (how many times dearer) in"
            " [gateway.prices], or leave it out",
            "unpriced",
        )
    return price.fast


def _fallbacks(data: Mapping[str, Any], model: str) -> list[str]:
    """The models that the vendor may ask when this one declines: each reads the input again."""
    found = data.get("fallbacks")
    if not isinstance(found, list):
        return [model] if found else []
    if any(isinstance(each, dict) and each.get("max_tokens") for each in found):
        raise _refused("`max_tokens` in `fallbacks` cannot be kept within a budget; leave it out", "unpriced")
    return [str(each.get("model")) for each in found if isinstance(each, dict)]


def _compacts(data: Mapping[str, Any]) -> bool:
    """Whether the vendor may read the input and answer twice, to shorten it."""
    management = data.get("context_management")
    edits = _list(management.get("edits")) if isinstance(management, dict) else ()
    return any(str(edit.get("type")).startswith("compact") for edit in edits if isinstance(edit, dict))


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _refused(message: str, reason: str) -> Refusal:
    return Refusal(400, "invalid_request_error", message, reason=reason)


def _pico(usd_per_million: Decimal) -> int:
    """Dollars for a million tokens, as 10^-12 dollars for one."""
    return _whole(usd_per_million * PICO)


def _whole(value: Decimal) -> int:
    """Rounded up."""
    return int(value.to_integral_value("ROUND_CEILING"))
