"""What a user sets up once: an agent, a key, a budget, completion. Asked at a terminal, or given."""

import os
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path

from rad_engineer import durable, settings
from rad_engineer.agents import cli_agents
from rad_engineer.agents.adapters import ADAPTERS
from rad_engineer.agents.choice import has_key
from rad_engineer.audit import of_user
from rad_engineer.errors import RadError, UsageError
from rad_engineer.gateway import credentials
from rad_engineer.process import capture
from rad_engineer.projects import configuration

SHELLS = ("bash", "zsh", "fish")
INSTEAD = """\
at a terminal it asks; without one, type what you want of these:
  rad-engineer login < key.txt
  rad-engineer setup --agent auto --default-budget 10 --completion bash"""

Say = Callable[[str], None]


def keep_key(text: str, env: Mapping[str, str]) -> str:
    """Keeps an API key, and writes down that it did; says where. Raises UsageError for what cannot be one."""
    key = text.strip()
    if not 0 < len(key) <= credentials.LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("that is no API key", hint="one line, nothing else: rad-engineer login < key.txt")
    where = credentials.store(key, env)
    of_user({"kind": "key", "what": "kept", "source": where})
    return where


def set_up(given: Mapping[str, str | None], env: Mapping[str, str], say: Say) -> None:
    """Sets what is given; where nothing is, asks. Raises UsageError where nobody is there to be asked, or no home is."""
    if not env.get("HOME", "").startswith("/"):
        raise UsageError(
            "HOME does not name a folder of yours", hint="set HOME to your home folder, by its whole path"
        )
    if not any(given.values()):
        _ask(env, say)
        return
    for key, value in given.items():
        if key == "completion" and value:
            say(complete(value, env))
        elif value:
            say(_keep(key, value, env))


def complete(shell: str, env: Mapping[str, str]) -> str:
    """Writes the completion of a shell where the shell looks for it; says where that is."""
    if shell not in SHELLS:
        raise UsageError(f"no completion for `{shell}`", hint=f"there is one for {', '.join(SHELLS)}")
    asked = {**env, "_RAD_ENGINEER_COMPLETE": f"source_{shell}"}
    code, script, _ = capture([sys.executable, "-P", "-m", "rad_engineer"], env=asked, timeout=60)
    if code != 0 or not script.strip():
        raise RadError(f"completion for {shell} cannot be written here")
    path, more = _completion_file(shell, env)
    with durable.writing(path, of_run=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script.lstrip())
    return f"completion: {path}{more}"


def _completion_file(shell: str, env: Mapping[str, str]) -> tuple[Path, str]:
    home = Path(env["HOME"])
    if shell == "bash":
        given = env.get("XDG_DATA_HOME", "")
        data = Path(given) if given.startswith("/") else home / ".local" / "share"
        return (
            data / "bash-completion" / "completions" / "rad-engineer",
            " (package bash-completion reads it)",
        )
    if shell == "fish":
        return settings.config_home(env).parent / "fish" / "completions" / "rad-engineer.fish", ""
    return home / ".zfunc" / "_rad-engineer", " (in ~/.zshrc: fpath+=~/.zfunc, before compinit)"


def _keep(key: str, value: str, env: Mapping[str, str]) -> str:
    """Writes one setting into the user's own file; says so."""
    folder = settings.config_home(env)
    aim = configuration.target(folder)
    if aim.table:  # a pyproject.toml there is none of ours
        aim = configuration.Target(folder / settings.FILE, "", (), exists=False)
    text = configuration.with_value(folder, aim, key, value)
    with durable.writing(folder, of_run=False):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration.write(aim, text)
    return f"{aim.path}: {key} = {value}"


def _ask(env: Mapping[str, str], say: Say) -> None:
    if not sys.stdin.isatty():
        raise UsageError("setup asks questions, and there is no terminal", hint=INSTEAD)
    try:
        _agent(env, say)
        _key(env, say)
        _budget(env, say)
        _completion(env, say)
    except EOFError:
        say("")
        say("what was answered is kept; the rest: rad-engineer setup")
    say(
        "next: rad-engineer quickstart makes a project that runs without a key; rad-engineer doctor looks for trouble"
    )


def _answer(question: str, default: str, take: Callable[[str], str], say: Say) -> None:
    """Asks until the answer can be used; an empty one is the default, and nothing is written for an empty default."""
    while True:
        sys.stderr.write(f"{question} [{default}]: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        try:
            say(take(line.strip() or default))
        except UsageError as error:
            say(f"{error}" + (f"; {error.hint}" if error.hint else ""))
        else:
            return


def _agent(env: Mapping[str, str], say: Say) -> None:
    there = [name for name, adapter in ADAPTERS.items() if cli_agents.probe(adapter, env).path]
    say(f"agents here: anthropic (built in, needs a key){''.join(f', {name}' for name in there)}")
    now = settings.load(settings.config_home(env), {}, env).agent or "auto"
    _answer(
        "agent, or auto for the first that can work", now, lambda name: _keep("agent.name", name, env), say
    )


def _key(env: Mapping[str, str], say: Say) -> None:
    if has_key(env):
        say("API key: there is one; rad-engineer login replaces it")
        return
    while key := getpass("API key of Anthropic, not shown (empty: none): ").strip():
        try:
            say(f"API key: kept in {keep_key(key, env)}")
        except UsageError as error:
            say(str(error))
        else:
            return


def _budget(env: Mapping[str, str], say: Say) -> None:
    now = settings.load(settings.config_home(env), {}, env).budget
    default = "10" if now is None else f"{now:g}"
    _answer("US dollars that a run may spend", default, lambda usd: _keep("budget.run", usd, env), say)


def _completion(env: Mapping[str, str], say: Say) -> None:
    shell = os.path.basename(env.get("SHELL", ""))  # noqa: PTH119
    if shell not in SHELLS:
        return

    def take(answer: str) -> str:
        return complete(shell, env) if answer.lower() in ("y", "yes") else "completion: not written"

    _answer(f"completion for {shell}, y or n", "y", take, say)
