"""Secrets taken out of what comes in pieces: one that is cut in two by a chunk is seen whole."""

from rad_engineer.core.secret_rules import find, hidden

_LONGEST_LINE = 64 * 1024  # what has no end of line is held back so long
_LONGEST_SECRET = 8 * 1024  # of its end, then
_LONGEST_KEY = 16 * 1024  # of 16 384 bits it is shorter


class Redactor:
    """Hands on bytes with a mark in the place of each secret; whole lines at once, what is begun when it is whole."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """What may be shown now."""
        self._held += data.decode("latin-1")  # each byte is a character: nothing is cut within one
        cut = max(self._held.rfind("\n"), self._held.rfind("\r")) + 1
        if not cut and len(self._held) > _LONGEST_LINE:
            cut = len(self._held) - _LONGEST_SECRET
        if not cut:
            return b""
        found = find(self._held)
        for one in found:
            open_end = one.end == len(self._held) and len(one.value) < _LONGEST_KEY
            if one.start < cut and (one.end > cut or open_end):  # there may be more of it
                cut = one.start
        shown = hidden(self._held[:cut], [one for one in found if one.end <= cut])
        self._held = self._held[cut:]
        return shown.encode("latin-1")

    def end(self) -> bytes:
        """What was held back."""
        shown, self._held = hidden(self._held, find(self._held)), ""
        return shown.encode("latin-1")
