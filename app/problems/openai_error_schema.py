"""What a caller who speaks OpenAI's format is told when something went wrong, as the API's description shows it."""

from typing import Any

from pydantic import BaseModel, Field

from app.problems.openai_errors import openai_code, openai_status
from app.problems.problem_table import PROBLEMS


class OpenAIErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="For people; never anything that was sent.")
    type: str = Field(description="The broad kind.", examples=["invalid_request_error"])
    param: str | None = Field(
        description="The field that is wrong, if one is.", examples=["messages[0].content"]
    )
    code: str = Field(description="Names the kind exactly.", examples=["model_not_found"])


class OpenAIError(BaseModel):
    """An error in OpenAI's format."""

    error: OpenAIErrorDetail


def openai_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these error answers, for a route's `responses`."""
    return {
        status: {
            "model": OpenAIError,
            "description": "; ".join(
                dict.fromkeys(
                    f"`{openai_code(kind)}`" for kind in PROBLEMS if openai_status(kind) == status
                )
            ),
        }
        for status in statuses
    }
