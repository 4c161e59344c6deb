"""OpenAPI description of problem responses."""

from typing import Any

from pydantic import Field

from app.dto.attempt import AttemptDto
from app.dto.wire import Dto
from app.problems.problem_table import PROBLEMS

MEDIA_TYPE = "application/problem+json"


class FieldError(Dto):
    """An invalid field of a request."""

    pointer: str = Field(
        description="Location of the field: a JSON pointer into the body, or `query/…`, `path/…`, `header/…`.",
        examples=["/userPrompt"],
    )
    message: str = Field(
        description="Requirement that the field violates.", examples=["Field required"]
    )


class Problem(Dto):
    """An RFC 9457 problem."""

    type: str = Field(
        description="Identifier of the kind of problem.", examples=["/problems/invalid-request"]
    )
    title: str = Field(description="Human-readable name of the kind.", examples=["Invalid request"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="Fixed explanation of the kind.")
    instance: str = Field(
        default="",
        description="`urn:uuid:` followed by the request id; absent when the request id is not a UUID.",
    )
    request_id: str = Field(description="Identifies this request in the server's logs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    attempts: list[AttemptDto] = Field(
        default=[], description="All provider calls; absent when there were none."
    )
    errors: list[FieldError] = Field(
        default=[], description="Invalid fields of the request; present with 422."
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of the error responses, for a route's `responses`."""
    return {
        status: {
            "description": "; ".join(
                dict.fromkeys(f"`{kind.slug}`" for kind in PROBLEMS if kind.status == status)
            ),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
