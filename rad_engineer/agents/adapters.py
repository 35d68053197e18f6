"""Command-line agents as data: how each is started, where its prompt goes, what it prints, and who pays.

`argv` may have these marks: {model}, {optional}, {resume} and {way} become further arguments (or none), {prompt} is
the path of the prompt file, {state} a folder of the agent's own. Neither the prompt's text nor a secret is ever an
argument: every user of the machine can read those.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Dialect = Literal["claude", "opencode", "codex", "gemini", "goose", "copilot", "aider"]


@dataclass(frozen=True, slots=True)
class Option:
    """Arguments that are left out, with a warning, where the installed version's help does not name `flag`."""

    flag: str
    arguments: tuple[str, ...]
    loses: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """One agent. Through the gateway it runs with `metered`, on an account of its own with `own`."""

    name: str
    program: str
    argv: tuple[str, ...]
    dialect: Dialect
    checked: str  # the version that this row was held against; "" where only its manual was
    prompt: Literal["stdin", "file"] = "stdin"
    model: tuple[str, ...] = ("--model", "{model}")
    default_model: str = ""  # for those that cannot start without one
    resume: tuple[str, ...] = ()  # how it goes on with a session; empty where it cannot
    optional: tuple[Option, ...] = ()
    help: tuple[str, ...] = ("--help",)
    environment: Mapping[str, str] = field(default_factory=dict)  # in any case
    metered: Mapping[str, str] = field(default_factory=dict)  # its way to the gateway; empty: it has none
    metered_way: tuple[str, ...] = ()
    own_way: tuple[str, ...] = ()
    home: Mapping[str, str] = field(default_factory=dict)  # variables that give it a folder of its own
    credentials: Mapping[str, str] = field(
        default_factory=dict
    )  # file below $HOME -> its place in that folder
    renews: tuple[str, ...] = ()  # those of them that it writes a renewed login into
    variables: tuple[str, ...] = ()  # credentials in the environment
    hosts: tuple[str, ...] = ()  # of its vendor, which it must reach with them
    forced: bool = False  # unconfigured it would ask models of its vendor's: in a box it is told which ones
    acp: bool = False  # it is spoken with over the Agent Client Protocol, and prints nothing to be read
    costs: bool = True  # whether it tells what it has spent
    honest: bool = True  # whether exit code 0 says that it did not fail
    login: str = ""  # what a user does when it says that it is not logged in


_CLAUDE = Adapter(
    "claude", "claude",
    ("-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits", "{optional}", "{way}",
     "{model}", "{resume}"),
    "claude", "2.1.330",
    resume=("--resume", "{session}"),
    optional=(
        Option("--permission-prompts", ("--permission-prompts", "none"), "a question for permission ends the attempt"),
        Option("--allowedTools", ("--allowedTools", "Bash,Edit,Read,Write"), "commands may be refused"),
    ),
    environment={"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    metered={"ANTHROPIC_BASE_URL": "{base_url}", "ANTHROPIC_AUTH_TOKEN": "{token}", "CLAUDE_CODE_MAX_RETRIES": "0"},
    metered_way=("--bare",),  # reads no login of the user's, and no settings that could lead past the gateway
    home={"CLAUDE_CONFIG_DIR": "{state}"},
    credentials={".claude/.credentials.json": ".credentials.json"}, renews=(".claude/.credentials.json",),
    variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    hosts=("api.anthropic.com:443", "platform.claude.com:443", "console.anthropic.com:443"),
    login="claude, then /login",
)  # fmt: skip

_CODEX = Adapter(
    "codex", "codex",
    ("exec", "--json", "--skip-git-repo-check", "-s", "workspace-write", "--color", "never", "{model}", "{resume}",
     "-"),
    "codex", "0.169.0",
    model=("-m", "{model}"), resume=("resume", "{session}"), help=("exec", "--help"),
    home={"CODEX_HOME": "{state}"}, credentials={".codex/auth.json": "auth.json"},
    renews=(".codex/auth.json",), variables=("CODEX_API_KEY", "OPENAI_API_KEY"),
    hosts=("api.openai.com:443", "chatgpt.com:443", "auth.openai.com:443"), costs=False, login="codex login",
)  # fmt: skip

_OPENCODE_CONFIG = (
    '"autoupdate":false,"share":"disabled","provider":{"anthropic":{"options":{"baseURL":"{base_url}/v1",'
    '"apiKey":"{token}"},"models":{"{model}":{}}}}}'
)
_OPENCODE = Adapter(
    "opencode", "opencode",
    ("run", "--format", "json", "{optional}", "{model}", "{resume}"),
    "opencode", "1.18.33",
    model=("-m", "anthropic/{model}"), default_model="claude-sonnet-5-5", resume=("--session", "{session}"),
    optional=(
        Option("--pure", ("--pure",), "plug-ins of the user's take part"),
        Option("--auto", ("--auto",), "what needs a permission is refused"),
        Option("--title", ("--title", "rad-engineer"), "a model is asked for a title of each session"),
    ),
    help=("run", "--help"),
    environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1",
                 "OPENCODE_DISABLE_SHARE": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"},
    metered={"OPENCODE_CONFIG_CONTENT": "{" + _OPENCODE_CONFIG,
             "OPENCODE_AUTH_CONTENT": "{}"},
    variables=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENCODE_API_KEY"),
    credentials={".local/share/opencode/auth.json": ""}, renews=(".local/share/opencode/auth.json",),
    hosts=("api.anthropic.com:443", "api.openai.com:443", "opencode.ai:443"), forced=True,
    login="opencode auth login",
)  # fmt: skip

_GEMINI = Adapter(
    "gemini", "gemini", ("-o", "stream-json", "--approval-mode", "yolo", "{optional}", "{model}", "{resume}"),
    "gemini", "0.61.0",
    resume=("--resume", "{session}"),
    optional=(Option("--skip-trust", ("--skip-trust",), "a folder that is not trusted may be refused"),),
    environment={"GEMINI_CLI_DISABLE_AUTOUPDATE": "1"},
    home={"GEMINI_CLI_HOME": "{state}"},
    credentials={".gemini/oauth_creds.json": ".gemini/oauth_creds.json",
                 ".gemini/google_accounts.json": ".gemini/google_accounts.json",
                 ".gemini/settings.json": ".gemini/settings.json"},
    renews=(".gemini/oauth_creds.json",),
    hosts=("cloudcode-pa.googleapis.com:443", "oauth2.googleapis.com:443", "generativelanguage.googleapis.com:443"),
    variables=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GENAI_USE_VERTEXAI",
               "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_PROJECT"),
    costs=False, login="gemini, then choose how to log in",
)  # fmt: skip

