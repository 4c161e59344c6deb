"""What a caller is told when something went wrong, as the API's description shows it."""

from typing import Any

from pydantic import Field

from app.dto.attempt import AttemptDto
from app.dto.wire import Dto
from app.problems.problem_table import PROBLEMS

MEDIA_TYPE = "application/problem+json"


class FieldError(Dto):
    """One thing that is wrong with a request."""

    pointer: str = Field(
        description="Where: a JSON pointer into the body, or `query/…`, `path/…`, `header/…`.",
        examples=["/userPrompt"],
    )
    message: str = Field(description="What it has to be.", examples=["Field required"])


class Problem(Dto):
    """An RFC 9457 problem."""

    type: str = Field(description="Names the kind.", examples=["/problems/invalid-request"])
    title: str = Field(description="The kind, for people.", examples=["Invalid request"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="A fixed text for this kind.")
    instance: str = Field(
        default="",
        description="`urn:uuid:` and the request id; left out where the caller's request id is no UUID.",
    )
    request_id: str = Field(description="Names this request in our logs.")
    retryable: bool = Field(description="Whether the same request may succeed later, unchanged.")
    attempts: list[AttemptDto] = Field(
        default=[], description="Every call of a provider; present where one was called."
    )
    errors: list[FieldError] = Field(
        default=[], description="What is wrong with the request; present with 422."
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these error answers, for a route's `responses`."""
    return {
        status: {
            "description": "; ".join(
                dict.fromkeys(f"`{kind.slug}`" for kind in PROBLEMS if kind.status == status)
            ),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
