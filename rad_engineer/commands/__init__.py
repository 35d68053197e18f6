"""A file per verb: options in, one call, output. No logic. VERBS says what there is and what each is called with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rad_engineer.settings_schema import SETTINGS, Setting


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional argument; `many` collects all that follow."""

    name: str
    metavar: str
    doc: str
    many: bool = False
    required: bool = True
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Early:
    """What is done while the process is small: secrets leave its environment, and then workers' zygote is forked."""

    secrets: Mapping[str, Any]
    zygote: Any


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: `target` is called with its arguments and options as keywords.

    With `flags`, it also gets `flags`: the settings given on the command line, for `settings.load`.
    With `workers`, it also gets `early`: what had to be done before anything else.
    """

    name: str
    group: str
    doc: str
    target: str
    examples: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Setting, ...] = ()
    flags: tuple[str, ...] = ()
    workers: bool = False

    @property
    def told(self) -> tuple[Setting, ...]:
        """Everything the verb can be told with a flag."""
        return (*self.options, *(SETTINGS[name] for name in self.flags))


def _switch(name: str, doc: str, *flags: str) -> Setting:
    return Setting(name, "switch", False, doc, flags=flags or (f"--{name.replace('_', '-')}",))


def _value(name: str, metavar: str, doc: str, **more: Any) -> Setting:
    more = {"kind": "text", "default": None, **more}
    return Setting(name, doc=doc, flags=(f"--{name.replace('_', '-')}",), metavar=metavar, **more)


_PRDS = Argument("prds", "PRD", "PRD files: JSON or Markdown", many=True)
_PRD = Argument("prd", "PRD", "the PRD file")
_STORY = Argument("story", "STORY", "the story's key or id")
_RUN = Argument("run", "RUN", "the run; else the newest one that fits", required=False)
_AUDITED = Argument(
    "run", "RUN", "the run; else the newest one; `user` is what belongs to no run", required=False
)
_JSON = _switch("json", "print JSON")
_EVENTS = _switch("json", "print every event as a line of JSON")
_PLAIN = _switch("plain", "plain lines instead of the live view")
_VERBOSE = _switch("verbose", "show the log on stderr", "-v", "--verbose")
_TIMINGS = _switch("timings", "show at the end what a story cost, part by part")
_OF_RUN = _value("run", "RUN", "of this run; else the newest one that fits")
_READING = ("stories_path", "tag")
_SERVING = tuple(name for name in SETTINGS if name.startswith("serve_"))
_FLAGS = tuple(name for name, setting in SETTINGS.items() if setting.flags and name not in _SERVING)
_NOT_ON_RESUME = {
    *_READING,
    "branch",
    "base",
    "workspace",
    "fresh",
    "dry_run",
    "wave",
    "parallel",
    "allow_dangling",
}

VERBS = (
    Verb("run", "Run", "run PRDs: agents work, gates judge, what is green lands on the run branch",
         "rad_engineer.commands.run:run",
         ("rad-engineer run prd/phase1.json", "rad-engineer run prd.json -j 4 --agent-command 'claude -p'",
          "until rad-engineer run prd.json --once; do [ $? -eq 3 ] || break; done"),
         (_PRDS,), (_EVENTS, _PLAIN, _VERBOSE, _TIMINGS), _FLAGS, workers=True),
    Verb("resume", "Run", "go on with an unfinished run",
         "rad_engineer.commands.resume:resume",
         ("rad-engineer resume", "rad-engineer resume --allow-unverified"),
         (_RUN,), (_EVENTS, _PLAIN, _VERBOSE, _TIMINGS),
         tuple(name for name in _FLAGS if name not in _NOT_ON_RESUME), workers=True),
    Verb("approve", "Run", "release a story that waits for a human",
         "rad_engineer.commands.approve:approve", ("rad-engineer approve US-003",), (_STORY,), (_OF_RUN,)),
    Verb("pass", "Run", "mark a story as passed by hand; it is recorded as such",
         "rad_engineer.commands.pass_story:pass_story", ("rad-engineer pass prd.json US-003",),
         (_PRD, _STORY), (), _READING),
    Verb("trust", "Run", "trust the commands that PRDs and configuration bring along",
         "rad_engineer.commands.trust:trust",
         ("rad-engineer trust prd/phase1.json", "rad-engineer trust --list", "rad-engineer trust --revoke"),
         (Argument("prds", "PRD", "the PRDs whose commands are meant", many=True, required=False),),
         (_switch("listing", "list what is trusted in this repository", "--list"),
          _switch("revoke", "trust nothing in this repository any more"),
          _switch("yes", "trust without asking", "-y", "--yes")), _READING),
    Verb("validate", "Plan", "check PRDs: errors, warnings, dependency graph",
         "rad_engineer.commands.validate:validate",
         ("rad-engineer validate prd/*.json", "rad-engineer validate --schema > prd.schema.json",
          "rad-engineer validate --production", "rad-engineer validate --production --full --report report.json"),
         (Argument("files", "PRD", "PRD files: JSON or Markdown", many=True, required=False),),
         (_switch("as_json", "print JSON", "--json"), _switch("strict", "warnings count as errors"),
          _switch("schema", "print the JSON Schema of a PRD"),
          _switch("production", "check whether this machine and this project are ready for production instead"),
          _switch("full", "with --production: run the gates, audit dependencies, try the sandbox and smoke as well"),
          _switch("offline", "with --production: ask nobody beyond this machine"),
          _value("report", "FILE", "with --production: write the report, as JSON, into this file"),
          _switch("fix", "with --production: offer to run the commands that mend what was found"),
          _switch("yes", "with --fix: run them without asking", "-y", "--yes"),
          _switch("verbose", "with --production: show every check", "-v", "--verbose"),
          SETTINGS["stories_path"], SETTINGS["tag"])),
    Verb("plan", "Plan", "show waves, needs, critical path, and what would run",
         "rad_engineer.commands.plan:plan",
         ("rad-engineer plan prd/phase*.json", "rad-engineer plan prd.json --format mermaid"),
         (_PRDS,),
         (_value("format", "", "how to print it", kind="choice", default="text",
                 choices=("text", "json", "mermaid", "dot")),
          _switch("json", "the same as --format json")), (*_READING, "parallel", "allow_dangling", "only", "wave")),
    Verb("next", "Plan", "print the story that would start next (exit 1: all done, 4: the rest waits)",
         "rad_engineer.commands.next_story:next_story", ("rad-engineer next prd.json",),
         (_PRD,), (_JSON,), (*_READING, "parallel", "allow_dangling")),
    Verb("status", "Look", "show what a run has done and is doing",
         "rad_engineer.commands.status:status",
         ("rad-engineer status", "rad-engineer status --watch", "rad-engineer status prd.json --json"),
         (Argument("prd", "PRD", "of the newest run of this PRD", required=False),),
         (_OF_RUN, _JSON, _switch("watch", "stay and follow the run"), _PLAIN)),
    Verb("explain", "Look", "say why a story waits or failed, or what proved it",
         "rad_engineer.commands.explain:explain", ("rad-engineer explain US-003",), (_STORY,), (_OF_RUN, _JSON)),
    Verb("logs", "Look", "print a story's prompts, output and gate logs",
         "rad_engineer.commands.logs:logs",
         ("rad-engineer logs US-003", "rad-engineer logs US-003 --attempt 1 --gate pytest"), (_STORY,),
         (_OF_RUN, _value("attempt", "N", "of this attempt; else the last", kind="count", least=1),
          _value("gate", "NAME", "only the log of this gate"),
          _switch("follow", "stay and print what comes", "-f", "--follow"),
          _switch("raw", "leave escape codes in"))),
    Verb("report", "Look", "print the report of a run",
         "rad_engineer.commands.report:report", ("rad-engineer report", "rad-engineer report --json"),
         (_RUN,), (_JSON,)),
    Verb("serve", "Look", "say over HTTP what runs have done and are doing, until Ctrl-C",
         "rad_engineer.commands.serve:serve",
         ("rad-engineer serve", "rad-engineer serve --port 0 --runs ~/shop --runs ~/blog",
          "rad-engineer serve --host 0.0.0.0 --token-file token --allowed-host ci.test"), (),
         (Setting("runs", "texts", (), "a project, or a folder with its runs, instead of the project here; may be repeated",
                  flags=("--runs",), metavar="DIR"),), _SERVING),
    Verb("serve token", "Look", "make a token for the server, in a file that only you can read",
         "rad_engineer.commands.serve:token", ("rad-engineer serve token", "rad-engineer serve token ./token"),
         (Argument("file", "FILE", "the file; else the one that `serve` looks for", required=False),)),
    Verb("metrics", "Look", "print figures of the runs here, in the text format of Prometheus",
         "rad_engineer.commands.metrics:metrics",
         ("rad-engineer metrics", "rad-engineer metrics --json", "rad-engineer metrics --output rad.prom"), (),
         (_JSON, _value("output", "FILE", "replace this file, for the textfile collector of node_exporter"))),
    Verb("archive", "Tidy", "put a finished PRD, its report and notes aside under a dated name",
         "rad_engineer.commands.archive:archive", ("rad-engineer archive prd.json",), (_PRD,),
         (_switch("yes", "although stories are open", "-y", "--yes"),)),
    Verb("compact", "Tidy", "remove old runs; never an unfinished one, never an unmerged commit",
         "rad_engineer.commands.compact:compact",
         ("rad-engineer compact --dry-run", "rad-engineer compact --max-age 7d --keep 3"), (),
         (_value("max_age", "TIME", "runs older than this", kind="span", default=604800.0),
          _value("keep", "N", "always keep the newest ones", kind="count", default=3),
          _switch("dry_run", "only say what would go"), _JSON)),
    Verb("policy list", "Policy", "show the rules that every change is held against",
         "rad_engineer.commands.policy:show_rules", ("rad-engineer policy list", "rad-engineer policy list --json"),
         (), (_JSON,)),
    Verb("policy explain", "Policy", "say what a rule is for, and what to do about it",
         "rad_engineer.commands.policy:explain_rule", ("rad-engineer policy explain tests-removed",),
         (Argument("rule", "RULE", "the rule"),), (_JSON,)),
    Verb("policy test", "Policy", "hold a patch, a commit or a range against the policy",
         "rad_engineer.commands.policy:try_change",
         ("rad-engineer policy test", "rad-engineer policy test main..HEAD", "rad-engineer policy test change.patch"),
         (Argument("change", "DIFF|COMMIT|RANGE", "a file with a diff, - for standard input, a commit, or a range of "
                   "them; else HEAD", required=False),), (_JSON,)),
    Verb("policy injection", "Policy", "look for what in a text may be meant to steer an agent",
         "rad_engineer.commands.policy:look_into", ("rad-engineer policy injection prd.json",),
         (Argument("file", "FILE", "the file, - for standard input"),), (_JSON,)),
    Verb("audit show", "Audit", "print what a run has done: commands, files, hosts, decisions, landings",
         "rad_engineer.commands.audit:show",
         ("rad-engineer audit show", "rad-engineer audit show --story US-003 --kind command",
          "rad-engineer audit show user --json"), (_AUDITED,),
         (_value("story", "STORY", "only records of this story"), _value("kind", "KIND", "only records of this kind"), _EVENTS)),
    Verb("audit verify", "Audit", "say whether an audit log is as it was written (exit 1: it is not)",
         "rad_engineer.commands.audit:verify", ("rad-engineer audit verify", "rad-engineer audit verify --all --json"),
         (_AUDITED,), (_switch("every", "the logs of all runs here", "--all"), _JSON)),
    Verb("audit export", "Audit", "write an audit log as lines of JSON, decrypted, with the verdict in the last line",
         "rad_engineer.commands.audit:export",
         ("rad-engineer audit export > audit.jsonl", "rad-engineer audit export --output audit.jsonl"), (_AUDITED,),
         (_value("output", "FILE", "into this file, which only you can read"),)),
    Verb("sandbox run", "Sandbox", "run a command as those of agents are run, on a copy of the project",
         "rad_engineer.commands.sandbox:run",
         ("rad-engineer sandbox run -- npm test", "rad-engineer sandbox run --as gate --level landlock -- pytest -q"),
         (Argument("command", "CMD", "the command and its arguments, behind --", many=True),),
         (Setting("stage", "choice", "agent", "with the grants of which stage", flags=("--as",),
                  choices=("agent", "gate", "setup")),
          Setting("level", "choice", "auto", "what confines it", flags=("--level",),
                  choices=("auto", "bubblewrap", "landlock", "off"))), ("yes",)),
    Verb("sandbox report", "Sandbox", "try what is and what is not enforced on this machine",
         "rad_engineer.commands.sandbox:report", ("rad-engineer sandbox report", "rad-engineer sandbox report --json"),
         (), (_JSON,)),
    Verb("import", "Set up", "look at a project that is there: what it is made of, its gates, the configuration that fits it",
         "rad_engineer.commands.import_project:import_project",
         ("rad-engineer import", "rad-engineer import ../shop --write", "rad-engineer import --dry-run --json"),
         (Argument("path", "PATH", "the folder of the project; else this one", required=False),),
         (_switch("write", "add what is missing to its configuration file, and change nothing else there"),
          _switch("dry_run", "only look: nothing is written, registered or run"),
          _switch("yes", "trust the gates and the setup command, and run them once", "-y", "--yes"), _JSON)),
    Verb("projects list", "Set up", "list the projects that were imported",
         "rad_engineer.commands.projects:listing", ("rad-engineer projects list",), (), (_JSON,)),
    Verb("projects remove", "Set up", "forget a project; its files stay",
         "rad_engineer.commands.projects:remove", ("rad-engineer projects remove shop",),
         (Argument("project", "PROJECT", "its path or its name"),)),
    Verb("config show", "Set up", "show the settings in force",
         "rad_engineer.commands.config:show",
         ("rad-engineer config show --origin", "rad-engineer config show --features"), (),
         (_switch("origin", "say where each value came from"), _switch("features", "only the feature flags"), _JSON)),
    Verb("config set", "Set up", "write one setting into the project's file, and nothing else in it",
         "rad_engineer.commands.config:change",
         ("rad-engineer config set limits.jobs 4", "rad-engineer config set gates.lint 'ruff check .'"),
         (Argument("key", "KEY", "the setting, as `config show` names it"),
          Argument("value", "VALUE", "its value; lists are separated by commas", may_be_empty=True))),
    Verb("config edit", "Set up", "open the project's file in your editor; it is replaced only by what is valid",
         "rad_engineer.commands.config:edit", ("rad-engineer config edit",)),
    Verb("config validate", "Set up", "say everything that is wrong with the configuration (exit 78: something is)",
         "rad_engineer.commands.config:validate", ("rad-engineer config validate",), (), (_JSON,)),
    Verb("config reference", "Set up", "print every setting there is, as Markdown",
         "rad_engineer.commands.config:reference", ("rad-engineer config reference",)),
    Verb("init", "Set up", "make a new project: tests, gates, CI, a PRD of next stories, a first commit",
         "rad_engineer.commands.init:init",
         ("rad-engineer init", "rad-engineer init --name ada-notes --template web",
          "rad-engineer init --name notes --template web --language typescript",
          "rad-engineer init --name notes --from https://git.example.org/template.git"), (),
         (_value("name", "NAME", "what it is called; its folder too"),
          Setting("source", "text", None, "somebody's own template, which copier makes a project of; asks before it runs "
                  "anything", flags=("--from",), metavar="URL|DIR"),
          _value("template", "blank|web|api|fullstack", "what it begins as"),
          _value("language", "", "what it is written in; else python", kind="choice", choices=("python", "typescript")),
          _value("licence", "", "under which licence; else MIT", kind="choice",
                 choices=("MIT", "Apache-2.0", "BSD-3-Clause", "none")),
          _value("into", "DIR", "the folder to make it in; else the current one"),
          _switch("no_git", "make no repository and no first commit"),
          _switch("yes", "ask nothing: what is not said is as by default", "-y", "--yes"),
          _switch("as_json", "print JSON", "--json"))),
    Verb("setup", "Set up", "set an agent, a key, a budget and completion for all your projects",
         "rad_engineer.commands.setup:setup",
         ("rad-engineer setup", "rad-engineer setup --agent auto --default-budget 10 --completion bash"), (),
         (_value("agent", "NAME,…", "who writes the code where a project names nobody"),
          _value("default_budget", "USD", "what a run may spend where nothing else is set"),
          _value("completion", "SHELL", "write completion for bash, zsh or fish"))),
    Verb("quickstart", "Set up", "make a small project with five stories that run without a key",
         "rad_engineer.commands.quickstart:quickstart", ("rad-engineer quickstart", "rad-engineer quickstart /tmp/first"),
         (Argument("folder", "DIR", "where; else ./pocketbook", required=False),)),
    Verb("login", "Set up", "keep an API key for the gateway, in the keyring or in a file that only you can read",
         "rad_engineer.commands.login:login", ("rad-engineer login", "rad-engineer login < key.txt")),
    Verb("logout", "Set up", "forget the API key that login has kept",
         "rad_engineer.commands.login:logout", ("rad-engineer logout",)),
    Verb("gateway", "Set up", "run the gateway alone, for any client of the Messages API, until Ctrl-C",
         "rad_engineer.commands.gateway:gateway",
         ("rad-engineer gateway --port 8787", "rad-engineer gateway --upstream http://127.0.0.1:4010 --budget 2",
          "rad-engineer gateway --upstream mock"),
         (), (_value("port", "N", "listen on this port of 127.0.0.1; else on any that is free", kind="count", default=0),
              _value("idle", "TIME", "forget a client's session after this time", kind="span", default=1800.0),
              _VERBOSE),
         ("upstream", "record", "offline", "fallback_model", "budget", "token_budget", "yes")),
    Verb("agents", "Set up", "show which agents are installed, what each can do, and who counts what it spends",
         "rad_engineer.commands.agents:agents", ("rad-engineer agents", "rad-engineer agents --json"), (), (_JSON,)),
    Verb("health", "Set up", "the quick checks: resources, security, what runs have left here (exit 1: unhealthy)",
         "rad_engineer.commands.production:health", ("rad-engineer health", "rad-engineer health --json"), (),
         (_JSON, _switch("verbose", "show every check", "-v", "--verbose"))),
    Verb("test", "Set up", "smoke tests of this installation, with a signed certificate; or what a certificate is worth",
         "rad_engineer.commands.smoke_tests:test",
         ("rad-engineer test --smoke", "rad-engineer test --smoke --output readiness.json",
          "rad-engineer test --verify readiness.json --max-age 7"), (),
         (_switch("smoke", "make a project, import one, run an agent, kill a run and resume it, in a home of their own"),
          _value("verify", "FILE", "say whether a certificate can be relied on (exit 1: it cannot)"),
          _value("output", "FILE", "write the certificate there; else below the state folder"),
          _value("signers", "FILE", "public keys that are known besides your own, as ssh has them"),
          _value("max_age", "DAYS", "how old a certificate may be", kind="count", default=30), _JSON)),
    Verb("doctor", "Set up", "check what rad-engineer needs on this machine and in this repository",
         "rad_engineer.commands.doctor:doctor", ("rad-engineer doctor",), (), (_JSON,)),
    Verb("deploy local", "Operate", "run the service in containers of this machine; again: upgrade it without a gap",
         "rad_engineer.commands.deploy:local",
         ("rad-engineer deploy local", "rad-engineer deploy local --status", "rad-engineer deploy local --rollback",
          "rad-engineer deploy local --down --purge"), (),
         (_switch("status", "show its parts, its health and its history"),
          _switch("down", "remove its containers, networks and images; volumes stay"),
          _switch("purge", "with --down: remove volumes, token and history too"),
          _switch("rollback", "go back to the generation before"), _switch("logs", "print the end of its log"),
          _switch("no_build", "use an image that is here, or fail"),
          _value("port", "N", "publish it on this port of 127.0.0.1; else the first free one from 9090, once and for all",
                 kind="count", least=1),
          _switch("prometheus", "start a Prometheus beside it"),
          _value("port_prometheus", "N", "publish that on this port; implies --prometheus", kind="count", least=1),
          _value("prometheus_image", "IMAGE", "the image of it", default="prom/prometheus:v3.5.0"),
          _value("base", "IMAGE", "the image to build on, with Python and venv; else that of Python for this version"),
          _value("engine", "", "which engine; else Docker where it answers, else Podman", kind="choice",
                 choices=("docker", "podman")),
          _value("timeout", "TIME", "how long it may take to become healthy", kind="span", default=60.0),
          _switch("yes", "do not ask before --purge", "-y", "--yes"), _switch("json", "with --status: print JSON"))),
    Verb("deploy run", "Operate", "deploy the end of a green run by the command of the project, once",
         "rad_engineer.commands.deploy:run", ("rad-engineer deploy run", "rad-engineer deploy run --execute"),
         (Argument("run", "RUN", "the run; else the newest one that landed something", required=False),),
         (_switch("execute", "do it; else it is only said what would be done"),
          _switch("again", "although it was done, or cut off"),
          _switch("yes", "trust its commands without asking", "-y", "--yes"))),
    Verb("deploy kubernetes", "Operate", "print the service as manifests for a cluster",
         "rad_engineer.commands.deploy:kubernetes",
         ("rad-engineer deploy kubernetes --image example.org/rad-engineer:1.2.0",), (),
         (_value("image", "IMAGE", "the image, with a tag or a digest", default="rad-engineer:local"),
          _value("name", "NAME", "what it is called in the cluster", default="rad-engineer"),
          _value("out", "DIR", "write the files into this folder"))),
)  # fmt: skip
"""Every verb, in the order help lists them."""


def find(argv: list[str]) -> tuple[Verb | None, list[str]]:
    """The verb a command line names, and what follows it."""
    for words in (2, 1):
        name = " ".join(argv[:words])
        for verb in VERBS:
            if verb.name == name and len(argv) >= words:
                return verb, argv[words:]
    return None, argv