_CURSOR = Adapter(
    "cursor-agent", "cursor-agent",
    ("-p", "--output-format", "stream-json", "--force", "{optional}", "{model}", "{resume}"),
    "claude", "",
    resume=("--resume", "{session}"),
    optional=(Option("--trust", ("--trust",), "a folder that is not trusted may be refused"),),
    credentials={".cursor/cli-config.json": "", ".config/cursor/auth.json": ""}, renews=(".config/cursor/auth.json",),
    variables=("CURSOR_API_KEY",), hosts=("*.cursor.sh:443",),
    costs=False, login="cursor-agent login",
)  # fmt: skip

_AMP = Adapter(
    "amp", "amp", ("{resume}", "--no-notifications", "--no-ide", "-x", "--stream-json"), "claude", "0.0.1790142911",
    model=(), resume=("threads", "continue", "{session}"),
    environment={"AMP_SKIP_UPDATE_CHECK": "1"},
    credentials={".local/share/amp/secrets.json": ""}, variables=("AMP_API_KEY",), hosts=("ampcode.com:443",),
    costs=False, login="amp login",
)  # fmt: skip

_AIDER = Adapter(
    "aider", "aider",
    ("--message-file", "{prompt}", "--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore",
     "--no-check-update", "--no-pretty", "--no-stream", "--no-suggest-shell-commands", "--no-detect-urls",
     "--no-show-model-warnings", "--no-show-release-notes", "--chat-history-file", "{state}/chat.md",
     "--input-history-file", "{state}/input", "{model}"),
    "aider", "0.86.2",
    prompt="file", model=("--model", "anthropic/{model}"), default_model="claude-sonnet-5-5",
    environment={"AIDER_ANALYTICS_DISABLE": "true"},
    metered={"ANTHROPIC_API_BASE": "{base_url}", "ANTHROPIC_API_KEY": "{token}"},
    variables=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"), honest=False,
    hosts=("api.anthropic.com:443", "api.openai.com:443", "generativelanguage.googleapis.com:443", "openrouter.ai:443"),
    login="set the API key of its model, e.g. ANTHROPIC_API_KEY",
)  # fmt: skip

_GOOSE = Adapter(
    "goose", "goose",
    ("run", "-i", "-", "--output-format", "stream-json", "--with-builtin", "developer", "{optional}", "{model}",
     "{resume}"),
    "goose", "",
    resume=("--resume", "--session-id", "{session}"),
    optional=(Option("--quiet", ("--quiet",), "its banner is in the log"),), help=("run", "--help"),
    environment={"GOOSE_MODE": "auto", "GOOSE_DISABLE_KEYRING": "1", "GOOSE_TELEMETRY_ENABLED": "false"},
    default_model="claude-sonnet-5-5",
    metered={"GOOSE_PROVIDER": "anthropic", "ANTHROPIC_HOST": "{base_url}", "ANTHROPIC_API_KEY": "{token}",
             "GOOSE_MODEL": "{model}"},
    credentials={".config/goose/config.yaml": "", ".config/goose/secrets.yaml": ""},
    variables=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY"),
    hosts=("api.anthropic.com:443", "api.openai.com:443", "generativelanguage.googleapis.com:443", "openrouter.ai:443"),
    login="goose configure",
)  # fmt: skip

