"""Validation of query parameter names."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams


class StrictRoute(APIRoute):
    """Rejects unknown and repeated query parameters, which FastAPI ignores."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known, repeatable = _query_names(self.dependant)

        async def check_and_handle(request: Request) -> Response:
            if request.scope["query_string"]:
                check_query(request.query_params, known, repeatable)
            return await handle(request)

        return check_and_handle


def check_query(
    query: QueryParams,
    known: frozenset[str] = frozenset(),
    repeatable: frozenset[str] = frozenset(),
) -> None:
    """Check the names of the query parameters.

    Raises:
        RequestValidationError: A name is not in `known`, or is repeated and not in `repeatable`.
    """
    errors = []
    seen = set()
    for name, _ in query.multi_items():
        if name not in known:
            errors.append({"type": "extra_forbidden", "loc": ("query", name)})
        elif name in seen and name not in repeatable:
            errors.append({"type": "repeated", "loc": ("query", name)})
        seen.add(name)
    if errors:
        raise RequestValidationError(errors)


def _query_names(dependant: Dependant) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of all query parameters of a route, and of the repeatable ones among them."""
    known: set[str] = set()
    repeatable: set[str] = set()
    for parameter in dependant.query_params:
        model = parameter.field_info.annotation
        for name, field in getattr(
            model, "model_fields", {parameter.alias: parameter.field_info}
        ).items():
            alias = field.alias or name
            known.add(alias)
            if getattr(field.annotation, "__origin__", None) is list:
                repeatable.add(alias)
    for inner in dependant.dependencies:
        inner_known, inner_repeatable = _query_names(inner)
        known |= inner_known
        repeatable |= inner_repeatable
    return frozenset(known), frozenset(repeatable)
