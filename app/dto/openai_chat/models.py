"""Models, in OpenAI's list format."""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, Field

from domain.entities.model import Model

_CATALOGUE_CREATED_SECONDS = 1


class ModelDto(BaseModel):
    """One model that can be asked."""

    id: str = Field(description="What to send as `model`.", examples=["gemini-3.8-flash"])
    object: Literal["model"] = "model"
    created: int = Field(description="Always 1: the catalogue keeps no dates of birth.")
    owned_by: str = Field(description="The provider it is reached through.", examples=["gemini"])
    shutdown_date: date | None = Field(
        description="When its provider shuts it down, if that was announced."
    )

    @classmethod
    def of(cls, model: Model) -> Self:
        """Return the same model in OpenAI's words."""
        return cls(
            id=model.id,
            created=_CATALOGUE_CREATED_SECONDS,
            owned_by=model.owned_by,
            shutdown_date=model.shutdown_date,
        )


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelDto] = Field(description="The default model comes first.")
