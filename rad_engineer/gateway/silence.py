"""How long a process has said nothing while somebody was there to hear it."""

_LONGEST_LOOK = 1.0


class Silence:
    """Grows from look to look, and ends with every word.

    Whoever does not look for long, because it works or was stopped itself, has not heard a silence: that counts for a
    second at most.
    """

    def __init__(self, now: float) -> None:
        self._looked = now
        self.seconds = 0.0
        self.unbroken = True  # it has never said anything

    def broken(self) -> None:
        """Something was said."""
        self.seconds = 0.0
        self.unbroken = False

    def look(self, now: float) -> float:
        """Its seconds so far."""
        self.seconds += min(now - self._looked, _LONGEST_LOOK)
        self._looked = now
        return self.seconds
