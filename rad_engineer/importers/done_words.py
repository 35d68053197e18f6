"""The words people write for done and not done, and which of them to write in a place that has its own."""

import re
from collections import Counter
from collections.abc import Iterable

from rad_engineer.core.prd import StoryState
from rad_engineer.importers.states import of_status

_SIGNS_OF: dict[StoryState, str] = {
    "done": "x✓✔✅☑🟢🏁",
    "todo": "⬜☐❌🔴🟡🟠⚪🔵⏳⌛🚧🔄🔲✗✘",
    "skipped": "⏭🚫",
    "blocked": "⏸⛔",
}
_DRESS = re.compile(
    r"^(?P<before>(?:[*_~`\[(]|[^\w\s]\ufe0f?\s*)*)(?P<word>\w.*?|)(?P<after>[*_~`\])!.]*)$", re.DOTALL
)
_COUNTERPARTS = {  # said of open work -> said of finished work
    "todo": "done", "pending": "done", "open": "closed", "no": "yes", "n": "y", "false": "true", "incomplete": "complete",
    "not done": "done", "not started": "done", "not_started": "done", "not-started": "done", "in progress": "done",
    "failing": "passing", "failed": "passed", "fail": "pass",
}  # fmt: skip
_REVERSE = {
    "done": "todo", "closed": "open", "yes": "no", "y": "n", "true": "false", "complete": "pending", "completed": "pending",
    "passing": "failing", "passed": "pending", "pass": "fail", "✅": "⬜", "🟢": "🔴", "✔": "✗", "✓": "✗", "☑": "☐", "x": " ",
}  # fmt: skip
_SIGNS = {"⬜": "✅", "❌": "✅", "☐": "☑", "✗": "✓", "✘": "✔", "🔲": "✅", "🔴": "🟢", "🟡": "🟢", "🟠": "🟢", "⚪": "🟢", "🔵": "🟢"}  # fmt: skip


def state_of(text: str) -> StoryState | None:
    """What a status says, whatever its case, emoji and trailing remarks; None when it is not known."""
    said = of_status(text)
    if said is None and (sign := text.strip(" *_`[]").casefold()[:1]):
        return next((state for state, signs in _SIGNS_OF.items() if sign in signs), None)
    return said


def say(done: bool, current: str, others: Iterable[str]) -> str:
    """How this file says it: as its other stories do most often, else as people usually do, dressed like `current`."""
    wanted = "done" if done else "todo"
    seen = Counter(word for word in others if state_of(word) == wanted)
    if seen:
        return seen.most_common(1)[0][0]
    return _opposite(current, done=done)


def _opposite(current: str, *, done: bool) -> str:
    found = _DRESS.match(current.strip())
    before, word, after = (found["before"], found["word"], found["after"]) if found else ("", current, "")
    signs, table = (_SIGNS, _COUNTERPARTS) if done else ({}, _REVERSE)
    for sign in re.findall(r"[^\w\s*_~`\[\]()]", before):
        new = signs.get(sign, "✅") if done else _REVERSE.get(sign, "⬜")
        before = before.replace(sign + "\ufe0f", new).replace(sign, new)
    if not word:
        return before + after if before.strip(" *_~`[(") else ("done" if done else "todo")
    plain = word.lower()
    new = table.get(plain) or ("done" if done else "pending")
    return before + _like(word, new) + after


def _like(model: str, word: str) -> str:
    """The word in the case of the model."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word
