"""Base class and number types of the settings groups."""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.configuration import ENV_FILE, ENV_FILE_ENCODING

CENTURY_DAYS = 36_525.0
CENTURY_SECONDS = CENTURY_DAYS * 86_400.0
"""Upper bound of every time: clocks, dates and stores can hold it."""

Names = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list in the environment."""
Seconds = Annotated[float, Field(ge=0.0, le=CENTURY_SECONDS)]
PositiveSeconds = Annotated[float, Field(gt=0.0, le=CENTURY_SECONDS)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]


class SettingsGroup(BaseSettings):
    """Immutable settings of one concern; units are part of the names, secrets are never printed.

    Attributes:
        title: The group's heading in the documentation.
    """

    title: ClassVar[str]

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENV_FILE_ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,  # only `Settings` is instantiated; validators of the groups would slow the start
    )


def split_names(value: object) -> object:
    """Return the parts of a comma-separated text; any other value unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
