"""Models in OpenAI's format."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from domain.entities.model import Model
from domain.entities.tools import Capability

_CATALOGUE_CREATED_SECONDS = 1
_CREATED_AT = "1970-01-01T00:00:01Z"
"""The same time in Anthropic's format."""


class ModelDto(BaseModel):
    """A model that chats can request."""

    id: str = Field(description="Value for the `model` of a chat.", examples=["gemini-3.8-flash"])
    object: Literal["model"] = "model"
    created: int = Field(description="Always 1, since the catalogue contains no creation dates.")
    owned_by: str = Field(description="Provider that serves the model.", examples=["gemini"])
    context_window: int | None = Field(
        description="Tokens of prompt and answer together; null if unknown.", examples=[1048576]
    )
    max_output_tokens: int | None = Field(
        description="Most tokens of an answer; null if unknown.", examples=[65536]
    )
    capabilities: list[Capability] = Field(
        description="What the model supports beyond text.", examples=[["tools", "json_schema"]]
    )
    shutdown_date: date | None = Field(
        description="Date on which the provider shuts the model down; null when none is announced."
    )

    @classmethod
    def from_model(cls, model: Model) -> Self:
        """Return the response object for `model`."""
        return cls(
            id=model.id,
            created=_CATALOGUE_CREATED_SECONDS,
            owned_by=model.owned_by,
            context_window=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            capabilities=sorted(model.capabilities),
            shutdown_date=model.shutdown_date,
        )


class ModelList(BaseModel):
    """All models of the catalogue."""

    object: Literal["list"] = "list"
    data: list[ModelDto] = Field(description="The models; the default model is first.")
    models: list[ModelDto] = Field(description="The same as `data`, which some clients read.")


def anthropic_model(model: Model) -> dict[str, Any]:
    """Return a model in Anthropic's format."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": _CREATED_AT,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }


def anthropic_models(models: Sequence[Model]) -> dict[str, Any]:
    """Return the list of models in Anthropic's format, for clients that send `anthropic-version`."""
    data = [anthropic_model(model) for model in models]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
