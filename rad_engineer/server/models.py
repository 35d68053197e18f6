"""What the server is asked and what it answers, as types: the OpenAPI document is made from them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RunState = Literal["never", "running", "interrupted", "stopped", "finished", "damaged"]
StoryStatus = Literal[
    "passed", "already-done", "done-unverified", "failed", "blocked", "skipped", "waiting", "pending", "running",
    "landing", "interrupted",
]  # fmt: skip


class Asked(BaseModel):
    """What may be asked for; anything else is refused."""

    model_config = ConfigDict(extra="forbid")


class Page(Asked):
    """Which piece of a list."""

    limit: Annotated[int, Field(ge=1, le=500, description="how many at most")] = 100
    cursor: Annotated[
        str | None,
        Field(pattern=r"^[0-9]{1,18}$", description="`next` of the page before; else the first page"),
    ] = None


class StoryPage(Page):
    """Which stories."""

    status: Annotated[StoryStatus | None, Field(description="only stories with this status")] = None


class EventPage(Page):
    """Which events."""

    story: Annotated[
        str | None, Field(min_length=1, max_length=400, description="only events of the story of this key")
    ] = None


class Answer(BaseModel):
    """Every document says how it is written."""

    schema_version: Literal[1] = 1


class ErrorDetail(BaseModel):
    """What was wrong."""

    status: int
    code: str
    message: str


class Error(Answer):
    """A request that was refused."""

    error: ErrorDetail


class Health(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str


class Component(BaseModel):
    """One thing that has to be there."""

    name: str
    ok: bool
    detail: str


class Ready(Answer):
    """Whether questions about runs can be answered."""

    status: Literal["ok", "unavailable"]
    components: list[Component]


class Queue(BaseModel):
    """What stories wait for; `lag_seconds` is how long one has been verified without having landed."""

    pending: int
    running: int
    landing: int
    waiting: int
    lag_seconds: float


class Store(BaseModel):
    """What is on disk: `damaged_lines` are those of the newest run that contradict their checksums."""

    ok: bool
    runs: int
    damaged_lines: int


class Sandbox(BaseModel):
    """What confines the commands of the run that goes on, and whether its process lives."""

    level: str
    alive: bool


class Connections(BaseModel):
    """How many connections are open, how many may be, and how many were turned away."""

    open: int
    limit: int
    refused: int


class Status(Answer):
    """How the server and the newest run are. `starts_agents` is always false: the server only looks on."""

    version: str
    starts_agents: Literal[False] = False
    uptime_seconds: float
    run: str | None
    state: RunState | None
    queue: Queue
    store: Store
    sandbox: Sandbox | None
    memory_mb: float
    connections: Connections


class RunLine(BaseModel):
    """A run in a list."""

    run: str
    state: RunState
    alive: bool


class RunList(Answer):
    """Runs, newest first; `next` is null on the last page."""

    runs: list[RunLine]
    next: str | None


class Story(BaseModel):
    """A story as the report of its run has it."""

    model_config = ConfigDict(extra="allow")

    key: str
    id: str
    title: str
    prd: str
    status: StoryStatus
    attempts: int
    commit: str | None
    seconds: float
    cost_usd: float | None
    tokens: int
    criteria: list[dict[str, Any]]
    gates: list[dict[str, Any]]
    reason: str | None
    detail: str
    explanation: str
    needs: list[str]
    wave: int
    landed: bool


class OneStory(Answer):
    """One story of a run."""

    run: str
    story: Story


class StoryList(Answer):
    """Stories in the order of their files; `next` is null on the last page."""

    run: str
    stories: list[Story]
    next: str | None


class Event(BaseModel):
    """One thing that happened; docs/json.md says what each kind of event has."""

    model_config = ConfigDict(extra="allow")

    event: str
    seq: int
    at: float
    run: str
    story: str | None = None
    attempt: int | None = None


class EventList(Answer):
    """Events in their order; `next` is where to go on, also when there is nothing yet. It is null when the run is over."""

    run: str
    events: list[Event]
    next: str | None


class RunDocument(Answer):
    """A run without its stories."""

    model_config = ConfigDict(extra="allow")

    run: str
    state: RunState
    exit_code: int | None
    branch: str | None
    base: str | None
    head: str | None
    kind: str
    workspace: str
    sandbox: str
    agent: str
    started_at: float | None
    ended_at: float | None
    totals: dict[str, Any]
    verdicts: list[dict[str, Any]]
    notes: list[str]


class ReportDocument(RunDocument):
    """The report of a run, as `rad-engineer report --json` prints it."""

    stories: list[Story]
