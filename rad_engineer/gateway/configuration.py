"""What a gateway is told when it starts; it travels to its process as JSON, without any secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rad_engineer.errors import ConfigInvalid

if TYPE_CHECKING:
    from rad_engineer.settings import Settings

ANTHROPIC = "https://api.anthropic.com"
REPLAY = "replay:"
MOCK = "mock"
DEFAULT_CAP_USD = 10.0
MICRO = 1_000_000
_TIERS = ("user", "session", "address", "model")


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Caps are in micro-dollars and tokens, times in seconds, sizes in bytes; None is no cap."""

    upstream: str = ANTHROPIC  # a base URL, "mock", or "replay:" and a folder
    port: int = 0  # any that is free
    tenant: str = "run"
    fallback_model: str = ""
    run_micro_usd: int | None = int(DEFAULT_CAP_USD * MICRO)
    story_micro_usd: int | None = None
    run_tokens: int | None = None
    story_tokens: int | None = None
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    per_model: int = 128  # 250 requests a minute with answers of half a minute
    breaker_pause: float = 5.0  # how long an upstream that fails is left alone at first
    share: bool = False
    cache: bool = True
    cache_folder: str = ""
    cache_memory: int = 100_000_000
    cache_disk: int = 500_000_000
    cache_ttl: float = 86400.0
    record: str = ""
    offline: bool = False
    attempts: int = 4  # how often one request is sent to the upstream, at most
    first_wait: float = 0.5  # before the second of those; doubled each time
    retry_seconds: float = 60.0  # how long one request may spend waiting between those
    connect_seconds: float = 10.0
    answer_seconds: float = 600.0  # until an answer begins
    key_seconds: float = 60.0  # nobody is asked for so long who has refused the key
    unheard_seconds: float = (
        1.0  # after so long an upstream that hangs up may have worked, and ask money for it
    )
    gap_seconds: float = 120.0  # between two events of a stream
    longest_seconds: float = 3600.0  # a call as a whole, from the upstream's side: so long it may hold money
    body_bytes: int = 128 * 1024 * 1024  # of large requests that are here
    body_seconds: float = 10.0  # so long may a large one take to come: its sender is on this machine
    body_wait_seconds: float = 60.0  # and so long may it wait for room
    idle_seconds: float = 1800.0
    drain_seconds: float = 60.0  # how long a call goes on that nobody reads any more
    linger_seconds: float = 4.0  # and how long when the gateway is to end
    beat_seconds: float = 1.0  # it says so often that it is there
    traced: Mapping[str, str] = field(default_factory=dict)  # url, trace, session: where spans go, if they do
    silence_seconds: float = 15.0  # one that says nothing for so long is started again

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GatewaySettings":
        """The settings of plain values."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})


def configured(found: "Settings", **more: Any) -> GatewaySettings:
    """What a user has set, as a gateway is told it; without a budget there is the default cap.

    Raises ConfigInvalid for an upstream that nobody can ask.
    """
    wanted = DEFAULT_CAP_USD if found.budget is None else found.budget
    return GatewaySettings(
        upstream=_upstream(found),
        fallback_model=found.fallback_model or "",
        run_micro_usd=_micro(wanted),
        story_micro_usd=_micro(found.story_budget),
        run_tokens=found.token_budget,
        story_tokens=found.story_token_budget,
        prices=found.prices,
        limits=_limits(found),
        per_model=found.model_concurrency,
        cache=found.cache,
        share=found.share,
        record=found.record or "",
        offline=found.offline,
        **more,
    )


def _upstream(found: "Settings") -> str:
    """Where to ask. A password does not belong into a URL: those are shown, and written down."""
    url = found.upstream or ANTHROPIC
    if url in ("", MOCK) or url.startswith(REPLAY):
        return url
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if (
        not good
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or not url.isprintable()
        or " " in url
    ):
        raise ConfigInvalid(
            f"{found.origins.get('upstream', 'upstream')}: no model can be asked at this URL",
            hint="give the base URL of a Messages API such as http://127.0.0.1:4000, without a user, or replay:DIR",
        )
    return url


def _micro(usd: float | None) -> int | None:
    """Micro-dollars; no dollars are no cap."""
    return round(usd * MICRO) if usd else None


def _limits(found: "Settings") -> dict[str, Any]:
    """The limits of each tier; a name that is none of them is that of a model."""
    tiers = {name: rate for name, rate in found.rates.items() if name in _TIERS}
    return {
        "global": {"requests": found.requests_per_minute, "tokens": found.tokens_per_minute},
        **tiers,
        "models": {name: rate for name, rate in found.rates.items() if name not in _TIERS},
    }
