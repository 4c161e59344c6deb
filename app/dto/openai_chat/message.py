"""A message in OpenAI's format."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.dto.openai_chat.content_parts import MEDIA_TYPES
from app.dto.openai_chat.tools import FunctionType
from app.dto.openai_chat.values import AbsentOrEmpty, unsupported
from app.dto.texts import MAX_TEXT_BYTES
from app.dto.wire import at_most_bytes, reject_nul

_MAX_ID_CHARACTERS = 512
_MAX_CALLS = 256
_MAX_NAME_CHARACTERS = 128
_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


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
    kind = part.get("type")
    if not isinstance(kind, str):
        raise unsupported()
    if kind in MEDIA_TYPES:
        return ""
    if kind not in ("text", "refusal"):
        raise unsupported()
    text = part.get(kind)
    if not isinstance(text, str):
        raise PydanticCustomError("part", "Input should be a content part with a text")
    return text


Content = Annotated[
    str,
    Field(max_length=MAX_TEXT_BYTES),
    AfterValidator(reject_nul),
    at_most_bytes(MAX_TEXT_BYTES),
    BeforeValidator(_join_parts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_TEXT_BYTES},
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
CallId = Annotated[
    str, Field(min_length=1, max_length=_MAX_ID_CHARACTERS), AfterValidator(reject_nul)
]
CalledName = Annotated[
    str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS), AfterValidator(reject_nul)
]


def _is_media(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, dict) else None
    return isinstance(kind, str) and kind in MEDIA_TYPES


class CalledFunction(BaseModel):
    """A function and the arguments of its call."""

    model_config = _LENIENT

    name: CalledName = Field(description="Its name.")
    arguments: Annotated[str, AfterValidator(reject_nul)] = Field(
        default="", description="JSON of the arguments, as the model wrote it."
    )


class MessageToolCall(BaseModel):
    """A tool call of an earlier answer."""

    model_config = _LENIENT

    id: CallId = Field(description="Id of the call, which its result names.")
    type: FunctionType = "function"
    function: CalledFunction
    extra_content: Any = Field(
        default=None, description="As received with the call; may be left out."
    )


class ChatMessage(BaseModel):
    """One message of a chat; unlisted fields, such as `name` of a user, are ignored."""

    model_config = _LENIENT

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(
        description="Author of the message; `tool` for the result of a tool call."
    )
    content: Content = Field(
        default="",
        validate_default=True,
        description="A text, or parts of type `text`, which are joined; at most 1 MiB of UTF-8.",
    )
    tool_calls: list[MessageToolCall] | None = Field(
        default=None,
        max_length=_MAX_CALLS,
        description="Calls of an answer; a message of role `tool` must follow for each.",
    )
    tool_call_id: CallId | None = Field(
        default=None, description="With role `tool`: the id of the call."
    )
    name: str | None = Field(default=None, description="With role `function`: its name.")
    function_call: CalledFunction | None = Field(
        default=None, description="Older form of `tool_calls`, for one call."
    )
    reasoning_content: str | None = Field(
        default=None, description="Reasoning of an earlier answer."
    )
    reasoning: str | None = Field(default=None, description="Other name of `reasoning_content`.")
    reasoning_details: list[Any] | None = Field(
        default=None, description="Reasoning in OpenRouter's form; its texts are read."
    )
    audio: AbsentOrEmpty = Field(default=None, description="Not supported.")

    content_parts: list[dict[str, Any]] | None = Field(
        default=None, description="Ignored: the parts of `content` that are not text."
    )

    @model_validator(mode="before")
    @classmethod
    def _separate_media(cls, message: Any) -> Any:
        """Keep the parts of a user's content if not all of them are text."""
        if not isinstance(message, dict):
            return message
        content = message.get("content")
        parts = None
        if isinstance(content, list) and any(map(_is_media, content)):
            if message.get("role") != "user":
                raise unsupported()
            parts = content
        elif "content_parts" not in message:
            return message
        return {**message, "content_parts": parts}

    @property
    def is_empty(self) -> bool:
        """Whether the message is empty."""
        return not (self.content or self.content_parts or self.tool_calls or self.function_call)

    @property
    def reasoning_text(self) -> str:
        """Reasoning in whichever field it was sent."""
        if self.reasoning_content or self.reasoning:
            return self.reasoning_content or self.reasoning or ""
        details = [detail for detail in self.reasoning_details or () if isinstance(detail, dict)]
        texts = [detail.get("text") or detail.get("summary") for detail in details]
        return "".join([text for text in texts if isinstance(text, str)])
