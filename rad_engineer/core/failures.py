"""Why a story has not passed: one closed list, each reason with a sentence for people and the next action."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Family = Literal["agent", "work", "tree", "landing", "machine", "waiting"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One way to end; `sentence` says what happened, `action` what to do next."""

    name: str
    family: Family
    sentence: str
    action: str


_LIST = (
    # The agent did not do its part.
    Reason(
        "agent-failed", "agent",
        "the agent ended with an error",
        "read its last output with `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "agent-missing", "agent",
        "the agent command does not exist or cannot be executed",
        "install it or name another one with --agent-command, then run again",
    ),
    Reason(
        "timeout", "agent",
        "the story took longer than --story-timeout allows and was stopped",
        "split the story or give it more time with --story-timeout",
    ),
    Reason(
        "idle", "agent",
        "the agent printed nothing for longer than --idle-timeout allows and was stopped",
        "look for a question it was waiting on with `rad-engineer logs {story}`, or raise --idle-timeout",
    ),
    Reason(
        "flooded", "agent",
        "the agent printed more output than a log may hold and was stopped",
        "make the agent quieter; the head and the tail of its output are in `rad-engineer logs {story}`",
    ),
    Reason(
        "cpu-limit", "agent",
        "the agent's commands used more processor time than they may and were stopped",
        "look for a loop in `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "memory-limit", "agent",
        "the agent's commands used more memory than they may and were stopped",
        "look for what uses it in `rad-engineer logs {story}`; fewer --jobs leave more for each",
    ),
    Reason(
        "process-limit", "agent",
        "the agent's commands started more processes than they may and were stopped",
        "look for what starts them in `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "open-file-limit", "agent",
        "the agent's commands opened more files than they may and were stopped",
        "look for what opens them in `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "disk-limit", "agent",
        "the agent's commands wrote more than they may and were stopped",
        "look for what writes it in `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "inode-limit", "agent",
        "the agent's commands made more files than they may and were stopped",
        "look for what makes them in `rad-engineer logs {story}`, then run again",
    ),
    Reason(
        "no-change", "agent",
        "the agent finished but changed nothing, and no verify command of the story is green",
        "say in the story what must change, or give it a verify command that is green when nothing is left to do",
    ),
    Reason(
        "drift", "agent",
        "what was asked is not what was recorded, so the recording has no answer",
        "undo what makes the request another one, or record anew with --record",
    ),
    # What it made is not good enough.
    Reason(
        "gate-red", "work",
        "a gate is red because of this story",
        "change the story or what its failing output names (`rad-engineer explain {story}`), then run again",
    ),
    Reason(
        "plateau", "work",
        "two attempts failed in exactly the same way",
        "change the story or the code it stumbles over, then run again",
    ),
    Reason(
        "protected-path", "work",
        "the story changed a file that judges it (a gate script or a `protect` pattern)",
        "change that file yourself, or take it off the `protect` list, then run again",
    ),
    Reason(
        "policy", "work",
        "a rule of the policy does not allow what the story changed",
        "see which with `rad-engineer explain {story}`; change the story, or what `[policy]` says of that rule",
    ),
    Reason(
        "unverified", "work",
        "no gate could judge the story",
        "configure a gate in rad-engineer.toml, or accept it with `rad-engineer resume --allow-unverified`",
    ),
    Reason(
        "no-gate", "work",
        "there is no gate that could judge the story",
        "configure a gate in rad-engineer.toml, or accept it with `rad-engineer resume --allow-unverified`",
    ),
    Reason(
        "no-evidence", "work",
        "its gates proved nothing: red before and after, or no test was seen to pass",
        "make a gate green on the base, or accept it with `rad-engineer resume --allow-unverified`",
    ),
    Reason(
        "shared-workspace", "work",
        "the story ran in a shared workspace, where nothing lands and nothing is verified in a clean copy",
        "look at the changes yourself; run in a git repository to have them verified and landed",
    ),
    Reason(
        "rehearsal", "work",
        "the story was only rehearsed with the mock agent",
        "run it with a real agent: --agent-command, or `[agent]` in rad-engineer.toml",
    ),
    # What lies in the slot must not enter a repository.
    Reason(
        "nested-git", "tree",
        "the story left a git repository (or something named .git) inside its files",
        "tell the agent not to clone or init inside the project, then run again",
    ),
    Reason(
        "special-file", "tree",
        "the story left a pipe, socket or device among its files",
        "have it put such files outside the project, then run again",
    ),
    Reason(
        "slot-gone", "tree",
        "its working copy was removed or replaced while it ran",
        "see who removed it: the agent itself, or somebody who cleared the cache; then run again",
    ),
    Reason(
        "symlink-escape", "tree",
        "the story made a symbolic link that points out of the repository",
        "use a relative link inside the repository, then run again",
    ),
    Reason(
        "too-deep", "tree",
        "the story made folders nested deeper than 200 levels",
        "look for a loop that makes folders, then run again",
    ),
    Reason(
        "too-many-files", "tree",
        "the story made more files than one commit may hold",
        "add what is generated to .gitignore, then run again",
    ),
    Reason(
        "too-large", "tree",
        "the story made files larger than one commit may hold",
        "add large files to .gitignore or keep them elsewhere, then run again",
    ),
    Reason(
        "huge-ignore-file", "tree",
        "the story made a .gitignore or .gitattributes over 64 kB",
        "shorten the file, then run again",
    ),
    # It is good alone, but does not fit.
    Reason(
        "conflict", "landing",
        "the story's changes conflict with what landed meanwhile",
        "run again: the story then starts on the new base",
    ),
    Reason(
        "red-after-merge", "landing",
        "the story is green alone but red together with what landed meanwhile",
        "run again: the story then starts on the new base and is told what failed",
    ),
    Reason(
        "branch-busy", "landing",
        "the run branch is checked out somewhere or was moved by somebody else",
        "leave that branch (`git switch -`), then `rad-engineer resume`",
    ),
    # The machine or the set-up got in the way.
    Reason(
        "setup-failed", "machine",
        "the setup command failed, so nothing could be run",
        "make the setup command work in a clean copy of the repository, then run again",
    ),
    Reason(
        "worker-died", "machine",
        "the worker process died (killed, or out of memory)",
        "free memory or lower --jobs, then run again",
    ),
    Reason(
        "git-failed", "machine",
        "a git command on the story's files failed or ran into its limit",
        "see run.log for the command and its message, then run again",
    ),
    Reason(
        "internal-error", "machine",
        "rad-engineer itself made a mistake",
        "please report it with run.log, then `rad-engineer resume`",
    ),
    Reason(
        "disk-full", "machine",
        "there was no room left to write",
        "make room, then `rad-engineer resume`",
    ),
    Reason(
        "interrupted", "machine",
        "the run was stopped while the story was running; its work so far is kept",
        "go on with `rad-engineer resume`",
    ),
    # Nothing is wrong: something has to happen first.
    Reason(
        "limit", "waiting",
        "the agent asked to be tried later (a usage limit)",
        "go on with `rad-engineer resume` when the limit has passed",
    ),
    Reason(
        "login", "waiting",
        "the agent is not logged in, or its login is no longer good",
        "log in as its last output says (`rad-engineer logs {story}`), then go on with `rad-engineer resume`",
    ),
    Reason(
        "budget", "waiting",
        "the money or the tokens that it may use are spent",
        "go on with more: `rad-engineer resume --budget USD`, or --story-budget, --token-budget",
    ),
    Reason(
        "offline", "waiting",
        "no model can be asked: there is no connection, or the upstream does not answer",
        "go on with `rad-engineer resume` when it does (`rad-engineer logs {story}` has its last word)",
    ),
    Reason(
        "deadline", "waiting",
        "the run's --deadline came first",
        "go on with `rad-engineer resume`",
    ),
    Reason(
        "human", "waiting",
        "the story waits for a person",
        "when it may go on: `rad-engineer approve {story}`",
    ),
    Reason(
        "needs", "waiting",
        "the story waits for other stories",
        "finish or release those first",
    ),
)  # fmt: skip

PARKED = frozenset({"limit", "login", "budget", "offline"})
"""Nobody's fault: the attempt goes on, where it stopped, as soon as the run does."""

REASONS: dict[str, Reason] = {reason.name: reason for reason in _LIST}
"""All reasons by name."""


def find(name: str | None) -> Reason | None:
    """The reason of that name; one that a later version wrote is told as it is written."""
    if not name:
        return None
    known = REASONS.get(name)
    if known is not None:
        return known
    return Reason(name, "work", name.replace("-", " "), "see `rad-engineer explain {story}`")


def action(name: str | None, story: str) -> str:
    """What to do next about a story that ended for this reason."""
    reason = find(name)
    return reason.action.replace("{story}", story) if reason else ""


def count(names: Iterable[str | None]) -> dict[str, int]:
    """How often each reason occurs, most frequent first, then by name."""
    counted = Counter(name for name in names if name)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
