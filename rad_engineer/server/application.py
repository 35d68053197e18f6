"""The application: the route table as routes, in front of it whoever decides who is let in."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from rad_engineer.server.answers import Problem
from rad_engineer.server.configuration import Serving
from rad_engineer.server.guard import Guard
from rad_engineer.server.operations import Operation, Response


def application(operations: tuple[Operation, ...], serving: Serving) -> ASGIApp:
    """What uvicorn calls."""
    probes = ThreadPoolExecutor(1, "probes")
    routes = [
        Route(each.path, _endpoint(each, probes), methods=["GET"], name=each.name) for each in operations
    ]
    failures = {Problem: _refused, HTTPException: _unknown, Exception: _crashed}
    app = Starlette(routes=routes, exception_handlers=failures)
    app.router.redirect_slashes = False
    return Guard(app, serving)


def _endpoint(operation: Operation, probes: ThreadPoolExecutor) -> Any:
    """What answers one route; probes have a thread of their own, because the others may all be busy."""
    pool = probes if operation.open else None

    async def answer(request: Request) -> HttpResponse:
        asked = _asked(operation, request)
        if operation.quick:
            found = operation.answer(request.path_params, asked)
        else:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(pool, operation.answer, request.path_params, asked)
        return _http(found)

    return answer


def _asked(operation: Operation, request: Request) -> Any:
    """The query, checked; a name that comes twice is refused."""
    query = request.query_params
    if len(query) != len(query.multi_items()):
        raise Problem(422, "invalid", "a parameter was given twice")
    try:
        return operation.asked.model_validate(dict(query))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(map(str, wrong["loc"]))
        raise Problem(422, "invalid", f"{name}: {wrong['msg']}") from None


def _http(found: Response) -> HttpResponse:
    return HttpResponse(found.body, found.status, media_type=found.kind)


async def _refused(_request: Request, error: Exception) -> HttpResponse:
    problem = error if isinstance(error, Problem) else Problem(500, "bug", str(error))
    body, headers = problem.answer()
    return HttpResponse(body, problem.status, headers)


async def _unknown(request: Request, error: Exception) -> HttpResponse:
    status = getattr(error, "status_code", 404)
    if status == 405:
        headers = dict(getattr(error, "headers", None) or {})
        return await _refused(request, Problem(405, "method", "this can only be asked with GET", headers))
    return await _refused(request, Problem(status, "not-found", "there is nothing here: see /openapi.json"))


async def _crashed(request: Request, _error: Exception) -> HttpResponse:
    return await _refused(request, Problem(500, "bug", "the server failed on this request; its log says why"))
