"""Agents that shout, fall silent, leave processes behind or choose evil names: the screen stays clean, the run goes on."""

from tests.conftest import Project
from tests.e2e.hostile_project import STEERING, WRITE, Hostile

EVIL = r"\033]0;owned\007\033[2J\033[31m evil \r\b\302\233 \342\200\256"
LIMITS = ("--attempts", "1", "--idle-timeout", "6", "--story-timeout", "16", "--grace", "1")
STUBBORN = "trap '' TERM INT HUP; while :; do sleep 1; done"

NAMES = r"""touch -- -rf --force "$(printf 'new\nline')" "$(printf 'not\377utf8')" "$(printf '\033]0;owned\007')" ':(top)x' '*'
mkdir closed; echo x > closed/file; chmod 0 closed
"""
WORKS = {
    "names": NAMES,
    "learns": f"printf '{EVIL}\\nplain\\n' > \"$RAD_LEARNINGS_FILE\"\n",
    "learns-pipe": 'rm -f "$RAD_LEARNINGS_FILE"; mkfifo "$RAD_LEARNINGS_FILE"\n',
    "learns-link": 'rm -f "$RAD_LEARNINGS_FILE"; ln -s "$OUTSIDE/neighbour/precious.txt" "$RAD_LEARNINGS_FILE"\n',
    "forks": f'({STUBBORN}) & setsid sh -c "{STUBBORN}" & (env -i setsid sh -c "{STUBBORN}" &) &\n',
    "shouts": f"printf '{EVIL}\\n'; head -c 100000 /dev/urandom; printf '{EVIL}\\n'\n",
}
STOPPED = {
    "codes": (f"printf '{EVIL}\\n'; head -c 3000 /dev/urandom; printf '{EVIL}'; exit 3\n", "agent-failed", "exit code 3"),
    "evil-name": ("mkfifo \"$(printf 'x\\033]0;owned\\007y')\"\n", "special-file", ": xy"),
    "floods": ("yes flood | head -c 1000000000\n", "flooded", "more output than a log may hold"),
    "silent": ("sleep 1000\n", "idle", "printed nothing for longer than --idle-timeout"),
    "stops-worker": ("kill -STOP $PPID; sleep 1000\n", "idle", "printed nothing for longer than --idle-timeout"),
    "stubborn": (f"({STUBBORN}) & {STUBBORN}\n", "idle", "printed nothing for longer than --idle-timeout"),
    "dots": ("while :; do printf .; sleep 0.2; done\n", "timeout", "took longer than --story-timeout"),
}  # fmt: skip


def test_noise_silence_and_names(project: Project) -> None:
    attacks = {name: WRITE + script for name, script in WORKS.items()}
    attacks |= {name: WRITE + row[0] for name, row in STOPPED.items()}
    hostile = Hostile(project, attacks)
    ran = hostile.run(*LIMITS)
    assert ran.code == 1
    for name, (_script, reason, said) in STOPPED.items():
        hostile.refused(ran, name, reason, said)
    ended = hostile.ended()
    assert {name: ended[name] for name in WORKS} == dict.fromkeys(WORKS, "passed"), ran.out
    hostile.nothing_else_happened()
    new = {"-rf", "--force", "new\nline", "not\udcffutf8", "\x1b]0;owned\x07", ":(top)x", "*", "closed/file"}
    assert new <= hostile.on_branch()
    for screen in screens(hostile, ran.out + ran.err, [*attacks, "honest-1"]):
        found = STEERING.search(screen)
        assert found is None, screen[max(0, found.start() - 200) : found.end() + 50]


def screens(hostile: Hostile, first: str, names: list[str]) -> list[str]:
    """Everything that a person may read about the run."""
    runs = hostile.project.folder / ".rad-engineer" / "runs"
    shown = [first, (max(runs.iterdir()) / "report.md").read_text()]
    asked = [
        ("status",),
        ("resume",),
        *(("explain", name) for name in names),
        *(("logs", name) for name in names),
    ]
    for arguments in asked:
        ran = hostile.project.rad(*arguments)
        shown.append(ran.out + ran.err)
    return shown
