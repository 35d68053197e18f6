"""The words people use for the same field: keys compare without case, `_`, `-` and spaces."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

ITEMS = ("userstories", "stories", "tasks", "issues", "features", "items", "units", "requirements")
GROUPS = ("phases", "epics", "milestones", "sprints", "waves", "features", "modules", "etapas")
BARRIERS = frozenset({"phases", "waves", "sprints", "etapas"})
WRAPPERS = ("prd", "data", "currentprd", "project", "plan")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "storyid", "taskid", "issueid", "featureid", "requirementid", "identifier", "key"),
    "title": (
        "title", "name", "taskname", "task", "story", "feature", "statement", "storytitle", "tasktitle",
        "heading", "titulo", "título", "nome",
    ),
    "description": (
        "description", "desc", "body", "details", "summary", "userstory", "goal", "objective", "content",
        "story", "text", "descricao", "descrição", "what",
    ),
    "criteria": (
        "acceptancecriteria", "acceptance", "steps", "definitionofdone", "dod", "requirements", "deliverables",
        "verificationsteps", "validationsteps", "debugsteps", "outputs", "tarefas", "successcriteria",
        "exitcriteria", "criteria", "criterios", "ac", "checklist", "tasks", "tests", "testcases",
        "testsrequired",
    ),
    "strategy": ("teststrategy",),
    "subtasks": ("subtasks",),
    "passes": ("passes", "passed", "pass", "done", "completed", "complete", "tested", "implemented"),
    "status": ("status", "state"),
    "skip": ("skip", "skipped", "supersededby"),
    "blocked": ("blocked", "isblocked"),
    "human": (
        "checkpoint", "hitl", "needshuman", "humanrequired", "requireshuman", "humanreview", "requiresapproval",
    ),
    "labels": ("labels", "tags", "type"),
    "reason": ("skipreason", "blockedreason", "reason", "blockreason", "supersededby", "blocker"),
    "priority": ("priority", "prio"),
    "points": (
        "storypoints", "points", "estimate", "estimatedpoints", "estimatedhours", "effort", "complexity",
        "estimatedcomplexity", "estimatedeffort", "tasksize", "size", "estimatedtime",
    ),
    "needs": (
        "dependson", "dependencies", "blockedby", "deps", "requires", "prerequisites", "dependenciesruntime",
        "needs", "dependency",
    ),
    "wave": ("wave", "parallelgroup"),
    "group": ("epic", "milestone", "phase", "sprint", "workstream", "epicid", "category", "module"),
    "files": (
        "files", "primaryfiles", "filesimpacted", "filesaffected", "affectedfiles", "relatedfiles", "scopepaths",
        "touches", "testfile", "testfiles", "implfile", "outputfile", "filestocreate", "filestomodify",
        "filestochange", "filesmodified", "filescreated", "file",
    ),
    "checks": (
        "verification", "verificationcommand", "verificationcommands", "verify", "verifycommand",
        "verifycommands", "gatecmds", "testcommand", "testcommands", "verificationcmd", "fastchecks",
        "validationcommand", "validationcommands", "checkcommand", "gates", "qualitygates",
    ),
    "agent": ("agent", "engine"),
    "model": ("model",),
    "notes": ("notes", "technicalnotes", "implementationnotes", "note", "details"),
}  # fmt: skip
"""Field -> its synonyms, the stronger first. A key may stand under two fields."""

PROJECT: Mapping[str, tuple[str, ...]] = {
    "project": ("project", "projectname", "product"),
    "name": ("name", "title", "feature", "prdtitle", "featurename"),
    "branch": ("branchname", "branch", "gitbranch", "featurebranch"),
    "needs": ("dependson", "blockedby", "prddependencies"),
    "gates": (
        "verifycommand", "verifycommands", "qualitygates", "qualitychecks", "qualitycheck", "fastchecksdefault",
        "fastchecks", "gates", "verificationcommands", "testcommand", "gatecmds", "verify", "verification",
    ),
    "wave_gates": ("wavegates",),
    "final_gates": ("finalgates",),
    "notes": (
        "description", "overview", "summary", "goal", "goals", "mission", "context", "techstack", "stack", "rules",
        "invariants", "constraints", "globalconstraints", "guidelines", "conventions", "principles", "standards",
        "designprinciples", "codebasepatterns", "agentguidance", "styleguide", "securityrequirements", "nongoals",
        "outofscope", "notes", "language", "targetdirectory", "workspaceroot",
    ),
}  # fmt: skip

_FILLING = re.compile(r"[_\-\s]+")


@lru_cache(maxsize=4096)
def plain(key: str) -> str:
    """The key as synonyms are written: `acceptance_criteria` and `Acceptance Criteria` are one."""
    return _FILLING.sub("", key.lower())


def ranked(keys: Iterable[str], fields: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Field -> the keys of an object that mean it, the strongest synonym first."""
    by_name: dict[str, str] = {}
    for key in keys:
        by_name.setdefault(plain(key), key)
    plan = {}
    for field, names in fields.items():
        found = tuple(by_name[name] for name in names if name in by_name)
        if found:
            plan[field] = found
    return plan


def pick(value: Mapping[str, Any], *names: str) -> str | None:
    """The key of `value` that is the first of these names, however it is spelled."""
    by_name = {plain(key): key for key in reversed(list(value))}
    return next((by_name[name] for name in names if name in by_name), None)
