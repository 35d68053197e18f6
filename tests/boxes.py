"""A box that confines nothing, for tests of what runs in any."""

from pathlib import Path

from rad_engineer import sandbox


def off() -> sandbox.Box:
    """A new one: it ends all that was started since its first command."""
    return sandbox.open_box("off", sandbox.Place(Path("/slot"), "/src/project"))
