"""A message in OpenAI's format."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.dto.openai_chat.values import AbsentOrEmpty, unsupported
from app.dto.wire import at_most_bytes, reject_nul

_MOST_BYTES = 131_072


def _join_parts(content: Any) -> Any:
    """Return `content` as one text: parts are joined, null is empty, other values are left to the validation."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    return "".join([_part_text(part) for part in content])


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        raise PydanticCustomError("part", "Input should be a content part")
    if part.get("type") != "text":
        raise unsupported()
    text = part.get("text")
    if not isinstance(text, str):
        raise PydanticCustomError("part", "Input should be a content part with a text")
    return text


def _reject_tool_role(role: Any) -> Any:
    if role in ("tool", "function"):
        raise unsupported()
    return role


Content = Annotated[
    str,
    Field(max_length=_MOST_BYTES),
    AfterValidator(reject_nul),
    at_most_bytes(_MOST_BYTES),
    BeforeValidator(_join_parts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": _MOST_BYTES},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                        "required": ["type", "text"],
                    },
                },
                {"type": "null"},
            ]
        }
    ),
]


class ChatMessage(BaseModel):
    """One message of a chat; unlisted fields, such as `name`, are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    role: Annotated[
        Literal["system", "developer", "user", "assistant"], BeforeValidator(_reject_tool_role)
    ] = Field(description="Author of the message; `tool` and `function` are not supported.")
    content: Content = Field(
        default="",
        validate_default=True,
        description="A text, or parts of type `text`, which are joined; at most 128 KiB of UTF-8.",
    )
    tool_calls: AbsentOrEmpty = Field(default=None, description="Not supported.")
    function_call: AbsentOrEmpty = Field(default=None, description="Not supported.")
    audio: AbsentOrEmpty = Field(default=None, description="Not supported.")
