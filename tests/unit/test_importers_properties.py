"""Whatever a dialect spells, the same stories load; whatever JSON there is, nothing but a PrdInvalid comes out."""

import contextlib
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rad_engineer.core.prd import Prd, identity
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import keys
from rad_engineer.importers.json_prd import load_json
from tests.story_texts import story_texts

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "Nd")), min_size=1, max_size=12)
PROSE = st.lists(WORDS, min_size=1, max_size=5).map(lambda words: "It " + " ".join(words))
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def plans(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Stories in the one spelling all dialects are made from."""
    count = draw(st.integers(1, 6))
    names = [f"US-{number:03d}" for number in range(1, count + 1)]
    return [
        {
            "id": name,
            "title": draw(PROSE),
            "description": draw(PROSE),
            "acceptanceCriteria": draw(st.lists(PROSE, max_size=3)),
            "priority": draw(st.none() | st.integers(-5, 50)),
            "passes": draw(st.booleans()),
            "dependsOn": draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else [],
        }
        for number, name in enumerate(names)
    ]


def respelled(story: dict[str, Any], draw: st.DrawFn) -> dict[str, Any]:
    """One story in a dialect of its own."""
    done = story["passes"]
    said = {
        "passes": done,
        "status": draw(st.sampled_from(("done", "DONE", "✅ completed"))) if done else draw(st.sampled_from(("todo", "in-progress"))),
        "completed": "true" if done else None,
    }  # fmt: skip
    needs: Any = story["dependsOn"]
    if draw(st.booleans()):
        needs = ", ".join(needs) or "none"
    elif draw(st.booleans()):
        needs = [{"id": name} for name in needs]
    criteria: Any = story["acceptanceCriteria"]
    if draw(st.booleans()):
        criteria = "".join(f"- [ ] {text}\n" for text in criteria)
    elif draw(st.booleans()):
        criteria = [{"text": text, "done": False} for text in criteria]
    flag = draw(st.sampled_from(tuple(said)))
    priority = story["priority"]
    members = [
        (draw(st.sampled_from(("id", "ID", "story_id"))), story["id"]),
        (draw(st.sampled_from(("title", "name", "Task Name"))), story["title"]),
        (draw(st.sampled_from(("description", "desc", "body"))), story["description"]),
        (draw(st.sampled_from(("acceptanceCriteria", "acceptance_criteria", "acceptance", "steps", "DoD"))), criteria),
        (draw(st.sampled_from(("priority", "Priority"))), str(priority) if draw(st.booleans()) and priority is not None else priority),
        (flag, said[flag]),
        (draw(st.sampled_from(("dependsOn", "depends_on", "dependencies", "blockedBy", "deps"))), needs),
        ("unknownField", {"kept": [1, 2]}),
    ]  # fmt: skip
    return dict(draw(st.permutations(members)))


def container(stories: list[dict[str, Any]], draw: st.DrawFn) -> Any:
    kind = draw(
        st.sampled_from(
            ("userStories", "user_stories", "stories", "tasks", "list", "tag", "wrapped", "epics")
        )
    )
    if kind == "list":
        return stories
    if kind == "tag":
        return {"master": {"tasks": stories}}
    if kind == "wrapped":
        return {"data": {"stories": stories}}
    if kind == "epics":
        cut = draw(st.integers(1, len(stories)))
        return {
            "epics": [{"name": "One", "stories": stories[:cut]}, {"name": "Two", "stories": stories[cut:]}]
        }
    return {kind: stories}


def dressed(text: str, draw: st.DrawFn) -> str:
    dress = draw(st.sampled_from(("plain", "fence", "open fence", "comment", "comma", "surplus")))
    return {
        "plain": text,
        "fence": f"```json\n{text}\n```\n",
        "open fence": f"```json\n{text}",
        "comment": f"// a plan\n{text} /* end */",
        "comma": text[:-1] + "," + text[-1],
        "surplus": text + "]}",
    }[dress]


def meaning(prd: Prd) -> list[Any]:
    return [(s.id, s.title, s.description, s.criteria, s.priority, s.state, s.needs) for s in prd.stories]


@QUICK
@given(st.data())
def test_dialects_mean_the_same(data: st.DataObject) -> None:
    plan = data.draw(plans())
    plain = load_json(json.dumps({"userStories": plan}), "prd.json", "/prd.json")
    other = [respelled(story, data.draw) for story in plan]
    document = container(other, data.draw)
    text = json.dumps(
        document, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from((None, 0, 2)))
    )
    prd = load_json(dressed(text, data.draw), "plan.json", "/plan.json")
    assert meaning(prd) == meaning(plain)
    assert [identity("p", story) for story in prd.stories] == [
        identity("p", story) for story in plain.stories
    ]
    assert [json.loads(text) for text in story_texts(prd)] == other


NAMES = sorted(
    {name for group in (keys.FIELDS, keys.PROJECT) for names in group.values() for name in names}
    | {*keys.ITEMS, *keys.GROUPS, *keys.WRAPPERS}
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 10**25) | st.floats() | st.text(max_size=12)
    | st.sampled_from(("US-1", "done", "npm test", "Run `pytest`", "a.json", "- a\n- b", "\ud800", "\0", "P0", "8-12 hours", "US-1, US-2"))
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=10,
)
SPELLINGS = sorted({name for names in keys.FIELDS.values() for name in names} - {"title"})
STORYLIKE = st.builds(
    lambda title, fields: {"title": title, **fields},
    SCALARS,
    st.dictionaries(st.sampled_from(SPELLINGS), ANYTHING, max_size=6),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ANYTHING
    | st.lists(STORYLIKE, max_size=4)
    | st.builds(lambda stories: {"userStories": stories}, st.lists(STORYLIKE, max_size=4))
)
def test_any_json_loads_or_is_refused(document: Any) -> None:
    text = json.dumps(document)
    try:
        prd = load_json(text, "prd.json", "/prd.json")
    except PrdInvalid:
        return
    assert len({story.id for story in prd.stories}) == len(prd.stories)
    for story, text in zip(prd.stories, story_texts(prd), strict=True):
        assert text
        shown = json.dumps(
            [story.id, story.title, story.description, story.needs, story.files, story.group, story.reason],
            ensure_ascii=False,
        )
        shown.encode()  # no half characters
        assert story.id.isprintable()
        assert story.title.isprintable()
        assert story.title
        assert all(criterion.text for criterion in story.criteria)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(' \n"{}[],:/*\\`abu0123456789tfn-.')))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(PrdInvalid):
        load_json(text, "prd.json", "/prd.json")
