"""Every setting once: its name, kind, default, flag, key in the configuration file, and what it does."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "text",
    "choice",
    "chain",
    "switch",
    "count",
    "jobs",
    "duration",
    "span",
    "money",
    "texts",
    "commands",
    "prices",
    "rates",
    "policy",
]
"""`chain` is some of the choices, in order; `duration` may be none (no limit), `span` may not; `money` is in US dollars;
`commands` is a table NAME = "command", `prices` a table MODEL = { input = 2.0, output = 10.0 } in dollars for a million
tokens, `rates` a table NAME = { requests = 60, tokens = 100000 } in a minute, `policy` what core.policy reads."""
TABLES = ("commands", "prices", "rates", "policy")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `key` is its place in rad-engineer.toml, `flags` its spellings on the command line."""

    name: str
    kind: Kind
    default: Any
    doc: str
    key: str | None = None
    flags: tuple[str, ...] = ()
    metavar: str = ""
    choices: tuple[str, ...] = ()
    least: int = 0
    env: bool = True
    feature: bool = False  # a switch for a whole way of working
    off: str = ""  # what the --no- spelling of a switch that is on by default does

    @property
    def variable(self) -> str | None:
        """The environment variable that sets it."""
        return f"RAD_{self.name.upper()}" if self.env and self.kind not in TABLES else None


AGENTS = ("auto", "anthropic", "claude", "codex", "opencode", "gemini", "cursor-agent", "amp", "aider", "goose",
          "copilot", "qwen", "claude:acp", "codex:acp", "opencode:acp", "gemini:acp", "cursor-agent:acp", "goose:acp",
          "copilot:acp", "qwen:acp", "command", "mock")  # fmt: skip
"""Who can write the code; `auto` is whoever of them is at hand, `:acp` the same one over the Agent Client Protocol."""

