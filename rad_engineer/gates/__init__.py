"""How work is judged: gates found, run in a gate copy, read, and turned into a verdict.

Each name is imported when it is first asked for: who only looks for gates need not load what runs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rad_engineer.gates.command import baseline, environment, gate, run
    from rad_engineer.gates.detection import detect
    from rad_engineer.gates.judgement import Baseline, Gate, GateResult
    from rad_engineer.gates.output import excerpt, feedback, fingerprint, on_a_screen, telling_line
    from rad_engineer.gates.protection import changed_scripts, changes_settings, overlay, scripts, violations
    from rad_engineer.gates.scanners import installed_scanners
    from rad_engineer.gates.shell import masks_exit
else:
    _HOMES = {
        "command": ("baseline", "environment", "gate", "run"),
        "detection": ("detect",),
        "judgement": ("Baseline", "Gate", "GateResult"),
        "output": ("excerpt", "feedback", "fingerprint", "on_a_screen", "telling_line"),
        "protection": ("changed_scripts", "changes_settings", "overlay", "scripts", "violations"),
        "scanners": ("installed_scanners",),
        "shell": ("masks_exit",),
    }

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Baseline",
    "Gate",
    "GateResult",
    "baseline",
    "changed_scripts",
    "changes_settings",
    "detect",
    "environment",
    "excerpt",
    "feedback",
    "fingerprint",
    "gate",
    "installed_scanners",
    "masks_exit",
    "on_a_screen",
    "overlay",
    "run",
    "scripts",
    "telling_line",
    "violations",
]
