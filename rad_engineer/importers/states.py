"""What a file says about how far a story is: done flags, status words, skip and block marks."""

import re
from collections.abc import Mapping
from typing import Any

from rad_engineer.core.prd import StoryState

_VOCABULARY: dict[StoryState, str] = {
    "done": "done complete completed passed pass passing finished closed merged implemented shipped resolved verified "
    "released success successful succeeded ok yes true y deployed fixed delivered accepted erledigt fertig feito concluído "
    "concluido concluída hecho completado terminé готово выполнено 完成 已完成 완료",
    "todo": "pending todo to_do not_started notstarted unstarted open backlog ready planned new draft queued in_progress "
    "inprogress wip active started doing partial partially partially_done partially_complete review in_review testing qa "
    "failed failing fail error incomplete not_done undone no false n next proposed approved specified refined "
    "scheduled waiting working current development in_development running not_complete not_completed not_implemented "
    "unimplemented pendente pendiente offen ausstehend 待办 进行中 未开始 대기 ожидает",
    "skipped": "skipped skip deferred cancelled canceled wont_do wont_fix wontfix wontdo obsolete superseded rejected "
    "dropped abandoned duplicate archived removed not_applicable na descoped out_of_scope",
    "blocked": "blocked stuck on_hold hold paused",
    "human": "needs_human hitl human needs_approval waiting_for_human human_review awaiting_human awaiting_approval "
    "needs_input waiting_for_approval needs_human_review human_verify manual",
}
_WORDS = {word: state for state, words in _VOCABULARY.items() for word in words.split()}
_SIGNS: dict[str, StoryState] = {
    "✅": "done",
    "✔": "done",
    "☑": "done",
    "🟢": "done",
    "❌": "todo",
    "⏳": "todo",
    "🔴": "todo",
}
_MARKS = frozenset({"skip", "blocked", "human", "labels"})
_LETTERS = re.compile(r"[^\W_]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NO = frozenset({"", "false", "no", "none", "null", "0", "n/a"})


def of_status(text: str) -> StoryState | None:
    """The state a status word means; case, `-`, `_`, emoji and trailing text do not count; None when unknown."""
    words = _LETTERS.findall(text.casefold().replace("'", ""))
    for length in (4, 3, 2, 1):
        state = _WORDS.get("_".join(words[:length])) if len(words) >= length else None
        if state is not None:
            return state
    return _SIGNS.get(text.strip()[:1]) if not words else None


def of_flag(value: Any) -> StoryState | None:
    """The state a done field means; None for a word nobody knows."""
    if isinstance(value, bool):
        return "done" if value else "todo"
    if isinstance(value, int):
        return "done" if value else "todo"
    if not isinstance(value, str) or not value.strip():
        return "todo"
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return "done" if float(text) else "todo"
    if _DATE.fullmatch(text):
        return "done"
    return of_status(text)


def is_set(value: Any) -> bool:
    """Whether a mark like `skip` or `checkpoint` is set, be it by true or by a word."""
    if isinstance(value, str):
        return value.strip().casefold() not in _NO
    return (
        value is True
        or (isinstance(value, list | dict) and bool(value))
        or (isinstance(value, int) and value != 0)
    )


def of_story(raw: Mapping[str, Any], plan: Mapping[str, tuple[str, ...]]) -> tuple[StoryState, str]:
    """A story's state, and a warning code ("" for none): flags win over the status word."""
    flags, words = plan.get("passes"), plan.get("status")
    state: StoryState = "todo"
    code = ""
    if flags:
        found = of_flag(raw[flags[0]])
        state, code = found or "todo", "" if found else "status-unknown"
    if words and isinstance(raw[words[0]], str):
        state, code = _with_word(raw[words[0]], state if flags else None, code)
    if state != "done" and not _MARKS.isdisjoint(plan):
        state = _marked(raw, plan) or state
    return state, code


def _with_word(text: str, flag: StoryState | None, code: str) -> tuple[StoryState, str]:
    word = of_status(text)
    if flag is None:
        return (word or "todo"), ("" if word or not text.strip() else "status-unknown")
    if word == "done" and flag == "todo":
        return flag, "status-contradiction"
    if (
        word == "todo"
        and flag == "done"
        and text.casefold() in {"pending", "todo", "failed", "not_started", "open"}
    ):
        return flag, "status-contradiction"
    return (word if flag == "todo" and word else flag), code


def _marked(raw: Mapping[str, Any], plan: Mapping[str, tuple[str, ...]]) -> StoryState | None:
    """Skip, block and human marks beside the status."""
    if any(is_set(raw[key]) for key in plan.get("skip", ())):
        return "skipped"
    if any(
        raw[key] is True or (isinstance(raw[key], str) and is_set(raw[key]))
        for key in plan.get("blocked", ())
    ):
        return "blocked"
    if any(is_set(raw[key]) for key in plan.get("human", ())):
        return "human"
    for key in plan.get("labels", ()):
        labels = raw[key] if isinstance(raw[key], list) else [raw[key]]
        if any(isinstance(label, str) and of_status(label) == "human" for label in labels):
            return "human"
    return None
