"""Whether a text is a shell command or prose about one; by well-known names, never by what is installed here."""

import re
from functools import lru_cache

_TOOLS = frozenset(
    """
    ./gradlew ./mvnw act alembic ansible ansible-playbook ant apt apt-get astro ava aws awk az basedpyright bash bats
    bazel biome black brew buf bun bunx bundle bundler c8 cabal cargo cat cd chmod circleci clang clippy cmake
    composer conda coverage cp cross ctest curl cypress dagger dart dbt deno diff direnv django-admin docker
    docker-compose dotnet drizzle-kit dune echo egrep elixir elm erl eslint expo fd file find firebase flake8
    flutter forge gcc gcloud gh git gleam go golangci-lint goreleaser gradle grep gulp hadolint hatch head helm
    hurl hugo hyperfine jest jq julia just k6 ko kotlinc kubectl lake lein lerna ls lua make markdownlint mdbook
    meson mix mkdir mkdocs mocha mvn mypy mysql nc next ng ninja nix nix-build node nox npm npx nuxt nvm nx ocaml
    oxlint pdm perl php phpstan phpunit pip pip3 pipenv pipx playwright pnpm podman poetry postgres pre-commit
    prettier prisma psql pulumi pylint pyright pytest python python2 python3 pwsh rails rake rebar3 redis-cli rg
    rm rsync rspec rubocop ruby ruff rustc rustfmt rustup sam sbt scala sed semgrep serverless sh shellcheck shfmt
    sort sqlfluff sqlite3 sqlx standard stack storybook stylelint supabase svelte-check swift swiftlint tail tap
    task tee terraform test timeout tofu touch tox tree trivy true tsc tsx tsd tree-sitter turbo twine ty uv uvx
    uvicorn vercel vite vitest vue-tsc wasm-pack wc webpack wget which wrangler xargs xcodebuild xcrun xvfb-run
    xz yamllint yarn yq zig zsh [ [[
    """.split()  # noqa: SIM905  (a table to read)
)
_ENGLISH = frozenset(
    """
    act ant black cat cross echo file find head just make next standard stack sort tail tap task test touch tree true
    which swift dart mix node go forge expo diff lake sed
    """.split()  # noqa: SIM905  (a table to read)
)
"""Tools whose names are words: they need a flag, a path or a short known form to be commands."""
_ALONE = frozenset(
    {"make", "tox", "nox", "pytest", "just", "jest", "vitest", "phpunit", "rspec", "rake", "ctest", "tsc"}
)
_REACHES_OUT = frozenset(
    """
    git gh rm brew apt apt-get kubectl terraform tofu pulumi aws gcloud az vercel firebase supabase helm docker podman
    """.split()  # noqa: SIM905  (a table to read)
)
"""Tools that change more than they prove: named in a criterion they are work, not a check."""
_SUBCOMMANDS = {
    "git": "add apply branch checkout clone commit config diff fetch grep init log ls-files merge mv pull push rebase "
    "remote reset restore rev-parse rm show stash status submodule switch tag worktree",
    "npm": "audit build ci exec i init install ls outdated pack pkg prune publish rebuild run run-script start t test",
    "docker": "build buildx compose exec inspect logs ps pull push run stop",
    "cargo": "audit b bench build c check clean clippy deny doc expand fix fmt install llvm-cov machete make metadata "
    "miri nextest outdated publish r run t tarpaulin test tree udeps update xtask",
    "go": "build clean env fmt generate get install list mod run test tool version vet work",
    "mix": "compile credo deps.get dialyzer ecto.migrate format test",
    "dart": "analyze compile fix format pub run test",
    "swift": "build package run test",
    "flutter": "analyze build clean drive format pub run test",
    "dotnet": "build clean ef format list pack publish restore run test tool",
    "terraform": "apply destroy fmt init plan show test validate",
    "kubectl": "apply create delete describe exec get logs rollout wait",
    "helm": "install lint package template test upgrade",
    "forge": "build fmt test",
}
_WORDS = frozenset(
    """
    a an the is are was be been and or not with without that this these to for from into on of by it its as at when
    if then than any no each every should must can will may shows displays returns passes succeeds succeed fails fail
    works work runs successfully correctly cleanly green errors warnings exits produces outputs prints generates
    creates completes contains includes matches verifies validates ensures reports renders loads starts opens supports
    required builds compiles installed available finishes emits accepts rejects detects shown user page manually sure
    still after before also only via using
    """.split()  # noqa: SIM905  (a table to read)
)
_VERBS = frozenset(
    {"passes", "pass", "succeeds", "works", "completes", "runs", "exits", "returns", "shows", "fails", "is"}
)
_PREFIXES = frozenset({"time", "sudo", "env", "exec", "command", "nohup", "!", "npx", "bunx", "uvx"})
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", "|&", ";;"})
_TOKEN = re.compile(
    r"""\d*(?:>>?|<{1,3})&?\d*-?|&>>?|&&|\|[|&]?|;;?|&|[()]"""
    r"""|(?:'[^']*'|"(?:[^"\\]|\\.)*"|`[^`]*`|\$\([^()]*\)|\\.|[^\s;&|()<>'"\\`])+|['"\\`]"""
)
_UNCLOSED = frozenset("'\"`\\")
_QUOTE = re.compile("['\"`]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_PATH = re.compile(
    r"(?:\.{1,2}|~|\$\{?\w+\}?)?/[\w.+@/-]+|(?:[\w.+@-]+/)+[\w.+@-]+(?:\.(?:sh|bash|py|js|mjs|cjs|ts|rb|pl|php))?|[\w-]+\.sh"
)
_PROGRAM_DIRS = re.compile(
    r"(?:scripts?|bin|tools?|\.?venv/bin|node_modules/\.bin|vendor/bin|hack|ci|dev|test|tests)/"
)
_STRANGE = re.compile(r"[^\x00-\x7f]")
_FLAG = re.compile(r"-{1,2}\w|.*[/.=*$]")
_GOOD = (
    r"(?: (?:command|check|script|task))?(?: still)? (?:passes|pass|succeeds|succeed|is green|is clean|exits? (?:with )?(?:code |status )?0|"
    r"exits cleanly|returns 0|completes|runs|finishes|reports no errors|has no errors|shows no errors)"
    r"(?: (?:successfully|cleanly|clean|green|without (?:any )?(?:errors?|warnings?|failures)|with (?:no|zero|0) (?:errors?|warnings?|failures)))?"
)
_QUOTED = re.compile(
    rf"(?:(?:run|running|verify|verify that|ensure|check|execute|all of)[: ]+)?`([^`]+)`(?:{_GOOD})?\.?",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?:run |running |verify )?([^`]+?){_GOOD}\.?", re.IGNORECASE)
_TOLD = re.compile(
    r"(?:(?:run|execute|verify with|with|using)[: ]+)?`([^`]+)`\.?|(?:run|execute):? (.+?)\.?",
    re.IGNORECASE | re.DOTALL,
)
_ENDLESS = re.compile(
    r"(?:^|\s)(?:start|dev|serve|watch|preview|up|--watch|--watchAll|-w|runserver|storybook)(?:\s|$)"
)
_LEAVES = re.compile(r"(?:^|[;&|(]\s*)(?:cd|pushd)\s+[\"']?(?:~|/|\$HOME|\$\{HOME)")
_MASKS = re.compile(
    r"\|\|\s*(?:true|:|echo\b[^&|;]*|exit 0)\s*$|;\s*(?:echo|true|exit 0|:)\b[^;&|]*$|\|\s*(?:tail|head|tee|cat|grep|less|sed|awk)\b"
)


@lru_cache(maxsize=4096)
def is_command(text: str) -> bool:
    """Whether every line lexes as shell and every part of it begins with a well-known tool or a program's path."""
    text = text.strip()
    if not text or len(text) > 2000 or "\0" in text:
        return False
    lines = [
        line
        for line in text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return bool(lines) and all(_line_is_command(line) for line in lines)


def proving(text: str) -> str | None:
    """The command a criterion is or plainly asks to succeed (``Run `npm test` ``, `cargo test passes`), else None."""
    if "`" in text:
        found = _QUOTED.fullmatch(text.strip())
        command = found.group(1).strip() if found else ""
    else:
        first, _, rest = text.partition(" ")
        if first not in _TOOLS and not _may_begin(first, rest):
            return None
        if is_command(text):
            command = text.strip()
        else:
            bare = _BARE.fullmatch(text.strip())
            command = bare.group(1).strip() if bare else ""
    if (
        not command
        or leaves(command)
        or _ENDLESS.search(command)
        or not is_command(command)
        or command.split()[0] in _REACHES_OUT
    ):
        return None
    return command if " " in command or command in _ALONE or "/" in command else None


def told(text: str) -> str | None:
    """The command of a verify field, be it bare, in back-ticks or after "Run"; None for prose."""
    text = text.strip()
    if is_command(text):
        return text
    found = _TOLD.fullmatch(text)
    command = (found.group(1) or found.group(2)).strip() if found else ""
    return command if command and is_command(command) else None


def leaves(command: str) -> bool:
    """Whether a command goes to a folder outside the work tree: what it says there is about another copy."""
    return bool(_LEAVES.search(command))


def masks_exit(command: str) -> bool:
    """Whether a failure of the first part cannot be seen in the exit code (`… | tail -20; echo done`)."""
    return bool(_MASKS.search(command))


def _may_begin(word: str, rest: str) -> bool:
    if word in _PREFIXES or "/" in word or "=" in word or word[:1] == "(":
        return True
    if word.lower() not in {"run", "running", "verify"}:
        return False
    second = rest.partition(" ")[0]
    return second in _TOOLS or _may_begin(second, "")


def _line_is_command(line: str) -> bool:
    tokens = _TOKEN.findall(line)
    if any(token in _UNCLOSED for token in tokens):
        return False
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token in _OPERATORS:
            parts.append([])
        else:
            parts[-1].append(token)
    if parts and not parts[-1]:
        parts.pop()  # a trailing ; or &
    return bool(parts) and all(_part_is_command(part) for part in parts)


def _part_is_command(tokens: list[str]) -> bool:
    words = list(tokens)
    while words and (
        words[0] in "({" or words[0] in _PREFIXES - {"npx", "bunx", "uvx"} or _ASSIGNMENT.fullmatch(words[0])
    ):
        words.pop(0)
    while words and words[-1] in ")}":
        words.pop()
    if not words:
        return bool(tokens) and bool(_ASSIGNMENT.fullmatch(tokens[-1]))
    if words[0] == "timeout" and len(words) > 2:
        words = words[2:]
    program, arguments = words[0], words[1:]
    if program not in _TOOLS and program not in {
        "npx",
        "export",
        "exit",
        "source",
        ".",
        "set",
        "wait",
        "sleep",
    }:
        return _is_program(program) and not _is_prose(arguments)
    if program in {"echo", "printf", "["}:
        return True
    if program in _SUBCOMMANDS and arguments and not _known_subcommand(program, arguments[0]):
        return False
    if program in _ENGLISH and program not in _SUBCOMMANDS and not _clearly_used(program, arguments):
        return False
    return not _is_prose(arguments)


def _known_subcommand(program: str, word: str) -> bool:
    return word.startswith(("-", "+")) or word in _SUBCOMMANDS[program].split()


def _clearly_used(program: str, arguments: list[str]) -> bool:
    if program in _ALONE and len(arguments) <= 2:
        return True
    return any(_FLAG.match(argument) for argument in arguments)


def _is_program(word: str) -> bool:
    if word.startswith(("./", "../", "~/", "/usr/", "/bin/", "/opt/")) or _PROGRAM_DIRS.match(word):
        return bool(_PATH.fullmatch(word))
    return word.endswith((".sh", ".bash")) and bool(_PATH.fullmatch(word))


def _is_prose(arguments: list[str]) -> bool:
    previous = ""
    for index, word in enumerate(arguments):
        if word in {"(", ")"}:
            return True
        is_value = previous.startswith("-") and word not in _VERBS  # of a flag: -D warnings
        if is_value or _QUOTE.search(word):
            previous = word
            continue
        if word in _WORDS or _STRANGE.search(word):
            return True
        if (
            word[-1] in ".,:;?"
            and len(word) > 1
            and not word.endswith("..")
            and not _sets(word)
            and (index + 1 < len(arguments) or word[-1] != ".")
        ):
            return True
        previous = word
    return False


def _sets(word: str) -> bool:
    """Words that end in punctuation and are no sentence: `key=:`, `host:`, `./`, globs."""
    return any(char in word for char in "=/*@{[$")
