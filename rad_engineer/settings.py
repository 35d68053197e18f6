"""The settings of a run: flags over RAD_* over rad-engineer.toml over pyproject.toml over the user's own over defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from rad_engineer import resources, settings_file
from rad_engineer.core.pressure import careful
from rad_engineer.errors import ConfigInvalid, NoAgent, UsageError
from rad_engineer.settings_schema import SETTINGS, TABLES
from rad_engineer.settings_values import BadValue, parse

FILE, PYPROJECT = settings_file.FILE, settings_file.PYPROJECT
OF_USER = "your own configuration"
"""Where a setting comes from that is in the user's file; nobody has to trust that one."""
_MEMORY_PER_JOB = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run goes by; `settings_schema` says what each field means. `origins` tells where it came from."""

    jobs: int
    agent: str | None
    agent_command: str | None
    model: str | None
    effort: str | None
    thinking: str
    max_turns: int
    max_tokens: int
    context_tokens: int
    roles: Mapping[str, str]
    allow_unmetered: bool
    review: bool
    reviewer: str | None
    review_model: str | None
    review_rounds: int
    simplify: bool
    only: tuple[str, ...]
    once: bool
    max_stories: int | None
    story_timeout: float | None
    idle_timeout: float | None
    deadline: float | None
    attempts: int
    branch: str | None
    base: str | None
    fail_fast: bool
    keep_going: bool
    parallel: bool
    wave: int | None
    allow_unverified: bool
    allow_missing_tests: bool
    allow_dangling: bool
    allow_protected_branch: bool
    stories_path: str | None
    tag: str | None
    workspace: Literal["slots", "shared"]
    sandbox: Literal["auto", "bubblewrap", "landlock", "off"]
    audit: Literal["plain", "encrypted", "off"]
    network: tuple[str, ...]
    gate_network: tuple[str, ...]
    setup_network: tuple[str, ...]
    readable: tuple[str, ...]
    private_network: bool
    variables: tuple[str, ...]
    credentials: tuple[str, ...]
    merge: bool
    gate_timeout: float
    grace: float
    fresh: bool
    write_back: bool
    deploy_command: str | None
    deploy_health: str | None
    deploy_rollback: str | None
    deploy_timeout: float
    deploy: bool
    dry_run: bool
    yes: bool
    budget: float | None
    story_budget: float | None
    token_budget: int | None
    story_token_budget: int | None
    upstream: str | None
    record: str | None
    offline: bool
    fallback_model: str | None
    cache: bool
    share: bool
    model_concurrency: int
    requests_per_minute: int | None
    tokens_per_minute: int | None
    rates: Mapping[str, Mapping[str, int]]
    prices: Mapping[str, Mapping[str, float]]
    gates: Mapping[str, str]
    wave_gates: Mapping[str, str]
    final_gates: Mapping[str, str]
    protect: tuple[str, ...]
    injection_warn: int
    injection_quarantine: int
    policy: Mapping[str, Any]
    setup: str | None
    copy: tuple[str, ...]
    keep: tuple[str, ...]
    root: str | None
    history: int
    batch: bool
    detect_gates: bool
    serve: bool
    serve_host: str
    serve_port: int
    serve_token_file: str | None
    serve_allowed_hosts: tuple[str, ...]
    serve_requests_per_minute: int
    serve_certificate: str | None
    serve_key: str | None
    otlp_endpoint: str | None
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["pretty", "json"]
    origins: Mapping[str, str]
    adapts: bool = False  # whether `jobs` is auto, and follows what the machine has left

    def to_json(self) -> dict[str, Any]:
        """The form in run.json: a resumed run needs no flags again."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Settings":
        """Reads it back; what an earlier version did not know gets its default."""
        values: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}
        values |= {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name, setting in SETTINGS.items():
            if setting.kind == "texts":
                values[name] = tuple(values[name])
        values["origins"] = dict(data.get("origins", {}))
        if values["jobs"] == "auto":
            values |= {"jobs": processors(), "adapts": True}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """Which agent works, and what decided it; no name means that nothing did."""

    name: str | None
    command: str
    origin: str
    fallbacks: tuple[str, ...] = ()  # who is asked next when it is missing or at its limit

    @property
    def chain(self) -> tuple[str, ...]:
        """All of them, in the order in which they are asked."""
        return () if self.name is None else (self.name, *self.fallbacks)


def load(
    root: Path | None,
    flags: Mapping[str, object],
    env: Mapping[str, str],
    instead: Mapping[Path, str] | None = None,
) -> Settings:
    """The settings for a run started in `root` (no files are read without one); `instead` of some files, other text.

    Raises UsageError for a bad flag, ConfigInvalid for anything else that cannot be understood.
    """
    values: dict[str, Any] = {name: setting.default for name, setting in SETTINGS.items()}
    origins = dict.fromkeys(SETTINGS, "default")
    if root is not None:
        for file, text, table in (*_of_user(env), *settings_file.files(root, instead)):
            origin = OF_USER if file.parent == config_home(env) else file.name
            _merge(values, origins, settings_file.read(file, text, table), origin)
    for name, setting in SETTINGS.items():
        if setting.variable is not None and env.get(setting.variable, ""):
            values[name] = settings_file.checked(setting, env[setting.variable], setting.variable)
            origins[name] = setting.variable
    if values["jobs"] == "auto":
        values |= {"jobs": processors(), "adapts": True}
    return with_flags(Settings(**values, origins=origins), flags)


def _of_user(env: Mapping[str, str]) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    if env.get("HOME") or env.get("XDG_CONFIG_HOME"):
        yield from (found for found in settings_file.files(config_home(env)) if found[0].name == FILE)


def with_flags(settings: Settings, flags: Mapping[str, object]) -> Settings:
    """The settings with these flags on top; a flag that is None was not given."""
    values: dict[str, Any] = {}
    origins = dict(settings.origins)
    for name, value in flags.items():
        setting = SETTINGS.get(name)
        if setting is None:
            raise UsageError(f"no setting is called `{name}`")
        if value is None:
            continue
        flag = setting.flags[-1] if setting.flags else f"--{name.replace('_', '-')}"
        flag = next((spelling for spelling in setting.flags if spelling.startswith("--")), flag)
        try:
            values[name] = parse(setting, value, written=True)
        except BadValue as error:
            raise UsageError(
                f"{flag}: {error}", hint="`rad-engineer config reference` lists all settings"
            ) from None
        origins[name] = flag
        if setting.kind == "jobs":
            values["adapts"] = values[name] == "auto"
            values[name] = processors() if values["adapts"] else values[name]
    return _without_contradiction(replace(settings, **values, origins=origins), values)


def _without_contradiction(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """After a failure a run either stops or goes on: a flag that was just given wins, anything else is refused."""
    if not (settings.fail_fast and settings.keep_going):
        return settings
    if given.get("fail_fast") and given.get("keep_going"):
        raise UsageError("--fail-fast and --keep-going contradict each other", hint="give only one of them")
    if given.get("fail_fast"):
        return replace(settings, keep_going=False)
    if given.get("keep_going"):
        return replace(settings, fail_fast=False)
    origins = " and ".join(dict.fromkeys(settings.origins[name] for name in ("fail_fast", "keep_going")))
    raise ConfigInvalid(
        f"{origins}: fail_fast and keep_going contradict each other", hint="set only one of them"
    )


def resolve_agent(settings: Settings, env: Mapping[str, str]) -> AgentChoice:
    """Which agent the settings mean: a command implies `command`, USE_REAL_AGENTS=false means `mock`.

    The stronger source wins (flag, variable, file); on a tie the agent's name does.
    """
    candidates: list[tuple[int, str | None, str]] = []
    if settings.agent_command:
        origin = settings.origins["agent_command"]
        candidates.append((_strength(origin), "command", origin))
    real = env.get("USE_REAL_AGENTS", "").strip().lower()
    if real in ("false", "0", "no", "off"):
        candidates.append((2, "mock", "USE_REAL_AGENTS"))
    if settings.agent is not None:
        origin = settings.origins["agent"]
        overruled = settings.agent == "mock" and real in ("true", "1", "yes", "on") and _strength(origin) < 2
        if not overruled:
            candidates.append((_strength(origin), settings.agent, origin))
    best = max((strength for strength, _, _ in candidates), default=0)
    names, origin = next(
        ((names, origin) for strength, names, origin in reversed(candidates) if strength == best),
        (None, "default"),
    )
    first, *others = names.split(",") if names else [""]
    choice = AgentChoice(first or None, "", origin, tuple(others))
    if "command" not in choice.chain:
        return choice
    if not settings.agent_command:
        raise NoAgent(
            f"the agent is `command` (from {origin}), but no command line is configured",
            hint='give --agent-command "…", or set `command` under [agent] in rad-engineer.toml',
        )
    return replace(choice, command=settings.agent_command)


def processors() -> int:
    """How many stories this machine can run at once: its processors, fewer when memory is short."""
    return careful(resources.processors(), resources.memory_left(), _MEMORY_PER_JOB)


def state_home(env: Mapping[str, str]) -> Path:
    """Where what must outlive a run is kept: $XDG_STATE_HOME/rad-engineer."""
    return _directory(env, "XDG_STATE_HOME", ".local/state")


def cache_home(env: Mapping[str, str]) -> Path:
    """Where what can be made again is kept: $XDG_CACHE_HOME/rad-engineer."""
    return _directory(env, "XDG_CACHE_HOME", ".cache")


def config_home(env: Mapping[str, str]) -> Path:
    """Where the user's own configuration and key are kept: $XDG_CONFIG_HOME/rad-engineer."""
    return _directory(env, "XDG_CONFIG_HOME", ".config")


def _directory(env: Mapping[str, str], variable: str, fallback: str) -> Path:
    given = env.get(variable, "")
    if given.startswith("/"):  # the specification says to ignore relative ones
        return Path(given) / "rad-engineer"
    home = env.get("HOME", "")
    return (Path(home) if home else Path("~").expanduser()) / fallback / "rad-engineer"


def _strength(origin: str) -> int:
    if origin.startswith("--"):
        return 3
    if origin.startswith("RAD_"):
        return 2
    return 0 if origin in ("default", OF_USER) else 1


def _merge(values: dict[str, Any], origins: dict[str, str], found: Mapping[str, Any], origin: str) -> None:
    for name, value in found.items():
        if SETTINGS[name].kind == "policy":
            from rad_engineer.core.policy import merged  # noqa: PLC0415  # it has just been read with it

            values[name] = merged(values[name], value)
        elif SETTINGS[name].kind in TABLES:
            values[name] = {**values[name], **value}
            origins.update({f"{name}.{gate}": origin for gate in value})
        else:
            values[name] = value
        origins[name] = origin
