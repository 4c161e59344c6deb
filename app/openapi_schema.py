"""Completes and corrects the OpenAPI description that FastAPI derives from the routes."""

from typing import Any

from fastapi import FastAPI

from app.problems.anthropic_error_schema import AnthropicError
from app.problems.openai_error_schema import OpenAIError
from app.problems.problem_schema import Problem

_REFERENCE = "#/components/schemas/{model}"
_FASTAPI_ERROR = _REFERENCE.format(model="HTTPValidationError")


_PUBLIC = ("/health/", "/metrics")
_CREDENTIALS = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`rtg_…`) or a token of the configured issuer.",
}


def customize_openapi(app: FastAPI, *, needs_credentials: bool) -> None:
    """Replace `app.openapi` by a function that returns the corrected description, built at the first call.

    Adds the schemas of errors, which no route declares as its model: FastAPI would prepare a validator for each of some
    200 error responses at the start. Removes the 422 responses that FastAPI adds to routes without one. With
    `needs_credentials`, also describes which routes need credentials.
    """
    derive = app.openapi
    schema: dict[str, Any] = {}

    def build_once() -> dict[str, Any]:
        if not schema:
            schema.update(derive())
            _add_error_schemas(schema)
            _remove_fastapi_errors(schema)
            _remove_null_parameters(schema)
            if needs_credentials:
                _add_credentials(schema)
        return schema

    app.openapi = build_once  # type: ignore[method-assign]


def _add_error_schemas(description: dict[str, Any]) -> None:
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for model in (Problem, OpenAIError, AnthropicError):
        schema = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
        for name, inner in schema.pop("$defs", {}).items():
            schemas.setdefault(name, inner)
        schemas[model.__name__] = schema


def _remove_fastapi_errors(description: dict[str, Any]) -> None:
    for path in description["paths"].values():
        for operation in path.values():
            response = operation["responses"].get("422", {})
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            if schema.get("$ref") == _FASTAPI_ERROR:
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        description["components"]["schemas"].pop(name, None)


def _remove_null_parameters(description: dict[str, Any]) -> None:
    """Remove null from the types of optional parameters, since headers and queries cannot contain null."""
    for path in description["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                options = [
                    option for option in schema.get("anyOf", ()) if option != {"type": "null"}
                ]
                if len(options) == 1:
                    del schema["anyOf"]
                    schema |= options[0]


def _add_credentials(description: dict[str, Any]) -> None:
    description["components"]["securitySchemes"] = {"credentials": _CREDENTIALS}
    for path, operations in description["paths"].items():
        if not path.startswith(_PUBLIC):
            for operation in operations.values():
                operation["security"] = [{"credentials": []}]
