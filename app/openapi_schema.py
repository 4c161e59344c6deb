"""The OpenAPI description: what FastAPI derives from the routes, made true."""

from typing import Any

from fastapi import FastAPI

from app.problems.problem_schema import Problem

_REFERENCE = "#/components/schemas/{model}"
_FASTAPI_ERROR = _REFERENCE.format(model="HTTPValidationError")


_PUBLIC = ("/health/", "/metrics")
_CREDENTIALS = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`rtg_…`) or a token of the configured issuer.",
}


def describe_truly(app: FastAPI, *, needs_credentials: bool) -> None:
    """Add the problem's schema, which no route names as its model, and take out FastAPI's own error answers.

    FastAPI adds a 422 of its own shape to routes that describe none; such a route has none. Where callers have to say
    who they are, the description says which routes ask for it.
    """
    derive = app.openapi
    made: dict[str, Any] = {}

    def description() -> dict[str, Any]:
        if not made:
            made.update(derive())
            _add_problem(made)
            _drop_foreign_errors(made)
            _drop_null_parameters(made)
            if needs_credentials:
                _add_credentials(made)
        return made

    app.openapi = description  # type: ignore[method-assign]


def _add_problem(description: dict[str, Any]) -> None:
    schema = Problem.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for name, inner in schema.pop("$defs", {}).items():
        schemas.setdefault(name, inner)
    schemas["Problem"] = schema


def _drop_foreign_errors(description: dict[str, Any]) -> None:
    for path in description["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            if schema.get("$ref") == _FASTAPI_ERROR:
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        description["components"]["schemas"].pop(name, None)


def _drop_null_parameters(description: dict[str, Any]) -> None:
    """Say of a parameter that may be left out just that: in a header or a query there is no null."""
    for path in description["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                some = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
                if len(some) == 1:
                    del schema["anyOf"]
                    schema |= some[0]


def _add_credentials(description: dict[str, Any]) -> None:
    description["components"]["securitySchemes"] = {"credentials": _CREDENTIALS}
    for path, operations in description["paths"].items():
        if not path.startswith(_PUBLIC):
            for operation in operations.values():
                operation["security"] = [{"credentials": []}]
