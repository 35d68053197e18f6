"""The words people write for done and not done, and which of them to write in a place that has its own."""

import re
from collections.abc import Mapping

from rad_engineer.core.prd import StoryState
from rad_engineer.importers.states import of_status

_SIGNS_OF: dict[StoryState, str] = {
    "done": "x✓✔✅☑🟢🏁",
    "todo": "⬜☐❌🔴🟡🟠⚪🔵⏳⌛🚧🔄🔲✗✘",
    "skipped": "⏭🚫",
    "blocked": "⏸⛔",
}
_SIGN = re.compile(r"[✓✔✅☑🟢🏁⬜☐❌🔴🟡🟠⚪🔵⏳⌛🚧🔄🔲✗✘⏭🚫⏸⛔]\ufe0f?")
_DRESS = re.compile(r"(?P<before>[^\w]*)(?P<word>.*?)(?P<after>[*_~`\])]*)", re.DOTALL)
_DONE = {  # said of open work -> said of finished work
    **dict.fromkeys(("in_progress", "not_started", "not_completed"), "completed"),
    "open": "closed",
    "no": "yes",
    "n": "y",
    "false": "true",
    "incomplete": "complete",
    "failing": "passing",
    "failed": "passed",
    "fail": "pass",
}
_OPEN = {
    "closed": "open",
    "yes": "no",
    "y": "n",
    "true": "false",
    "complete": "incomplete",
    "passing": "failing",
    "x": "",
}
_DONE_SIGNS = {"🔴": "🟢", "🟡": "🟢", "🟠": "🟢", "⚪": "🟢", "🔵": "🟢", "☐": "☑", "✗": "✓", "✘": "✔"}
_OPEN_SIGNS = {"🟢": "🔴", "☑": "☐", "✓": "✗", "✔": "✘"}
_UNDERWAY = re.compile(r"progress|doing|wip|active|review|partial|fail|start|test|work|run", re.IGNORECASE)


def state_of(text: str) -> StoryState | None:
    """What a status says, whatever its case, emoji and trailing remarks; None when it is not known."""
    said = of_status(text)
    if said is None and (sign := text.strip(" *_`[]").casefold()[:1]):
        return next((state for state, signs in _SIGNS_OF.items() if sign in signs), None)
    return said


def say(current: str, others: Mapping[str, int], *, done: bool) -> str:
    """How this file says it: the word counted most often in `others`, else as people usually do, dressed like `current`."""
    wanted = "done" if done else "todo"
    seen = [word for word in others if state_of(word) == wanted and (done or not _UNDERWAY.search(word))]
    return max(seen, key=others.__getitem__) if seen else _usual(current, done=done)


def _usual(current: str, *, done: bool) -> str:
    if re.fullmatch(r"\[.?\]", current.strip()):
        return "[x]" if done else "[ ]"
    found = _DRESS.fullmatch(current.strip())
    before, word, after = (found["before"], found["word"], found["after"]) if found else ("", current, "")
    known, default = (_DONE_SIGNS, "✅") if done else (_OPEN_SIGNS, "⬜")
    signed = _SIGN.sub(lambda sign: known.get(sign.group()[0], default), before)
    if not word and signed != before:
        return signed + after
    if not word:
        return "done" if done else "pending"
    plain = word.lower()
    if done:
        new = _DONE.get(plain, "done")
    else:
        new = _OPEN.get(plain, "todo" if plain == "done" and word != plain else "pending")
    return signed + _like(word, new) + after


def _like(model: str, word: str) -> str:
    """The word in the case of the model."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word
