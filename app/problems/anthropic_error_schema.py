"""OpenAPI description of error responses in Anthropic's format."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.problems.anthropic_errors import anthropic_status
from app.problems.problem_table import PROBLEMS


class AnthropicErrorDetail(BaseModel):
    """Details of an error."""

    type: str = Field(description="Category of the error.", examples=["invalid_request_error"])
    message: str = Field(description="Human-readable text; never repeats values of the request.")


class AnthropicError(BaseModel):
    """Response body of an error in Anthropic's format."""

    type: Literal["error"] = "error"
    error: AnthropicErrorDetail
    request_id: str = Field(description="Id of the request, as in the header `request-id`.")


def anthropic_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of the error responses, for a route's `responses`."""
    return {
        status: {
            "description": "; ".join(
                dict.fromkeys(kind.title for kind in PROBLEMS if anthropic_status(kind) == status)
            )
            or "Error",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}
            },
        }
        for status in statuses
    }
