"""The conversation of one attempt, folded from its records: what was said, what is open, and what comes next.

| record | means |
|---|---|
| start | system, tools and first message, as they are sent in every request |
| answer | a whole answer of the model: content, stop reason, usage |
| begun | a tool call is about to be carried out: from here on it may have had effects |
| result | what the model is told of a tool call |
| say | a text of ours that goes with the next request: why is repair, continue or compact; what is `left` of each result of a tool, of this turn or of all |
| resumed | a new process goes on: the shell is a new one |
| compacted | the conversation begins anew with a summary |
| report | the valid final report |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Record = Mapping[str, Any]
Next = Literal["ask", "tools", "end of turn", "summary", "done"]
Mark = tuple[int, int]

SHELL = "bash"
REPORT = "report"
_AROUND = 100  # bytes of a block beside its text
_NO_MARK = ("thinking", "redacted_thinking")


@dataclass(slots=True)
class Conversation:
    """The state after some records."""

    first: list[dict[str, Any]] = field(default_factory=list)
    start: Record = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)  # as sent, and the last answer
    answer: Record | None = None  # the last one, as long as its turn is not over
    results: dict[int, dict[str, Any]] = field(default_factory=dict)  # of its tool calls, by their number
    begun: set[int] = field(default_factory=set)
    says: list[str] = field(default_factory=list)
    last_mark: Mark | None = None  # where the last request's last breakpoint was
    turns: int = 0
    tokens: int = 0
    window: int = 0  # tokens that the last request and its answer took up
    compacting: bool = False
    left: int | None = None  # so much of each result goes with the request for a summary
    cut_short: int = 0  # answers in a row that were too long
    nudges: int = 0  # in a row
    repairs: int = 0
    shell_used: bool = False
    shell_lost: bool = False  # the model builds on a shell that is gone, and has not been told
    told: bool = False  # it has, with the results that go out next
    report: Record | None = None
    model: str = ""

    @property
    def uses(self) -> list[dict[str, Any]]:
        """The tool calls of the answer that is open."""
        return [] if self.answer is None else tool_uses(self.answer["content"])

    @property
    def next(self) -> Next:
        """What is to be done now."""
        if self.report is not None:
            return "done"
        if self.answer is None or self.says:
            return "ask"
        if self.compacting:
            return "summary"
        uses = self.uses
        if len(self.results) < len(uses):
            return "tools"
        return "ask" if uses or self.answer["stop"] == "pause_turn" else "end of turn"

    def to_send(self) -> list[dict[str, Any]]:
        """The messages of the next request."""
        results = [_shortened(self.results[number], self.left) for number in sorted(self.results)]
        blocks = results + [{"type": "text", "text": text} for text in self.says]
        return [*self.messages, {"role": "user", "content": blocks}] if blocks else list(self.messages)

    @property
    def added(self) -> int:
        """How many bytes the next request has that the last one and its answer had not."""
        texts_added = [block["content"] for block in self.results.values()] + self.says
        return sum(len(text.encode("utf-8", "replace")) + _AROUND for text in texts_added)

    def apply(self, record: Record) -> None:
        """Takes the next record."""
        _CHANGES[record["t"]](self, record)


def fold(records: Sequence[Record]) -> Conversation:
    """The conversation that these records tell."""
    conversation = Conversation()
    for record in records:
        conversation.apply(record)
    return conversation


def tool_uses(content: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tool calls among the blocks of an answer."""
    return [dict(block) for block in content if block["type"] == "tool_use"]


def texts(content: Sequence[Mapping[str, Any]]) -> str:
    """What an answer says in words."""
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def last_markable(messages: Sequence[Mapping[str, Any]]) -> Mark:
    """The last block that may carry a breakpoint; raises AssertionError where there is none."""
    for number in range(len(messages) - 1, -1, -1):
        for index in range(len(messages[number]["content"]) - 1, -1, -1):
            if markable(messages[number]["content"][index]):
                return number, index
    raise AssertionError("the first message is text")


def markable(block: Mapping[str, Any]) -> bool:
    """Whether a block may carry a breakpoint."""
    return block["type"] not in _NO_MARK and (block["type"] != "text" or bool(block["text"]))


def _start(conversation: Conversation, record: Record) -> None:
    conversation.start = record
    conversation.first = list(record["first"])
    conversation.messages = [{"role": "user", "content": conversation.first}]


def _answer(conversation: Conversation, record: Record) -> None:
    conversation.messages = conversation.to_send()
    conversation.last_mark = last_markable(conversation.messages)
    if record["content"]:
        conversation.messages.append({"role": "assistant", "content": list(record["content"])})
    conversation.answer = record
    conversation.results, conversation.begun, conversation.says = {}, set(), []
    conversation.left = None
    conversation.turns += 1
    conversation.window = record["window"]
    conversation.tokens += record["window"]
    conversation.model = record.get("model") or conversation.model
    uses = conversation.uses
    too_long = record["stop"] == "max_tokens"
    conversation.cut_short = conversation.cut_short + 1 if too_long else 0
    if any(use["name"] != REPORT for use in uses) and not too_long:
        conversation.nudges = 0
    if conversation.told:
        conversation.shell_lost = conversation.told = False


def _begun(conversation: Conversation, record: Record) -> None:
    conversation.begun.add(record["n"])
    if conversation.uses[record["n"]]["name"] == SHELL:
        conversation.shell_used = True


def _result(conversation: Conversation, record: Record) -> None:
    use = conversation.uses[record["n"]]
    block = {"type": "tool_result", "tool_use_id": use["id"], "content": record["text"]}
    conversation.results[record["n"]] = {**block, "is_error": True} if record["error"] else block
    if use["name"] == REPORT:
        conversation.repairs += 1
    if record.get("shell") == "gone":
        conversation.shell_lost = conversation.told = True
        conversation.shell_used = False


def _say(conversation: Conversation, record: Record) -> None:
    conversation.says.append(record["text"])
    conversation.compacting = conversation.compacting or record["why"] == "compact"
    if record["why"] == "repair":
        conversation.nudges += 1
    conversation.left = record.get("left")
    if record.get("of_all"):
        conversation.messages = [
            {**message, "content": [_shortened(block, conversation.left) for block in message["content"]]}
            for message in conversation.messages
        ]


def _shortened(block: dict[str, Any], left: int | None) -> dict[str, Any]:
    """A result of a tool with its beginning and its end, where only so much of it is to be left."""
    if left is None or block["type"] != "tool_result" or len(block["content"]) <= left:
        return block
    text, half = block["content"], left // 2
    cut = f"{text[:half]}\n[{len(text) - 2 * half} characters left out here]\n{text[len(text) - half :]}"
    return {**block, "content": cut}


def _resumed(conversation: Conversation, _record: Record) -> None:
    conversation.shell_lost = conversation.shell_lost or conversation.shell_used
    conversation.shell_used = False


def _compacted(conversation: Conversation, record: Record) -> None:
    summary = {"type": "text", "text": record["summary"]}
    conversation.messages = [{"role": "user", "content": [*conversation.first, summary]}]
    conversation.answer = conversation.last_mark = None
    conversation.results, conversation.begun, conversation.says = {}, set(), []
    conversation.compacting = False
    conversation.window = 0


def _report(conversation: Conversation, record: Record) -> None:
    conversation.report = record["report"]


_CHANGES: Mapping[str, Callable[[Conversation, Record], None]] = {
    "start": _start,
    "answer": _answer,
    "begun": _begun,
    "result": _result,
    "say": _say,
    "resumed": _resumed,
    "compacted": _compacted,
    "report": _report,
}
