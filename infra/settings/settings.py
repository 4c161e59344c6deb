"""All settings in one object, and their validation at start."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsConfigDict

from infra.configuration import ENV_FILE, ConfigurationError
from infra.operator_text import NotUtf8, text_of
from infra.settings.access import AccessSettings
from infra.settings.answers import AnswerSettings
from infra.settings.group import SettingsGroup
from infra.settings.history import HistorySettings
from infra.settings.limits import LimitSettings
from infra.settings.process import ProcessSettings
from infra.settings.provider_calls import ProviderCallSettings
from infra.settings.providers import ProviderSettings
from infra.settings.server import ServerSettings
from infra.settings.telemetry import TelemetrySettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

GROUPS: tuple[type[SettingsGroup], ...] = (
    ProcessSettings,
    ServerSettings,
    AccessSettings,
    ProviderSettings,
    ProviderCallSettings,
    HistorySettings,
    AnswerSettings,
    LimitSettings,
    TelemetrySettings,
)
"""In the order of the documentation."""


class Settings(
    # Pydantic lists the fields of the last base first.
    TelemetrySettings,
    LimitSettings,
    AnswerSettings,
    ProviderCallSettings,
    ProviderSettings,
    AccessSettings,
    ServerSettings,
):
    """Read once at start, never changed. A function that needs one group takes only that."""

    title = "Settings"

    model_config = SettingsConfigDict(defer_build=False)


def read_settings() -> Settings:
    """Return the settings of the environment and `.env`.

    Raises:
        ConfigurationError: A setting is not valid (the text names it without its value), or `.env` cannot be read.
    """
    try:
        if (env_file := Path(ENV_FILE)).is_file():
            text_of(env_file.read_bytes())
        return Settings()
    except NotUtf8 as error:
        raise ConfigurationError(f"{ENV_FILE} cannot be read: it {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{ENV_FILE} cannot be read ({type(error).__name__})") from error
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        raise ConfigurationError("; ".join(map(_error_text, details))) from error


def _error_text(error: "ErrorDetails") -> str:
    """Return the setting's name and the error; for a number, the allowed range."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name)
    allowed = None if field is None else allowed_numbers(field)
    return f"{name.upper()}: {error['msg'] if allowed is None else f'should be {allowed}'}"


def allowed_numbers(field: FieldInfo) -> str | None:
    """Return the allowed range of a numeric setting in words; None for any other setting."""
    kinds = {field.annotation, *get_args(field.annotation)}
    if not kinds & {int, float}:
        return None
    words = ["a whole number" if int in kinds else "a number"]
    bounds = {
        name: getattr(constraint, name)
        for constraint in field.metadata
        for name in _BOUNDS
        if hasattr(constraint, name)
    }
    words += [f"{_BOUNDS[name]} {bounds[name]:.12g}" for name in _BOUNDS if name in bounds]
    return " ".join(words)


_BOUNDS = {"gt": "above", "ge": "from", "le": "up to"}
