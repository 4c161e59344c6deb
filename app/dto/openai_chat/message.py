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

from app.dto.openai_chat.values import Absent, unsupported
from app.dto.wire import at_most_bytes, without_nul

_MOST_BYTES = 131_072


def _text_of(content: Any) -> Any:
    """Return the text of `content`, which may come in parts or not at all."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    return "".join([_text_of_part(part) for part in content])


def _text_of_part(part: Any) -> str:
    if not isinstance(part, dict):
        raise PydanticCustomError("part", "Input should be a content part")
    if part.get("type") != "text":
        raise unsupported()
    text = part.get("text")
    if not isinstance(text, str):
        raise PydanticCustomError("part", "Input should be a content part with a text")
    return text


def _no_tool(role: Any) -> Any:
    if role in ("tool", "function"):
        raise unsupported()
    return role


Content = Annotated[
    str,
    Field(max_length=_MOST_BYTES),
    AfterValidator(without_nul),
    at_most_bytes(_MOST_BYTES),
    BeforeValidator(_text_of),
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
    """One message of the list; what else it carries, such as `name`, is ignored."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    role: Annotated[
        Literal["system", "developer", "user", "assistant"], BeforeValidator(_no_tool)
    ] = Field(description="Who said it. Messages of tools are not supported.")
    content: Content = Field(
        default="",
        validate_default=True,
        description="A text, or parts of type `text`, which are joined; 128 KiB of UTF-8 at the most.",
    )
    tool_calls: Absent = Field(default=None, description="Not supported.")
    function_call: Absent = Field(default=None, description="Not supported.")
    audio: Absent = Field(default=None, description="Not supported.")
