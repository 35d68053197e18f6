"""The OpenAPI document: made from the route table and its types, so that it cannot say anything else."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from rad_engineer import __version__
from rad_engineer.server import models
from rad_engineer.server.answers import JSON, encoded
from rad_engineer.server.operations import Operation

_REF = "#/components/schemas/{model}"
_PART = re.compile(r"\{(\w+)(?::\w+)?\}")
_PARTS = {
    "run": ({"type": "string", "pattern": "^[0-9A-Za-z-]{1,80}$"}, "the name of a run"),
    "story": ({"type": "string", "minLength": 1, "maxLength": 400}, "the key of a story"),
}


def document(operations: Sequence[Operation]) -> bytes:
    """All routes, as JSON."""
    types: list[type[models.Answer]] = [models.Error]
    types += [each.returns for each in operations if each.returns is not None]
    _, schemas = models_json_schema(
        [(each, "serialization") for each in dict.fromkeys(types)], ref_template=_REF
    )
    return encoded({
        "openapi": "3.1.0",
        "info": {"title": "rad-engineer", "version": __version__,
                 "description": "What runs have done and are doing. The server reads run directories and starts no agents."},
        "security": [{"token": []}],
        "paths": {_plain(each.path): {"get": _operation(each)} for each in operations},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })  # fmt: skip


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.doc,
        "parameters": [*_in_path(operation.path), *_in_query(operation.asked)],
        "responses": _responses(operation),
    }
    if operation.open:
        found["security"] = []
    return found


def _in_path(path: str) -> list[dict[str, Any]]:
    found = []
    for name in _PART.findall(path):
        schema, doc = _PARTS[name]
        found.append({"name": name, "in": "path", "required": True, "description": doc, "schema": schema})
    return found


def _in_query(asked: type[models.Asked]) -> list[dict[str, Any]]:
    found = []
    for name, schema in asked.model_json_schema().get("properties", {}).items():
        plain: Mapping[str, Any] = next(
            (each for each in schema.get("anyOf", ()) if each.get("type") != "null"), {}
        )
        told = {key: value for key, value in {**schema, **plain}.items() if key in _SAID}
        found.append(
            {"name": name, "in": "query", "description": schema.get("description", ""), "schema": told}
        )
    return found


_SAID = frozenset({"type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength"})


def _responses(operation: Operation) -> dict[str, Any]:
    whole: Mapping[str, Any] = {"type": "object"}
    if operation.kind != JSON:
        whole = {"type": "string"}
    elif operation.returns is not None:
        whole = {"$ref": _REF.format(model=operation.returns.__name__)}
    found = {"200": {"description": "OK", "content": {operation.kind: {"schema": whole}}}}
    if operation.links:
        found["200"]["links"] = {
            f"{name}_of_{operation.name}": {"operationId": name, "parameters": {part: value}}
            for name, part, value in operation.links
        }
    for status in _statuses(operation):
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": _error(operation, status)}},
        }
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = {"schema": {"type": "integer"}, "description": "seconds until there is room again"}
            found[str(status)]["headers"] = {"retry-after": seconds}
    return found


def _error(operation: Operation, status: int) -> dict[str, Any]:
    if operation.unready and operation.returns is not None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"$ref": _REF.format(model=operation.returns.__name__)}
    return {"$ref": _REF.format(model=models.Error.__name__)}


def _statuses(operation: Operation) -> list[int]:
    found = {400, 403, 408, 413, 414, 422, 431}
    if not operation.open:
        found |= {401, 421}
    if operation.limited:
        found.add(429)
    if "{" in operation.path:
        found.add(404)
    if operation.reads or operation.unready:
        found.add(503)
    return sorted(found)


def _plain(path: str) -> str:
    """As the document spells it: without the kinds of its parts."""
    return _PART.sub(r"{\1}", path)
