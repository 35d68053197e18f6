"""Orders the PRDs of a run by what they say they depend on."""

import re
from collections.abc import Sequence

from rad_engineer.core import topology
from rad_engineer.core.prd import Prd
from rad_engineer.errors import PrdInvalid

_PUNCTUATION = re.compile(r"[\s_-]+")


def needs_between(prds: Sequence[Prd]) -> tuple[list[tuple[int, ...]], list[tuple[int, str]]]:
    """For every PRD the PRDs it needs, and the references that name none of them (PRD, text).

    A reference is a file name, a stem or else a PRD's name; of several it means those in the same folder.
    """
    by_file: dict[str, list[int]] = {}
    by_name: dict[str, list[int]] = {}
    for position, prd in enumerate(prds):
        by_name.setdefault(_normal(prd.name), []).append(position)
        for name in _file_names(prd):
            by_file.setdefault(name, []).append(position)
    needs: list[tuple[int, ...]] = []
    missing: list[tuple[int, str]] = []
    for position, prd in enumerate(prds):
        targets: dict[int, None] = {}
        for text in prd.needs:
            found = by_file.get(_normal(text)) or by_name.get(_normal(text), [])
            near = [other for other in found if _folder(prds[other]) == _folder(prd)]
            targets.update(dict.fromkeys(near or found))
            if not found:
                missing.append((position, text))
        targets.pop(position, None)  # a PRD that names itself waits for nothing
        needs.append(tuple(targets))
    return needs, missing


def in_order(prds: Sequence[Prd]) -> list[Prd]:
    """The PRDs, each after those it needs, otherwise as they were given."""
    if len(prds) < 2:
        return list(prds)
    needs, _ = needs_between(prds)
    remaining = list(range(len(prds)))
    ordered: list[int] = []
    placed: set[int] = set()
    while remaining:
        following = next((prd for prd in remaining if placed.issuperset(needs[prd])), None)
        if following is None:
            raise refusal(_shortest(prds, needs))
        remaining.remove(following)
        placed.add(following)
        ordered.append(following)
    return [prds[prd] for prd in ordered]


def circle(prds: Sequence[Prd]) -> list[Prd]:
    """The shortest circle of PRDs that wait for each other, the first once more at its end; empty without one."""
    needs, _ = needs_between(prds)
    return _shortest(prds, needs) if topology.tangles(needs) else []


def _shortest(prds: Sequence[Prd], needs: list[tuple[int, ...]]) -> list[Prd]:
    return [prds[prd] for prd in topology.shortest_cycle(needs, topology.tangles(needs))]


def refusal(prds: Sequence[Prd]) -> PrdInvalid:
    """What is said of PRDs that wait for each other."""
    return PrdInvalid(
        f"PRDs depend on each other: {' -> '.join(prd.file for prd in prds)}",
        code="CYCLE",
        hint="remove one of these from a PRD's depends_on",
    )


def _file_names(prd: Prd) -> set[str]:
    path = prd.path.replace("\\", "/").split("/")
    tails = {"/".join(path[-depth:]) for depth in range(1, min(len(path), 6))}
    return {_normal(name) for name in (prd.file, prd.stem, *tails)}


def _normal(text: str) -> str:
    plain = text.strip().replace("\\", "/")
    while plain.startswith(("./", "../")):
        plain = plain.partition("/")[2]
    return _PUNCTUATION.sub("", plain).casefold()


def _folder(prd: Prd) -> str:
    return prd.path.replace("\\", "/").rpartition("/")[0]
