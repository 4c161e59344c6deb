"""OpenAPI description of error responses in OpenAI's format."""

from typing import Any

from pydantic import BaseModel, Field

from app.problems.openai_errors import openai_code, openai_status
from app.problems.problem_table import PROBLEMS


class OpenAIErrorDetail(BaseModel):
    """Details of an error."""

    message: str = Field(description="Human-readable text; never repeats values of the request.")
    type: str = Field(description="Category of the error.", examples=["invalid_request_error"])
    param: str | None = Field(
        description="Invalid field of the request; null when the error concerns none.",
        examples=["messages[0].content"],
    )
    code: str = Field(description="Identifier of the kind of error.", examples=["model_not_found"])


class OpenAIError(BaseModel):
    """Response body of an error in OpenAI's format."""

    error: OpenAIErrorDetail


def openai_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of the error responses, for a route's `responses`."""
    return {
        status: {
            "description": "; ".join(
                dict.fromkeys(
                    f"`{openai_code(kind)}`" for kind in PROBLEMS if openai_status(kind) == status
                )
            ),
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}
            },
        }
        for status in statuses
    }