_AGENT = (
    Setting("agent", "chain", None, "who writes the code, see `rad-engineer agents`; of several, separated by commas, "
            "the next one is asked when one is missing or at its limit", "agent.name", ("--agent",), "NAME,…",
            choices=AGENTS),
    Setting("agent_command", "text", None, "the command line to run for each story; implies --agent command",
            "agent.command", ("--agent-command",), "COMMAND"),
    Setting("model", "text", None, "the model that agents ask", "agent.model", ("--model",), "MODEL"),
    Setting("effort", "choice", None, "how much the built-in agent's model thinks and writes", "agent.effort",
            choices=("low", "medium", "high", "xhigh", "max")),
    Setting("thinking", "choice", "adaptive", "whether it thinks before it answers", "agent.thinking",
            choices=("adaptive", "off")),
    Setting("max_turns", "count", 150, "how often it is asked in one attempt", "agent.max_turns", least=1),
    Setting("max_tokens", "count", 16_000, "how long one answer may be", "agent.max_tokens", least=256),
    Setting("context_tokens", "count", 150_000, "how long its conversation may grow before it is compacted",
            "agent.context_tokens", least=2_000),
    Setting("roles", "commands", {}, 'own prompts for roles: NAME = "path.md"; else .rad-engineer/roles/NAME.md',
            "agent.roles"),
    Setting("allow_unmetered", "switch", False, "let agents work under a budget although nobody counts what they "
            "spend", "agent.allow_unmetered", ("--allow-unmetered",)),
    Setting("review", "switch", False, "have each change read against its criteria before it is judged",
            "agent.review", ("--review",), feature=True),
    Setting("reviewer", "chain", None, "who reads it; else who wrote it, in another role", "agent.reviewer",
            choices=AGENTS),
    Setting("review_model", "text", None, "the model that the reviewer asks", "agent.review_model"),
    Setting("review_rounds", "count", 1, "how often findings go back to whoever wrote it", "agent.review_rounds",
            least=1),
    Setting("simplify", "switch", False, "have what is green made simpler, and judged again", "agent.simplify",
            ("--simplify",), feature=True),
)  # fmt: skip
_SELECTION = (
    Setting("only", "texts", (), "run only this story; may be repeated", None, ("--only",), "ID", env=False),
    Setting("once", "switch", False, "run one story to its end, then stop (exit 3 when more could start)",
            None, ("--once",), env=False),
    Setting("max_stories", "count", None, "start at most this many stories", "limits.max_stories",
            ("--max-stories",), "N", least=1),
    Setting("wave", "count", None, "run only the stories of this wave", None, ("--wave",), "N", least=1, env=False),
    Setting("parallel", "switch", False, "run stories at once although the PRD names no needs",
            "limits.parallel", ("--parallel",)),
    Setting("fail_fast", "switch", False, "start nothing more after the first failed story",
            "limits.fail_fast", ("--fail-fast",)),
    Setting("keep_going", "switch", False, "go on in a PRD without needs after a failed story",
            "limits.keep_going", ("--keep-going",)),
    Setting("fresh", "switch", False, "start a new run even when an unfinished one could be continued",
            None, ("--fresh",), env=False),
    Setting("stories_path", "text", None, "where the stories are in the PRD, e.g. .plan.items",
            "prd.stories_path", ("--stories-path",), "PATH"),
    Setting("tag", "text", None, "which tag of a Task Master file to read", "prd.tag", ("--tag",), "TAG"),
)  # fmt: skip
_LIMITS = (
    Setting("jobs", "jobs", "auto", "how many stories run at once; auto is the number of processors, less when memory "
            "is short, and starts nothing while the machine is short of something", "limits.jobs", ("-j", "--jobs"), "N|auto", least=1),
    Setting("attempts", "count", 3, "how often a story is tried", "limits.attempts", ("--attempts",), "N", least=1),
    Setting("story_timeout", "duration", 7200.0, "time an agent may take for one attempt",
            "limits.story_timeout", ("--story-timeout",), "TIME"),
    Setting("idle_timeout", "duration", None, "time an agent may print nothing",
            "limits.idle_timeout", ("--idle-timeout",), "TIME"),
    Setting("gate_timeout", "span", 900.0, "time one gate may take",
            "limits.gate_timeout", ("--gate-timeout",), "TIME"),
    Setting("deadline", "duration", None, "time after which nothing more is started",
            "limits.deadline", ("--deadline",), "TIME"),
    Setting("grace", "span", 10.0, "time running stories get to end when the run is stopped",
            "limits.grace", ("--grace",), "TIME"),
)  # fmt: skip
_BUDGET = (
    Setting("budget", "money", None, "US dollars that a run may spend through the gateway, or none; 10 where nothing is set",
            "budget.run", ("--budget",), "USD"),
    Setting("story_budget", "money", None, "US dollars that one story may spend", "budget.story",
            ("--story-budget",), "USD"),
    Setting("token_budget", "count", None, "tokens that a run may use", "budget.tokens", ("--token-budget",), "N",
            least=1),
    Setting("story_token_budget", "count", None, "tokens that one story may use", "budget.story_tokens", least=1),
)  # fmt: skip
_GATEWAY = (
    Setting("upstream", "text", None, "where the gateway asks: the base URL of a Messages API, or replay:DIR",
            "gateway.upstream", ("--upstream",), "URL"),
    Setting("record", "text", None, "keep every exchange with a model in this folder", "gateway.record",
            ("--record",), "DIR"),
    Setting("offline", "switch", False, "answer from the cache and recordings only", "gateway.offline",
            ("--offline",)),
    Setting("fallback_model", "text", None, "the model that is asked when the wanted one does not answer",
            "gateway.fallback_model", ("--fallback-model",), "MODEL"),
    Setting("cache", "switch", True, "answer identical requests from a cache", "gateway.cache",
            feature=True),
    Setting("share", "switch", False, "also from what other runs in this repository were answered, where they are the same "
            "byte for byte", "gateway.share", feature=True),
    Setting("model_concurrency", "count", 128, "how many requests each model gets at once; 128 serve 250 a minute with "
            "answers of half a minute", "gateway.concurrency", least=1),
    Setting("requests_per_minute", "count", None, "requests to all models in a minute",
            "gateway.requests_per_minute", least=1),
    Setting("tokens_per_minute", "count", None, "tokens to all models in a minute",
            "gateway.tokens_per_minute", least=1),
    Setting("rates", "rates", {}, "limits in a minute for each user, session or model, for the model of that name, or "
            "(address) for requests whose token opens nothing: NAME = { requests = 60, tokens = 100000 }", "gateway.limits"),
    Setting("prices", "prices", {}, "own prices: MODEL = { input = 2.0, output = 10.0 }, dollars for a million tokens",
            "gateway.prices"),
)  # fmt: skip
_GATES = (
    Setting("gates", "commands", {}, 'gates every story must pass: NAME = "command"', "gates"),
    Setting("wave_gates", "commands", {}, "gates on the branch after each wave", "wave_gates"),
    Setting("final_gates", "commands", {}, "gates on the branch at the end", "final_gates"),
    Setting("detect_gates", "switch", True, "without configured gates, use the project's own test command",
            "detect_gates", feature=True),
    Setting("protect", "texts", (), "files no story may change, as glob patterns", "protect"),
    Setting("injection_warn", "count", 4, "score from which on a text that may be meant to steer an agent is told of; 0 is "
            "never", "injection.warn", env=False),
    Setting("injection_quarantine", "count", 8, "score from which on its story waits for a person; 0 is never",
            "injection.quarantine", env=False),
    Setting("policy", "policy", {}, "severities, limits and own rules of the [policy](policy.md)", "policy"),
)  # fmt: skip
_WORKSPACE = (
    Setting("workspace", "choice", "slots", "slots: a working copy per story; shared: the current folder, "
            "nothing lands", "workspace.mode", ("--workspace",), choices=("slots", "shared")),
    Setting("setup", "text", None, "command that prepares a working copy, run again when a manifest changes",
            "workspace.setup"),
    Setting("copy", "texts", (), "ignored files to copy into working copies, as glob patterns; .env only when named",
            "workspace.copy"),
    Setting("keep", "texts", (), "what setup made and cleaning leaves alone, e.g. node_modules", "workspace.keep"),
    Setting("root", "text", None, "folder for working copies instead of the cache folder", "workspace.root"),
    Setting("history", "count", 50, "how many commits of history an agent sees", "workspace.history", least=1),
)  # fmt: skip
_LANDING = (
    Setting("branch", "text", None, "the branch stories land on; else the PRD's branchName, else rad/<prd>",
            "landing.branch", ("--branch",), "NAME"),
    Setting("base", "text", None, "the commit the run starts from; else HEAD", "landing.base", ("--base",), "REV"),
    Setting("merge", "switch", False, "at the end, fast-forward the branch that is checked out",
            "landing.merge", ("--merge",)),
    Setting("batch", "switch", True, "land several waiting stories with one run of the gates", "landing.batch",
            feature=True),
    Setting("write_back", "switch", True, "mark landed stories as done in the PRD",
            "landing.write_back", ("--write-back",), off="leave the PRD as it is"),
    Setting("allow_unverified", "switch", False, "land stories that no gate could judge",
            "landing.allow_unverified", ("--allow-unverified",)),
    Setting("allow_missing_tests", "switch", False, "let stories rename or delete tests that ran before them",
            "landing.allow_missing_tests", ("--allow-missing-tests",)),
    Setting("allow_dangling", "switch", False, "run although a story needs one that does not exist",
            "landing.allow_dangling", ("--allow-dangling",)),
    Setting("allow_protected_branch", "switch", False, "let main, master, develop or the default branch be the run "
            "branch", "landing.allow_protected_branch", ("--allow-protected-branch",)),
)  # fmt: skip
_SANDBOX = (
    Setting("sandbox", "choice", "auto", "what confines the commands of agents, gates and setup; auto is the strongest that "
            "works here, off is nothing", "sandbox.level", ("--sandbox",),
            choices=("auto", "bubblewrap", "landlock", "off")),
    Setting("audit", "choice", "plain", "how the audit log of a run is kept; encrypted needs the extra `crypto`",
            "audit.log", choices=("plain", "encrypted", "off")),
    Setting("network", "texts", (), "hosts that an agent's commands may reach, as `example.org:443` or `*.example.org`; "
            "`host` is the whole network of this machine",
            "grants.network"),
    Setting("gate_network", "texts", (), "the same for gates", "grants.gate_network"),
    Setting("setup_network", "texts", ("pypi", "npm", "crates"), "the same for the setup command; the names of registries "
            "stand for the hosts that your own pip, npm and cargo are configured for", "grants.setup_network"),
    Setting("readable", "texts", (), "more files and folders of this machine that commands may read", "grants.read"),
    Setting("private_network", "switch", False, "let granted hosts have addresses of this machine or of private networks",
            None, ("--private-network",)),
    Setting("variables", "texts", (), "more variables of your environment that commands may see", "grants.variables"),
    Setting("credentials", "texts", (), "the agent whose own login may be seen inside; may be repeated; no file of a "
            "project can say so", "grants.credentials", ("--credentials",), "AGENT"),
)  # fmt: skip
_DEPLOYMENT = (
    Setting("deploy_command", "text", None, "deploys $RAD_DEPLOY_COMMIT once a run is green; run at the top of the repository",
            "deploy.command", env=False),
    Setting("deploy_health", "text", None, "says by its exit code whether what was deployed is well", "deploy.health",
            env=False),
    Setting("deploy_rollback", "text", None, "goes back, when it failed or is not well", "deploy.rollback", env=False),
    Setting("deploy_timeout", "span", 1800.0, "time each of them may take", "deploy.timeout", env=False),
    Setting("deploy", "switch", False, "deploy at the end, when everything is green; else it is only said what would be done",
            None, ("--deploy",), env=False),
)  # fmt: skip
_ANSWERS = (
    Setting("dry_run", "switch", False, "say what would run, touch nothing", None, ("--dry-run",), env=False),
    Setting("yes", "switch", False, "trust the commands that this run needs, without asking", None, ("-y", "--yes")),
)  # fmt: skip
_SERVER = (
    Setting("serve", "switch", False, "say over HTTP what the run does, as `rad-engineer serve` does", "serve.with_runs",
            ("--serve",)),
    Setting("serve_host", "text", "127.0.0.1", "the address to listen on; one that others reach needs a token", None,
            ("--host",), "ADDRESS"),
    Setting("serve_port", "count", 9090, "the port to listen on; 0 is any that is free", "serve.port", ("--port",), "N"),
    Setting("serve_token_file", "text", None, "the file with the token that clients show; else the one of `serve token`, if "
            "it was made", None, ("--token-file",), "FILE"),
    Setting("serve_allowed_hosts", "texts", (), "a name by which clients may ask, beside those of this machine; may be "
            "repeated", None, ("--allowed-host",), "HOST"),
    Setting("serve_requests_per_minute", "count", 100, "requests of one address in a minute; 0 is no limit",
            "serve.requests_per_minute", ("--requests-per-minute",), "N"),
    Setting("serve_certificate", "text", None, "PEM file with the certificate for TLS", None, ("--certificate",), "FILE"),
    Setting("serve_key", "text", None, "PEM file with its key", None, ("--key",), "FILE"),
)  # fmt: skip
_SIGNALS = (
    Setting("otlp_endpoint", "text", None, "the base URL of a collector that takes spans (OTLP over HTTP), instead of what "
            "OTEL_EXPORTER_OTLP_ENDPOINT says; needs the extra `otel`", None, ("--otlp-endpoint",), "URL"),
    Setting("log_level", "choice", "info", "from which level on run.log and the log of `serve` have records", "log.level",
            choices=("debug", "info", "warning", "error")),
    Setting("log_format", "choice", "pretty", "how -v and `serve` show them: for people, or as lines of JSON", "log.format",
            choices=("pretty", "json")),
)  # fmt: skip

GROUPS: dict[str, tuple[Setting, ...]] = {
    "Agent": _AGENT,
    "What runs": _SELECTION,
    "Limits": _LIMITS,
    "Budget": _BUDGET,
    "Gateway": _GATEWAY,
    "Gates": _GATES,
    "Workspace": _WORKSPACE,
    "Sandbox": _SANDBOX,
    "Landing": _LANDING,
    "Signals": _SIGNALS,
    "Deployment": _DEPLOYMENT,
    "Answers": _ANSWERS,
    "Server": _SERVER,
}
SETTINGS: dict[str, Setting] = {row.name: row for rows in GROUPS.values() for row in rows}
