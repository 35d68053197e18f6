"""Warnings counted while a file is read: one per kind, with the first stories it is about."""

from collections.abc import Callable

from rad_engineer.core.prd import Finding

_MESSAGES = {
    "ids-generated": "{n} without an id get one made of title and text: {names}",
    "title-from-description": "{n} without a title take the first sentence of the description: {names}",
    "no-acceptance": "{n} without acceptance criteria: {names}",
    "status-unknown": "{n} with a status nobody knows count as not done: {names}",
    "status-contradiction": "{n} where the done flag and the status contradict each other; the flag counts: {names}",
    "exit-masked": "{n} with a verify command that hides its exit code: {names}",
    "elsewhere": "{n} with a verify command that judges another folder than the work tree: {names}",
    "dependencies-table": "{n} where dependencies is a table, which names no stories and is not used: {names}",
    "duplicate-id": "{n} share an id with another story of another title and are renamed: {names}",
    "same-twice": "{n} stand twice word by word: {names}",
    "waves-contradict": "phases are no barriers here, for a need points to a later one: {names}",
}


class _Kind:
    __slots__ = ("count", "first", "names")

    def __init__(self, first: int) -> None:
        self.first = first
        self.count = 0
        self.names: list[str] = []


class Tally:
    """Counts warnings by code."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def add(self, code: str, index: int, name: str) -> None:
        """One more of this kind, seen at story `index` (-1 for no story)."""
        kind = self._kinds.get(code)
        if kind is None:
            kind = self._kinds[code] = _Kind(index)
        kind.count += 1
        if kind.count <= 3:
            kind.names.append(name if len(name) <= 60 else name[:57] + "…")

    def firsts(self) -> set[int]:
        """The stories whose place is worth finding."""
        return {kind.first for kind in self._kinds.values() if kind.first >= 0}

    def findings(self, place: Callable[[int], tuple[int, int] | None]) -> list[Finding]:
        """One finding per kind; `place` gives line and column of a story."""
        found = []
        for code, kind in self._kinds.items():
            more = f" and {kind.count - 3} more" if kind.count > 3 else ""
            count = "1 story" if kind.count == 1 else f"{kind.count} stories"
            message = _MESSAGES[code].format(n=count, names=", ".join(kind.names) + more)
            line, column = place(kind.first) or (None, None)
            found.append(Finding(code, message, line, column))
        return found