_COPILOT = Adapter(
    "copilot", "copilot",
    ("--allow-all-tools", "--output-format", "json", "{optional}", "{model}", "{resume}"), "copilot", "1.0.102",
    resume=("--resume={session}",),
    optional=(
        Option("--no-color", ("--no-color",), "colours are in the log"),
        Option("--no-ask-user", ("--no-ask-user",), "a question ends the attempt"),
        Option("--no-auto-update", ("--no-auto-update",), "it may update itself during a run"),
    ),
    home={"COPILOT_HOME": "{state}"}, credentials={".copilot/config.json": "config.json"},
    variables=("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
    hosts=("api.github.com:443", "*.githubcopilot.com:443"), costs=False,
    login="copilot, then /login",
)  # fmt: skip

_QWEN = Adapter(
    "qwen", "qwen", ("-o", "stream-json", "--approval-mode", "yolo", "{way}", "{model}", "{resume}"),
    "claude", "0.15.10",
    default_model="claude-sonnet-5-5", resume=("--resume", "{session}"),
    metered={"ANTHROPIC_BASE_URL": "{base_url}", "ANTHROPIC_API_KEY": "{token}", "ANTHROPIC_MODEL": "{model}"},
    metered_way=("--auth-type", "anthropic", "--bare"),
    credentials={".qwen/oauth_creds.json": "", ".qwen/settings.json": ""}, renews=(".qwen/oauth_creds.json",),
    hosts=("chat.qwen.ai:443", "portal.qwen.ai:443", "dashscope.aliyuncs.com:443", "api.openai.com:443"),
    variables=("OPENAI_API_KEY", "OPENAI_BASE_URL", "DASHSCOPE_API_KEY", "ANTHROPIC_API_KEY"),
    costs=False, honest=False, login="qwen auth",
)  # fmt: skip


def _over_acp(row: Adapter, *argv: str, checked: str = "", **other: Any) -> Adapter:
    """The same agent, spoken with over the protocol: leave is asked of us, and the model is set in the session."""
    changed: dict[str, Any] = {
        "name": f"{row.name}:acp", "argv": argv, "dialect": "claude", "checked": checked, "prompt": "file", "acp": True,
        "model": (), "resume": (), "optional": (), "honest": True, "costs": False,
    }  # fmt: skip
    return replace(row, **{**changed, **other})


_OPENCODE_ASKS = '{"permission":{"edit":"ask","external_directory":"ask"},"model":"anthropic/{model}",'
_OVER_ACP = (
    _over_acp(
        _CLAUDE, checked="0.100.0", program="claude-agent-acp", metered_way=(), default_model="claude-sonnet-5-5",
        metered={**_CLAUDE.metered, "ANTHROPIC_MODEL": "{model}"}, costs=True,
    ),
    _over_acp(_CODEX, checked="2.6.0", program="codex-acp", variables=()),  # it would write a key down beside its login
    _over_acp(
        _OPENCODE, "acp", checked="1.18.33",
        metered={**_OPENCODE.metered, "OPENCODE_CONFIG_CONTENT": _OPENCODE_ASKS + _OPENCODE_CONFIG},
    ),
    _over_acp(_GEMINI, "--acp", checked="0.61.0"),
    _over_acp(_CURSOR, "acp"),
    _over_acp(_GOOSE, "acp", "--with-builtin", "developer", environment={**_GOOSE.environment, "GOOSE_MODE": "approve"}),
    _over_acp(_COPILOT, "--acp", checked="1.0.102"),
    _over_acp(_QWEN, "--acp", "{way}", checked="0.15.10"),
)  # fmt: skip

ADAPTERS: Mapping[str, Adapter] = {
    row.name: row
    for row in (
        _CLAUDE, _CODEX, _OPENCODE, _GEMINI, _CURSOR, _AMP, _AIDER, _GOOSE, _COPILOT, _QWEN, *_OVER_ACP
    )
}  # fmt: skip
"""Every command-line agent, in the order in which `--agent auto` looks for one; those over the protocol only by name."""

PRIVATE: frozenset[str] = frozenset(
    {name for row in ADAPTERS.values() for name in (*row.variables, *row.metered)}
    | {"ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE", "ANTHROPIC_CUSTOM_HEADERS"}
)
"""What no agent gets from the user's environment, but for what its own row names."""


def own_folder(name: str) -> str:
    """What the folder of an agent's own is called, in that of a story."""
    return f"agent-{name.replace(':', '-')}"


def account(adapter: Adapter) -> str:
    """The credentials that an agent gets where nobody counts, in words."""
    parts = [*(f"~/{path}" for path in adapter.credentials), *(f"${name}" for name in adapter.variables)]
    return ", ".join(parts)


def granted(name: str, logins: Collection[str]) -> bool:
    """Whether an agent's own login may be seen in a box: one login is the same over every protocol."""
    return name.partition(":")[0] in logins
