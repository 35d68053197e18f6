"""sandbox: what is enforced on this machine, found out by trying; a command run as those of agents are."""

from json import dumps

from rad_engineer.errors import ExitCode, RadError
from rad_engineer.launch.trials import HARMS, Report
from rad_engineer.launch.trials import report as tried
from rad_engineer.sandbox import LEVELS, choose

_WORDS = {"held": "yes", "open": "no", "unknown": "?"}


def report(*, json: bool) -> int:
    """Prints for each defence and level whether it held; 78 when no level works here."""
    told = tried()
    try:
        auto, why = str(choose("auto").level), ""
    except RadError as error:
        auto, why = "", str(error)
    if json:
        print(dumps(_document(told, auto), indent=2))
    else:
        _print(told)
        print(f"\n--sandbox auto takes {auto}" if auto else f"\n{why}")
    return ExitCode.OK if auto else ExitCode.BAD_CONFIG


def _print(told: Report) -> None:
    levels = [level for level in LEVELS if level not in told.unusable]
    width = max(len(harm.defence) for harm in HARMS)
    print("  ".join([f"{'enforced':{width}}", *(f"{level:10}" for level in levels), "tried by"]))
    for harm in HARMS:
        found = told.found[harm.defence]
        cells = [f"{_WORDS[found[level]]:10}" for level in levels]
        print("  ".join([f"{harm.defence:{width}}", *cells, harm.how]))
    for level, reason in told.unusable.items():
        print(f"{level} does not work here: {reason}")
    print("?: not shown: it does not succeed without a sandbox either, or was not tried without one")


def _document(told: Report, auto: str) -> dict[str, object]:
    rows = [
        {
            "defence": harm.defence,
            "tried": harm.how,
            "level": level,
            "enforced": {"held": True, "open": False}.get(found),
        }
        for harm in HARMS
        for level, found in told.found[harm.defence].items()
    ]
    return {"schema_version": 1, "auto": auto or None, "unusable": told.unusable, "checks": rows}
