"""Command-line agents with bubblewrap around them: programs that do as the real ones do; test_boxed_agents_real.py has those."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import cli_streams, fake_acp, fake_cli
from tests.conftest import Project, agent, prd, story
from tests.fake_cli import FakeCli, install
from tests.sandboxes import let_through, needs

if TYPE_CHECKING:
    import subprocess

CONFIG = '[gates]\ncheck = "grep -q hi made.txt"\n'
KEY = {"ANTHROPIC_API_KEY": "sk-ant-planted-000", "MY_TOKEN": "planted-111"}
NOBODY = ("--upstream", "http://127.0.0.1:9")
PACKAGE = "lib/node_modules/@maker/agent"


LEVELS = ("bubblewrap", "landlock")


@pytest.fixture
def walled(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    level = getattr(request, "param", "bubblewrap")
    needs(level)
    if level == "landlock":
        python = Path(sys.executable).resolve()
        if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in python.parents):
            pytest.skip(f"NO LANDLOCK WAS TESTED: others cannot pass the folders above {python}")
        let_through(tmp_path / "any")
    home = tmp_path / "home" / "tools"
    project.env |= {
        "RAD_SANDBOX": level,
        "PATH": f"{home / 'bin'}{os.pathsep}{project.env['PATH']}",
    }
    (tmp_path / "home" / "secret").write_text("of the user")
    return project


def installed(project: Project, name: str) -> FakeCli:
    """A program that lies below the home folder, as npm installs them for one user."""
    tools = project.folder.parent / "home" / "tools"
    tools.mkdir()
    return install(name, tools, package=PACKAGE)


def home_of(project: Project, name: str) -> Path:
    """The agent's home folder, as it is called outside."""
    return next(project.folder.glob(f".rad-engineer/runs/*/stories/*/agent-{name}"))


def inner_home(project: Project, name: str) -> str:
    """The same as it is called inside."""
    return "/home/agent" if project.env["RAD_SANDBOX"] == "bubblewrap" else str(home_of(project, name))


@pytest.mark.parametrize("walled", LEVELS, indirect=True)
def test_an_agent_from_a_package_below_the_home_folder(walled: Project):
    """It runs, has a home folder of its own and sees nothing of the user's."""
    fake = installed(walled, "claude")
    good = cli_streams.text_of(cli_streams.GOOD["claude"])
    fake.plan(
        good,
        files={"made.txt": "hi\n"},
        looks=[str(walled.folder.parent / "home/secret"), str(walled.folder)],
    )
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG})
    ran = walled.rad("run", "prd.json", "--yes", "--agent", "claude", *NOBODY, env=KEY)
    assert ran.code == 0, ran.out + ran.err
    assert walled.landed("rad/demo") == ["A"]
    [asked] = fake.asked_in(home_of(walled, "claude"))
    env = asked["env"]
    own = inner_home(walled, "claude")
    assert (env["HOME"], env["CLAUDE_CONFIG_DIR"]) == (own, own)
    assert own != "/home/agent" or asked["cwd"] == "/src/project"
    assert not [value for value in env.values() if "planted" in value]
    assert asked["seen"] == []
    assert "Story A" in asked["prompt"]


@pytest.mark.parametrize("walled", LEVELS, indirect=True)
def test_over_the_protocol(walled: Project):
    """Our own client is in the box as well, and what it is made of is nothing that the agent could take for its own."""
    tools = walled.folder.parent / "home" / "tools"
    fake = fake_acp.install("opencode:acp", tools)
    fake.plan(["say", "I write."], ["write", "$PWD/made.txt", "hi\n"], ["say", "Done."])
    readable = json.dumps([str(fake.folder), fake_acp.__file__])
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": f"{CONFIG}[grants]\nread = {readable}\n"})
    ran = walled.rad("run", "prd.json", "--yes", "--agent", "opencode:acp", *NOBODY, env=KEY)
    assert ran.code == 0, ran.out + ran.err
    assert walled.landed("rad/demo") == ["A"]
    heard = [
        json.loads(line)
        for line in (home_of(walled, "opencode-acp") / "heard.jsonl").read_text().splitlines()
    ]
    assert "PYTHONPATH" not in heard[0]["env"]
    place = "/src/project" if heard[0]["env"]["HOME"] == "/home/agent" else heard[0]["cwd"]
    assert (heard[0]["cwd"], next(one["at"] for one in heard if "new" in one)) == (place, place)


LOGIN = {"tokens": {"access": "planted-old", "refresh": "planted-r"}}
RENEWED = {"tokens": {"access": "planted-new", "refresh": "planted-s"}}


def logged_in(project: Project) -> Path:
    """A user with a login of an agent's, in a project whose agent renews it; where it lies."""
    fake = installed(project, "codex")
    good = cli_streams.text_of(cli_streams.GOOD["codex"])
    renewed = {"made.txt": "hi\n", "/home/agent/auth.json": json.dumps(RENEWED)}
    looks = ["/home/agent/auth.json", str(project.folder.parent / "home/.codex/auth.json")]
    fake.plan(good, files=renewed, looks=looks)
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG})
    login = project.folder.parent / "home/.codex/auth.json"
    login.parent.mkdir()
    login.write_text(json.dumps(LOGIN))
    (login.parent / "history.jsonl").write_text("private")
    return login


