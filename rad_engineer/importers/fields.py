"""One raw object to one Story: synonyms, defaults and what to warn about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rad_engineer.core.prd import Check, Criterion, Story, StoryState
from rad_engineer.importers import references, states
from rad_engineer.importers.command_text import leaves, masks_exit
from rad_engineer.importers.criteria import CriteriaReader, checks, from_body
from rad_engineer.importers.keys import FIELDS, pick, ranked
from rad_engineer.importers.tally import Tally

Plan = Mapping[str, tuple[str, ...]]
_NOTES_LIMIT = 4000


class StoryReader:
    """Reads the stories of one file; keeps a plan per shape of object, for most objects have the same keys."""

    __slots__ = ("_criteria", "_plans", "tally")

    def __init__(self, tally: Tally) -> None:
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._criteria = CriteriaReader()
        self.tally = tally

    def read(self, raw: dict[str, Any], index: int, *, key: str = "", group: str = "") -> Story:
        """The story an object describes; `key` is its id in an object keyed by id."""
        shape = tuple(raw)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plans[shape] = ranked(shape, FIELDS)
        get = plan.get
        title, description = self._texts(raw, plan, index)
        ident = _first_id(raw, get("id", ())) or key
        criteria, commands = self._criteria_of(raw, plan, description, index)
        generated = not ident
        if generated:
            ident = references.made_id(title, description, *[criterion.text for criterion in criteria])
            self.tally.add("ids-generated", index, ident)
        flags = get("passes")
        if flags is not None and raw[flags[0]] is True and "status" not in plan:
            state: StoryState = "done"
        else:
            state, warning = states.of_story(raw, plan)
            if warning:
                self.tally.add(warning, index, ident)
        if not title:
            title = criteria[0].text if criteria and generated else ident
        if not criteria:
            self.tally.add("no-acceptance", index, ident)
        return Story(
            id=ident,
            title=title,
            description=description,
            criteria=criteria,
            state=state,
            reason=_reason(raw, get("reason", ())) if state not in ("todo", "done") else "",
            priority=_first(raw, plan["priority"], references.priority) if "priority" in plan else None,
            points=_first(raw, plan["points"], references.points) if "points" in plan else None,
            needs=self._needs(raw, plan["needs"], index, ident) if "needs" in plan else (),
            wave=_first(raw, plan["wave"], references.wave) if "wave" in plan else None,
            group=group or (_group(raw, plan["group"]) if "group" in plan else ""),
            files=_files(raw, plan["files"]) if "files" in plan else (),
            checks=commands,
            agent=_first(raw, plan["agent"], _name) if "agent" in plan else None,
            model=_first(raw, plan["model"], _name) if "model" in plan else None,
            notes=_notes(raw, plan["notes"]) if "notes" in plan else "",
            id_generated=generated,
            done_field=flags is not None or "status" in plan,
        )

    def _texts(self, raw: Mapping[str, Any], plan: Plan, index: int) -> tuple[str, str]:
        """Title and description; the first sentence of the description where there is no title."""
        title = used = ""
        for key in plan.get("title", ()):
            value = raw[key]
            if type(value) is str and (title := references.line(value)):
                title = title if len(title) <= 500 else title[:499] + "…"
                used = key
                break
            if type(value) is int:
                title = str(value)
        description = ""
        for key in plan.get("description", ()):
            if key != used and (description := _described(raw[key])):
                break
        if not title and description:
            title = references.line(references.first_sentence(description))
            self.tally.add("title-from-description", index, title)
        return title, description

    def _criteria_of(
        self, raw: Mapping[str, Any], plan: Plan, description: str, index: int
    ) -> tuple[tuple[Criterion, ...], tuple[Check, ...]]:
        criteria: tuple[Criterion, ...] = ()
        for key in plan.get("criteria", ()):
            criteria = self._criteria.read(raw[key])
            if criteria:
                break
        else:
            criteria = tuple(self._task_master(raw, plan))
        if not criteria and description and len(description) > 30:
            criteria = self._criteria.read(from_body(description))
        commands: list[Check] = []
        for key in plan.get("checks", ()):
            found, prose = checks(raw[key], key)
            commands += found
            criteria += self._criteria.read(prose)
        commands += _own_checks(criteria, commands)
        for check in commands:
            if masks_exit(check.command):
                self.tally.add("exit-masked", index, check.command)
            if leaves(check.command):
                self.tally.add("elsewhere", index, check.command)
        return criteria, tuple(commands)

    def _task_master(self, raw: Mapping[str, Any], plan: Plan) -> Iterator[Criterion]:
        """A test strategy, then the sub-tasks as a checklist; their done flags are no text, so they do not count."""
        for key in plan.get("strategy", ()):
            yield from self._criteria.read([raw[key]] if isinstance(raw[key], str) else raw[key])
        for key in plan.get("subtasks", ()):
            for subtask in raw[key] if isinstance(raw[key], list) else ():
                found = pick(subtask, "title", "name", "description") if isinstance(subtask, dict) else None
                yield from self._criteria.read([subtask[found]] if found else [subtask])

    def _needs(
        self, raw: Mapping[str, Any], keys: tuple[str, ...], index: int, ident: str
    ) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for key in keys:
            value = raw[key]
            if isinstance(value, dict):
                if value and not references.is_package_table(value):
                    self.tally.add("dependencies-table", index, ident)
                continue
            for name in value if _plain_ids(value) else references.needs(value):
                found[references.short_id(name)] = None
        return tuple(found)


def _plain_ids(value: Any) -> bool:
    """Whether a list can be taken as it is: text without separators that is too long to mean "none"."""
    if type(value) is not list:
        return False
    for item in value:
        if (
            type(item) is not str
            or len(item) < 5
            or not item.isascii()
            or " " in item
            or "," in item
            or ";" in item
        ):
            return False
    return True


def _first_id(raw: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = raw[key]
        if type(value) is str:
            if text := references.short_id(value):
                return text
        elif type(value) is int:
            return str(value)
    return ""


def _first(raw: Mapping[str, Any], keys: tuple[str, ...], read: Any) -> Any:
    for key in keys:
        value = read(raw[key])
        if value is not None:
            return value
    return None


def _name(value: Any) -> str | None:
    return references.line(value)[:200] or None if isinstance(value, str) else None


def _described(value: Any) -> str:
    if type(value) is str:
        return value.strip()
    if isinstance(value, dict):
        person, want, benefit = (
            pick(value, *names) for names in (("asa", "as", "role"), ("iwant", "want"), ("sothat", "benefit"))
        )
        if person and want:
            story = f"As {value[person]}, I want {value[want]}"
            return story + (f", so that {value[benefit]}" if benefit else "")
        return "\n".join(f"{key}: {item}" for key, item in value.items() if isinstance(item, str | int))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value).strip()
    return ""


def _reason(raw: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next(
        (
            references.line(str(raw[key]))[:500]
            for key in keys
            if raw[key] and isinstance(raw[key], str | int)
        ),
        "",
    )


def _group(raw: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = raw[key]
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return references.line(str(value))[:200]
    return ""


def _files(raw: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for key in keys for path in references.files(raw[key])))


def _notes(raw: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    parts = []
    for key in keys:
        value = raw[key]
        if isinstance(value, str) and value.strip():
            parts.append(value.strip())
        elif isinstance(value, list):
            parts += [f"- {item}" for item in value if isinstance(item, str)]
    text = parts[0] if len(parts) == 1 else "\n".join(parts)
    return text if len(text) <= _NOTES_LIMIT else text[:_NOTES_LIMIT] + " …"


def _own_checks(criteria: Sequence[Criterion], taken: Sequence[Check]) -> list[Check]:
    """The commands that criteria bring along and that no verify field names already."""
    known = {check.command for check in taken}
    found = []
    for number, criterion in enumerate(criteria, 1):
        if criterion.own and criterion.command is not None and criterion.command not in known:
            known.add(criterion.command)
            found.append(Check(f"criterion-{number}", criterion.command))
    return found
