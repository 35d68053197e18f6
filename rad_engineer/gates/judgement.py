"""What a gate is, what a runner said, and the verdict that follows: pure rules, no process, no file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Scope = Literal["story", "project", "wave", "final"]
Verdict = Literal["green", "red", "excused", "no-evidence", "flaky-green", "broken"]

NO_SUCH_COMMAND = (126, 127)
KILLED = 137  # 128 + SIGKILL
_TOLD: dict[int | None, str] = {
    0: "although the exit code is 0",
    KILLED: "it was killed, as where memory runs out",
}
ERROR, MISSING = "error: ", "missing: "
SHOWN_FAILURES = 100


@dataclass(frozen=True, slots=True)
class Gate:
    """A shell command that judges a tree. A story's own verify command has the scope "story"."""

    name: str
    command: str
    scope: Scope = "project"
    runner: str = "opaque"  # pytest, jest, ...: whose results we can read
    source: str = ""  # where it comes from, for people
    allow_missing: bool = False  # tests may disappear


@dataclass(frozen=True, slots=True)
class Reading:
    """What a test runner left behind. Things that failed and are no tests stand in `failed` behind "error: "."""

    count: int = 0  # tests that passed
    passed: tuple[str, ...] | None = None  # their ids, where the runner tells
    failed: tuple[str, ...] = ()
    problem: str = ""  # why it is no evidence


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a gate: how the command ended and what its runner said (None: nothing)."""

    code: int | None
    reason: str = "exited"
    reading: Reading | None = None
    masked: bool = False  # the exit code says nothing
    absent: str = ""  # a program that is not there, although the exit code is another

    @property
    def broken(self) -> bool:
        """Whether there was no such command."""
        return self.reason == "not-started" or self.code in NO_SUCH_COMMAND or bool(self.absent)

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of what failed."""
        return self.reading.failed if self.reading else ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a gate said of the tree that a change is held against: nothing it passed may fail or be gone."""

    gate: str
    exit_code: int | None
    failures: tuple[str, ...] = ()
    passed_tests: tuple[str, ...] | None = None
    green: bool = False
    reason: str = "exited"
    detail: str = ""
    count: int = 0  # tests seen to pass

    @property
    def broken(self) -> bool:
        """Whether the command does not exist here, or has said nothing: no agent should start."""
        missing = self.exit_code in NO_SUCH_COMMAND or self.reason in {"not-started", "absent"}
        return missing or self.killed

    @property
    def killed(self) -> bool:
        """Whether somebody else than us has ended it: the kernel, where memory runs out."""
        return self.exit_code == KILLED and self.reason == "exited"

    def after(self, before: "Baseline | None") -> "Baseline":
        """With the tests of the tree before, where this time none were listed: they are not forgotten."""
        if before is None or self.passed_tests is not None:
            return self
        return replace(self, passed_tests=before.passed_tests)

    def to_json(self) -> dict[str, Any]:
        """The form it is cached in."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Baseline":
        """Reads it back."""
        tests = data.get("passed_tests")
        return cls(
            gate=data["gate"],
            exit_code=data["exit_code"],
            failures=tuple(data.get("failures", ())),
            passed_tests=None if tests is None else tuple(tests),
            green=bool(data.get("green")),
            reason=data.get("reason", "exited"),
            detail=data.get("detail", ""),
            count=data.get("count", 0),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons; `blamed` are the failures that were not there before."""

    verdict: Verdict
    failures: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate said of a tree, as reports and checkpoints keep it."""

    name: str
    command: str
    verdict: Verdict
    exit_code: int | None
    seconds: float
    passed: int | None = None
    failures: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    output: str = ""  # the failing part
    sha256: str = ""  # of the whole output
    at: float = 0.0
    commit: str = ""
    scope: Scope = "project"
    detail: str = ""
    seen: Baseline | None = field(
        default=None, repr=False, compare=False
    )  # what the next change is held against

    @property
    def ok(self) -> bool:
        """Whether nothing here speaks against the tree."""
        return self.verdict != "broken" and not self.blames

    @property
    def proof(self) -> bool:
        """Whether this counts as evidence that the tree is good."""
        return self.verdict in {"green", "excused", "flaky-green"}

    @property
    def blames(self) -> bool:
        """Whether something failed that is not excused by what was there before."""
        return self.verdict == "red" or bool(self.blamed)

    def to_json(self) -> dict[str, Any]:
        """The form in report.json."""
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "seen"}
        return {**told, "ok": self.ok, "proof": self.proof}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GateResult":
        """Reads it back; keys of a later version are left aside."""
        values = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        for name in ("failures", "blamed"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def judge(gate: Gate, attempt: Attempt, baseline: Baseline | None = None) -> Judgement:
    """The verdict on one run of a gate."""
    if gate.scope == "story" or (baseline is not None and baseline.broken):
        baseline = None
    if attempt.broken:
        return _broken(attempt, baseline)
    if attempt.reason != "exited":
        return _stopped(attempt, baseline)
    missing = () if gate.allow_missing else missing_tests(attempt, baseline)
    if attempt.code == 0 and not attempt.failed:
        return _exit_zero(gate, attempt, baseline, missing)
    return _failed(attempt, baseline, missing)


def _broken(attempt: Attempt, baseline: Baseline | None) -> Judgement:
    detail = attempt.absent or "no such command"
    if baseline is not None:
        return Judgement("red", (), (f"{ERROR}{detail}",), f"{detail}, although it was there before")
    return Judgement("broken", detail=detail)


def _stopped(attempt: Attempt, baseline: Baseline | None) -> Judgement:
    why = {"timeout": "ran into its time limit", "idle": "printed nothing for too long",
           "flooded": "printed more than its limit", "cancelled": "was stopped",
           "cpu-limit": "used too much processor time", "memory-limit": "used too much memory",
           "process-limit": "started too many processes", "open-file-limit": "opened too many files",
           "disk-limit": "wrote too much", "inode-limit": "made too many files"}  # fmt: skip
    detail = why.get(attempt.reason, attempt.reason)
    if attempt.reason == "cancelled":
        return Judgement("broken", detail=detail)
    if baseline is not None and not baseline.green and baseline.reason == attempt.reason:
        return Judgement("no-evidence", attempt.failed, (), f"{detail}, as it did before")
    return Judgement("red", attempt.failed, attempt.failed, detail)


def _exit_zero(
    gate: Gate, attempt: Attempt, baseline: Baseline | None, missing: tuple[str, ...]
) -> Judgement:
    if gate.runner == "scanner":
        return Judgement("no-evidence", detail="it found nothing, and proves nothing")
    reading = attempt.reading
    readable = gate.runner != "opaque" or bool(baseline and baseline.passed_tests)
    if readable and (reading is None or reading.problem or not reading.count):
        why = reading.problem if reading else "its runner left no result"
        detail = f"exit code 0, but {why or 'no test passed'}"
        if baseline is not None and (baseline.green or baseline.passed_tests):
            lost = (f"{ERROR}{detail}", *missing)  # it could prove something before this tree
            return Judgement("red", lost, lost, detail)
        return Judgement("no-evidence", missing, missing, detail)
    if missing:
        return Judgement("red", missing, missing, "tests that ran before did not run")
    if not readable and attempt.masked:
        return Judgement("no-evidence", detail="the command hides the exit code of what it runs")
    return Judgement("green")


def _failed(attempt: Attempt, baseline: Baseline | None, missing: tuple[str, ...]) -> Judgement:
    failed = attempt.failed
    known = frozenset(baseline.failures) if baseline else frozenset()
    new = tuple(name for name in failed if name not in known)
    if attempt.reading is None or any(name.startswith(ERROR) for name in new):
        missing = ()  # nothing ran: what is missing would only hide why
    excuses = baseline is not None and not baseline.green and (baseline.exit_code != 0 or bool(known))
    if baseline is None or not excuses:
        everything = (*failed, *missing)
        return Judgement("red", everything, everything, _TOLD.get(attempt.code, ""))
    if new or missing:
        return Judgement("red", (*failed, *missing), (*new, *missing))
    return _known_red(attempt, baseline)


def _known_red(attempt: Attempt, baseline: Baseline) -> Judgement:
    """Red before and now, with no failure that is new by its name."""
    failed, reading = attempt.failed, attempt.reading
    same_code = attempt.code == baseline.exit_code
    healthy = reading is not None and reading.count > 0 and not reading.problem
    if failed:
        if same_code and healthy:
            return Judgement("excused", failed, (), "every failure was there before")
        return Judgement("no-evidence", failed, (), "it failed before too, and no test passed")
    lost = bool(baseline.failures) or (bool(baseline.passed_tests) and not healthy)
    if lost or (reading is not None and not same_code):
        return Judgement("red", detail="it failed before too, but in another way")
    return Judgement("no-evidence", detail="it failed before too, and does not say what failed")


def missing_tests(attempt: Attempt, baseline: Baseline | None) -> tuple[str, ...]:
    """Tests that ran before and neither pass nor fail now.

    A test with parameters is there as long as as many variants of it pass as before: parameters may
    carry dates, paths and addresses. Tests of a file that cannot even be loaded are not listed: the
    file is.
    """
    if baseline is None:
        return ()
    reading = attempt.reading or Reading()
    if reading.passed is None and not baseline.passed_tests:
        return ()
    before = [
        *(baseline.passed_tests or ()),
        *(f for f in baseline.failures if not f.startswith((ERROR, MISSING))),
    ]
    now = {*(reading.passed or ()), *reading.failed}
    unloaded = tuple(name.removeprefix(ERROR) for name in reading.failed if name.startswith(ERROR))
    gone = [name for name in before if name not in now and not (unloaded and name.startswith(unloaded))]
    if not gone:
        return ()
    then_variants, now_variants = _variants(before), _variants(tuple(now))
    return tuple(
        f"{MISSING}{name}"
        for name in gone
        if "[" not in name or now_variants[_stem(name)] < then_variants[_stem(name)]
    )


def _stem(name: str) -> str:
    return name.split("[", 1)[0]


def _variants(names: Sequence[str]) -> Counter[str]:
    return Counter(_stem(name) for name in names if "[" in name)


def shortened(names: tuple[str, ...], limit: int = SHOWN_FAILURES) -> tuple[str, ...]:
    """At most `limit` names, and how many more there are."""
    if len(names) <= limit:
        return names
    return (*names[:limit], f"... and {len(names) - limit} more")