def test_a_login_is_seen_by_grant_alone(walled: Project):
    login = logged_in(walled)
    refused = walled.rad("run", "prd.json", "--yes", "--agent", "codex")
    assert refused.code == 69, refused.err
    assert (
        "codex: agent-unavailable: it needs its own login (~/.codex/auth.json, $CODEX_API_KEY" in refused.err
    )
    assert "--credentials codex" in refused.err
    assert not list(walled.folder.glob(".rad-engineer/runs/*"))
    asks = walled.rad("run", "prd.json", "--agent", "codex", "--credentials", "codex")
    assert asks.code == 77
    told = " ".join(asks.err.split())
    assert (
        "login codex ~/.codex/auth.json, $CODEX_API_KEY, $OPENAI_API_KEY; api.openai.com:443, chatgpt.com:443"
        in told
    )
    keys = {"OPENAI_API_KEY": "planted-key", "GEMINI_API_KEY": "planted-222"}
    ran = walled.rad("run", "prd.json", "--yes", "--agent", "codex", "--credentials", "codex", env=keys)
    assert ran.code == 0, ran.out + ran.err
    home = home_of(walled, "codex")
    [asked] = fake_cli.FakeCli.asked_in(home)
    assert asked["seen"] == ["/home/agent/auth.json"]
    assert [value for value in asked["env"].values() if "planted" in value] == ["planted-key"]
    assert asked["env"]["CODEX_HOME"] == "/home/agent"
    assert json.loads(login.read_text()) == RENEWED
    assert not (home / "auth.json").exists()
    everything = [
        path for path in walled.folder.rglob(".rad-engineer/**/*") if path.is_file() and path.parent != home
    ]
    assert not [path for path in everything if b"planted-" in path.read_bytes()]
    assert walled.report()["stories"][0]["unmetered"]


def test_no_project_can_grant_a_login(walled: Project):
    logged_in(walled)
    walled.write({"rad-engineer.toml": f'{CONFIG}[grants]\ncredentials = ["codex"]\n'})
    refused = walled.rad("run", "prd.json", "--yes", "--agent", "codex")
    assert refused.code == 78, refused.err
    assert "your logins are not a project's to grant" in refused.err


def test_a_story_that_names_another_agent_gets_no_login_for_it(walled: Project):
    """Neither does a chain: whoever may not see its login is left out, and that is said."""
    logged_in(walled)
    script = walled.folder.parent / "agent.sh"
    script.write_text("echo hi > made.txt\n")
    ran = walled.rad(
        "run", "prd.json", "--yes", "--agent", "codex,command", "--agent-command", f"sh {script}"
    )
    assert ran.code == 0, ran.err
    assert "codex: agent-unavailable" in ran.err
    assert walled.landed("rad/demo") == ["A"]
    assert not list(walled.folder.glob(".rad-engineer/runs/*/stories/*/agent-codex"))


WORKS = """
echo ran >> "$RAD_LEARNINGS_FILE"
echo hi > made.txt
until test -e go; do sleep 0.02; done
rm go
"""


@pytest.mark.parametrize("all_at_once", [False, True])
def test_an_agent_that_has_ended_is_not_paid_again(walled: Project, all_at_once: bool):
    """Its worker is killed behind the end of the agent and before it has heard of that; or everything is."""
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG})
    running = walled.start("run", "prd.json", "--yes", *agent(walled, WORKS))
    stopped: list[int] = []
    try:
        ending = first(
            lambda: walled.folder.glob(".rad-engineer/runs/*/stories/*/attempt-1/agent.end"), running
        )
        slot = first(lambda: (walled.folder.parent / "cache").glob("**/made.txt"), running).parent
        worker = parent_of(next(iter(boxes_of(ending.parents[3].name))))
        zygote = parent_of(worker)
        for pid in (zygote, worker):  # the one would let the other go on
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        (slot / "go").touch()
        first(lambda: ending.read_text().splitlines()[1:], running)
        if all_at_once:
            os.kill(running.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        os.kill(zygote, signal.SIGKILL if all_at_once else signal.SIGCONT)
        stopped.clear()
        running.communicate(timeout=60)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
        running.kill()
        running.communicate()
    if all_at_once:
        assert walled.rad("resume").code == 0
    assert walled.landed("rad/demo") == ["A"]
    assert walled.git("show", "rad/demo:made.txt") == "hi\n"
    learned = next(walled.folder.glob(".rad-engineer/runs/*/stories/*/attempt-1/learnings.txt"))
    assert learned.read_text() == "ran\n"
    assert walled.report()["stories"][0]["attempts"] == 1


def first(look: Callable[[], Iterable[Any]], running: "subprocess.Popen[str]") -> Any:
    """What is found first, once there is something."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(FileNotFoundError):
            for found in look():
                return found
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    raise AssertionError("there is none")


def boxes_of(run: str) -> Iterator[int]:
    """The outermost processes of a run's boxes."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            bwrap = entry.name.isdigit() and (entry / "comm").read_text() == "bwrap\n"
            if bwrap and f"RAD_RUN_MARK={run}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_no_process_outside_its_box_has_the_token_of_an_agent(walled: Project):
    """It goes from the worker to the executor over their socket: neither a command line nor an environment out here has it."""
    fake = installed(walled, "claude")
    fake.plan("on it\n", hangs=True)
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG})
    running = walled.start("run", "prd.json", "--yes", "--agent", "claude", *NOBODY, env=KEY)
    try:
        home = first(lambda: walled.folder.glob(".rad-engineer/runs/*/stories/*/agent-claude"), running)
        token = first(lambda: fake.asked_in(home), running)["env"]["ANTHROPIC_AUTH_TOKEN"].encode()
        [box] = boxes_of(home.parents[2].name)
        having = set(processes_with(token))
        inside = {pid for pid in having if namespace_of(pid) != namespace_of("self")}
        assert having == inside, having - inside
        assert inside  # else nothing was looked for
        assert box not in having
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)


def processes_with(text: bytes) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and any(
                text in (entry / name).read_bytes() for name in ("environ", "cmdline")
            ):
                yield int(entry.name)


def namespace_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
