"""The rules of a run: decided at its start, written into run.json, and the same for every worker until it ends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Level = Literal["bubblewrap", "landlock", "off"]
REGISTRIES = ("pypi", "npm", "crates")
"""Names that stand for the hosts of a registry in what may be reached."""
NETWORKS = ("network", "gate_network", "setup_network")
GRANTS = (*NETWORKS, "readable", "variables")


@dataclass(frozen=True, slots=True)
class GateRule:
    """A gate as the run knows it."""

    name: str
    command: str
    scope: str
    runner: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a worker must know to run any story of the run; no secrets."""

    run: str
    kind: Literal["real", "rehearsal"]
    workspace: Literal["slots", "shared"]
    top: str  # the work tree the run was started in; the workspace itself when it is shared
    home: str  # where .rad-engineer lies
    cache: str  # slots, gate copies and caches of this repository
    repository: Mapping[str, Any] | None
    branch: str | None
    base: str | None
    agent: str  # those that work, in the order in which they are asked, with commas
    agent_command: str
    seed: str = ""  # what the marks of the run are made of, see core.fence
    model: str = ""
    priced: tuple[str, ...] = ()  # models that stories may ask for
    agent_settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the built-in agent: max_turns, effort, …
    role: str = ""  # of stories that name none
    roles: Mapping[str, str] = field(default_factory=dict)  # the text of each
    review: bool = False
    reviewer: str = ""
    review_model: str = ""
    review_rounds: int = 1
    simplify: bool = False
    gates: tuple[GateRule, ...] = ()
    wave_gates: tuple[GateRule, ...] = ()
    final_gates: tuple[GateRule, ...] = ()
    protected: tuple[str, ...] = ()  # paths that gate commands name
    protect: tuple[str, ...] = ()  # globs
    injection_warn: int = 4  # scores of core.injection
    injection_quarantine: int = 8
    policy: Mapping[str, Any] = field(default_factory=dict)  # what core.policy reads
    dropped: tuple[str, ...] = ()  # PRDs and progress notes: an agent's edits of them are left out
    sandbox: Level = "off"
    network: tuple[str, ...] = ()  # of agents' commands
    gate_network: tuple[str, ...] = ()
    setup_network: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    registries: Mapping[str, Any] = field(default_factory=dict)  # by name: hosts, variables, read, proxy
    private_network: bool = False  # whether hosts that are granted may have addresses of private networks
    credentials: tuple[str, ...] = ()  # agents whose own login may be seen in a box
    setup: str | None = None
    keep: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()
    history: int = 50
    attempts: int = 3
    story_timeout: float | None = None
    idle_timeout: float | None = None
    gate_timeout: float = 900.0
    grace: float = 10.0
    allow_unverified: bool = False
    allow_missing_tests: bool = False

    @property
    def agents(self) -> tuple[str, ...]:
        """Who works: the next one is asked when one is missing or at its limit."""
        return tuple(self.agent.split(","))

    def to_json(self) -> dict[str, Any]:
        """The form in run.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rules":
        """Reads it back; keys of a later version are left aside."""
        values = {entry.name: data[entry.name] for entry in fields(cls) if entry.name in data}
        for name in ("gates", "wave_gates", "final_gates"):
            values[name] = tuple(GateRule(**gate) for gate in values.get(name, ()))
        for name in ("priced", "protected", "protect", "dropped", "keep", "copy", "credentials", *GRANTS):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
