"""The worker is killed in or behind an optional turn: what had ended is not paid for again, and what had not is done.

RAD_CAMPAIGN=1 does so at every point.
"""

import os

import pytest
from test_agent_turns import Shop, said

from tests import cli_streams

FINDING = "MUST-FIX: work.txt:1: it is wrong"
MEND, SIMPLER = "A reviewer read your change", "make it simpler"


def codex_says(text):
    item = {"type": "item.completed", "item": {"type": "agent_message", "text": text}}
    return cli_streams.text_of([*cli_streams.GOOD["codex"][:1], item, *cli_streams.GOOD["codex"][-1:]])


def turns(claude):
    """Which turns claude was asked for."""
    asked = [one["prompt"] for one in claude.asked]
    return ["mend" if MEND in text else "simplify" if SIMPLER in text else "agent" for text in asked]


KILLED = {  # who kills: how often codex reads it, what claude is asked for
    "nobody": (1, ["agent", "mend", "simplify"]),
    "review": (2, ["agent", "mend", "simplify"]),
    "mend": (1, ["agent", "mend", "mend", "simplify"]),
    "first gate": (1, ["agent", "mend", "simplify"]),
    "simplify": (1, ["agent", "mend", "simplify", "simplify"]),
    "second gate": (1, ["agent", "mend", "simplify"]),
}


EVERYWHERE = os.environ.get("RAD_CAMPAIGN")


@pytest.mark.parametrize("who", [who for who in KILLED if EVERYWHERE or who in ("mend", "simplify")])
def test_turns_behind_the_commit(project, who):
    died = project.folder.parent / "died"
    shop = Shop(
        project, config="[agent]\nreviewer = 'codex'\n[workspace]\nsetup = 'test -e made || echo x > made'\n"
    )
    at = {"first gate": "right", "second gate": "simply"}.get(who, "nowhere")
    project.write({"check.sh": f"test -e made || exit 1\ngrep -q {at} work.txt || exit 0\n"
                               f"test -e {died} || {{ touch {died}; kill -9 $PPID; sleep 60; }}\n"})  # fmt: skip
    project.commit("a gate that kills")
    kills = {turn: {"kills": str(died)} if turn == who else {} for turn in ("review", "mend", "simplify")}
    claude = shop.install("claude", said("Done."), files={"work.txt": "good but wrong\n", "more.txt": "x"}, by=[
        {"when": SIMPLER, "files": {"work.txt": "good, right, simply\n"}, **kills["simplify"]},
        {"when": MEND, "files": {"work.txt": "good and right\n"}, **kills["mend"]}])  # fmt: skip
    codex = shop.install("codex", codex_says(FINDING), files={"spy.txt": "x"}, **kills["review"])
    ran = shop.run("--agent", "claude", "--review", "--simplify")
    assert ran.code == 0, ran.out + ran.err
    assert died.exists() == (who != "nobody")
    assert (len(codex.asked), turns(claude)) == KILLED[who]
    mends = [one["argv"][-2:] for one in claude.asked if MEND in one["prompt"]]
    assert mends[-1] == ["--resume", "7ed9eac8-eeec"]  # by whoever wrote it, with what they know of it
    assert project.git("show", "rad/demo:work.txt") == "good, right, simply\n"
    assert project.git("ls-tree", "--name-only", "rad/demo").split() == [
        ".gitignore", "check.sh", "more.txt", "prd.json", "rad-engineer.toml", "work.txt"]  # fmt: skip
    [told] = project.report()["stories"]
    assert (told["attempts"], told["agent_says"]["summary"]) == (1, "Done.")


@pytest.mark.skipif(not EVERYWHERE, reason="RAD_CAMPAIGN is not set")
def test_a_simpler_change_that_is_red_is_left_out_after_a_kill_as_well(project):
    died = project.folder.parent / "died"
    shop = Shop(project)
    project.write({"check.sh": f"grep -q bad work.txt || exit 0\n"
                               f"test -e {died} || {{ touch {died}; kill -9 $PPID; sleep 60; }}\nexit 1\n"})  # fmt: skip
    project.commit("a gate that kills")
    claude = shop.install("claude", said("Done."), files={"work.txt": "good\n"},
                          by=[{"when": SIMPLER, "files": {"work.txt": "bad\n"}}])  # fmt: skip
    ran = shop.run("--agent", "claude", "--simplify")
    assert ran.code == 0, ran.out + ran.err
    assert died.exists()
    assert turns(claude) == ["agent", "simplify"]
    assert project.git("show", "rad/demo:work.txt") == "good\n"
