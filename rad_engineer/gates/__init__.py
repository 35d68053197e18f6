"""How work is judged: gates found, run in a gate copy, read, and turned into a verdict."""

from rad_engineer.gates.command import baseline, environment, gate, run
from rad_engineer.gates.detection import detect
from rad_engineer.gates.judgement import Baseline, Gate, GateResult
from rad_engineer.gates.output import excerpt, feedback, fingerprint
from rad_engineer.gates.protection import changed_scripts, overlay, scripts, violations
from rad_engineer.gates.shell import masks_exit

__all__ = [
    "Baseline",
    "Gate",
    "GateResult",
    "baseline",
    "changed_scripts",
    "detect",
    "environment",
    "excerpt",
    "feedback",
    "fingerprint",
    "gate",
    "masks_exit",
    "overlay",
    "run",
    "scripts",
    "violations",
]
