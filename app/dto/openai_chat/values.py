"""Types of OpenAI's request fields of which only the values without effect are supported, and of `stop`."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.dto.wire import reject_nul
from app.problems.field_errors import UNSUPPORTED

_MOST_STOPS = 4


def unsupported() -> PydanticCustomError:
    """Return the error that leads to a 400 `unsupported_parameter` instead of a 422."""
    return PydanticCustomError(UNSUPPORTED, "not supported")


def _only(*allowed: object) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in allowed:
            raise unsupported()
        return value

    return check


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


AbsentOrEmpty = Annotated[
    Any, AfterValidator(_only(None, [])), WithJsonSchema({"enum": [None, []]})
]
SingleChoice = Annotated[Any, AfterValidator(_only(None, 1)), WithJsonSchema({"enum": [None, 1]})]
FalseOnly = Annotated[
    Any, AfterValidator(_only(None, False)), WithJsonSchema({"enum": [None, False]})
]
TextModality = Annotated[
    Any, AfterValidator(_only(None, ["text"])), WithJsonSchema({"enum": [None, ["text"]]})
]
_StopText = Annotated[str, Field(min_length=1), AfterValidator(reject_nul)]
Stop = Annotated[
    list[_StopText] | None,
    Field(max_length=_MOST_STOPS),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "null"},
                {"type": "string", "minLength": 1},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "maxItems": _MOST_STOPS,
                },
            ]
        }
    ),
]
