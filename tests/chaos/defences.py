"""Defences against hostile agents, each with a change that takes it out and the test that must then fail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defence:
    """`old` stands once in `file`; with `new` in its place `test` fails and its output says `seen`."""

    name: str
    file: str
    old: str
    new: str
    test: str
    seen: str


SLOT = "tests/integration/test_slots_hostile.py"
REFUSED = f"{SLOT}::test_what_must_not_enter_a_repository_has_a_name"
AGENTS = "tests/e2e/test_hostile_agents.py"
GATES = "tests/e2e/test_hostile_gates.py"
SETUP = "tests/e2e/test_hostile_setup.py"
OUTPUT = "tests/e2e/test_hostile_output.py"

DEFENCES = (
    Defence(
        "the .git of a slot is never read", "slots/working_copy.py",
        "slot.git_dir, *settings, *arguments", 'slot.path / ".git" if (slot.path / ".git").is_dir() else slot.git_dir, *settings, *arguments',
        f"{SLOT}::test_nothing_in_the_git_of_a_slot_is_read[filter]", "AssertionError",
    ),
    Defence(
        "pipes are refused", "slots/tree_walk.py",
        "if not is_link and not entry.is_file(follow_symlinks=False):", "if False:",
        f"{REFUSED}[pipe]", "special-file",
    ),
    Defence(
        "nested repositories are refused before git sees them", "slots/tree_walk.py",
        "elif is_dot_git(name):", "elif False:",
        f"{REFUSED}[nested-case]", "nested-git",
    ),
    Defence(
        "depth is limited", "slots/tree_walk.py",
        "if below and depth > MAX_DEPTH:", "if False:",
        AGENTS, "deep",
    ),
    Defence(
        "large files are refused", "slots/staging.py",
        "if counted[path] > bounds.file_bytes:", "if False:",
        f"{SLOT}::test_too_many_and_too_large_files_are_refused_unless_they_are_ignored", "too-large",
    ),
    Defence(
        "many files are refused before git reads them", "slots/staging.py",
        "if len(counted) > bounds.files:", "if False:",
        f"{SLOT}::test_too_many_files_are_refused_before_git_reads_any_of_them", "too-many-files",
    ),
    Defence(
        "links out of the tree are refused", "slots/staging.py",
        "if leaves_tree(entry.path, target):", "if False:",
        f"{REFUSED}[absolute]", "symlink-escape",
    ),
    Defence(
        "gate scripts are protected", "worker/commits.py",
        "judging=tuple(verdict.protected(run, changed, commit, quarantine)),", "judging=(),",
        AGENTS, "judge",
    ),
    Defence(
        "a new .npmrc is protected", "gates/protection.py",
        "if path in names or _chooses_a_shell(path)", "if path in names",
        f"{GATES}::test_a_story_does_not_choose_the_shell_of_package_scripts", "bad",
    ),
    Defence(
        "settings in pyproject.toml are protected", "gates/protection.py",
        "return _settings(before) != _settings(after)", "return False",
        AGENTS, "more-rules",
    ),
    Defence(
        "what cannot be removed is left", "slots/removal.py",
        "        with suppress(OSError):\n            _empty(", "        if True:\n            _empty(",
        f"{SLOT}::test_what_cannot_be_removed_is_put_out_of_the_way", "not permitted",
    ),
    Defence(
        "rad-engineer.toml is protected", "launch/gate_plan.py",
        "{settings.FILE: None}", "{}",
        AGENTS, "rules",
    ),
    Defence(
        "git is not looked for in a slot", "git/command.py",
        'process.absolute_path(env.get("PATH", os.defpath))', 'env.get("PATH", os.defpath)',
        AGENTS, "AssertionError",
    ),
    Defence(
        "gates do not look for programs in the tree", "worker/workplace.py",
        'process.absolute_path(env.get("PATH", os.defpath))', 'env.get("PATH", os.defpath)',
        GATES, "AssertionError",
    ),
    Defence(
        "lost evidence is a failure", "gates/judgement.py",
        "if baseline is not None and (baseline.green or baseline.passed_tests):", "if False:",
        GATES, "forges",
    ),
    Defence(
        "a result without a summary is none", "gates/runners.py",
        '"pytest never came to its summary"', '""',
        GATES, "forges",
    ),
    Defence(
        "missing tests are a failure", "gates/judgement.py",
        "missing = () if gate.allow_missing else missing_tests(attempt, baseline)", "missing = ()",
        GATES, "deselects",
    ),
    Defence(
        "the second run of a gate finds a clean copy", "gates/command.py",
        "        clean()\n", "",
        GATES, "heals",
    ),
    Defence(
        "the next gate finds a clean copy", "worker/court.py",
        "        if results:\n            ready()\n", "",
        GATES, "next-gate",
    ),
    Defence(
        "setup runs the branch's scripts", "worker/setup.py",
        "return found, target.head", "return found, target.tree",
        SETUP, "AssertionError",
    ),
    Defence(
        "what setup made is looked at before it is used", "worker/setup.py",
        "kept(copy.git_dir).key == wanted and _whole(copy)", "kept(copy.git_dir).key == wanted",
        SETUP, "AssertionError",
    ),
    Defence(
        "manifests of a story make nothing for others", "worker/setup.py",
        'return f"{found}-{target.tree}", target.tree', "return found, target.tree",
        SETUP, "AssertionError",
    ),
    Defence(
        "floods are stopped", "process/watch.py",
        "if self._output.size > self._limits.output_bytes:", "if False:",
        OUTPUT, "floods",
    ),
    Defence(
        "a stopped worker goes on", "engines/zygote.py",
        "os.kill(pid, signal.SIGCONT)", "pass",
        OUTPUT, "TimeoutExpired",
    ),
    Defence(
        "silence is noticed", "process/watch.py",
        "elif limits.idle is not None and now >= self._active + limits.idle:", "elif False:",
        OUTPUT, "silent",
    ),
    Defence(
        "an agent's learnings are read from a file only", "worker/stages.py",
        "if path.is_symlink() or not path.is_file():", "if False:",
        OUTPUT, "TimeoutExpired",
    ),
    Defence(
        "no control code reaches a screen", "core/printable.py",
        'return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\\r\\n", "\\n")))', "return text",
        OUTPUT, "AssertionError",
    ),
)  # fmt: skip
