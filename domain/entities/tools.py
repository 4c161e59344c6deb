"""Tools that a model may call, and the form of its answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call.

    Attributes:
        parameters: JSON Schema of the arguments, as JSON text; None for a function without parameters.
        is_strict: Whether arguments must follow the schema exactly; None leaves it to the provider.
    """

    name: str
    description: str = ""
    parameters: str | None = None
    is_strict: bool | None = None


class ToolMode(StrEnum):
    """Whether the model may or must call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Which tools the model may or must call.

    Attributes:
        names: The tools it may choose from; empty for all. With `REQUIRED` and one name it must call that tool.
    """

    mode: ToolMode = ToolMode.AUTO
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The JSON format that the text of an answer must have.

    Attributes:
        schema: JSON Schema as JSON text; None for any JSON object.
        name: Name of the schema, for providers that require one.
        is_strict: As in `Tool`.
    """

    schema: str | None = None
    name: str = "response"
    description: str = ""
    is_strict: bool | None = None


class ReasoningEffort(StrEnum):
    """How much a model should reason; each provider maps it to the setting of its model."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    EXTRA_HIGH = "xhigh"
    MAXIMUM = "max"


class Capability(StrEnum):
    """An ability that a request may need of a model."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    IMAGES = "images"
    FILES = "files"
    AUDIO = "audio"
    REASONING = "reasoning"
    EMBEDDINGS = "embeddings"


OF_CHATS = frozenset(Capability) - {Capability.EMBEDDINGS}
"""The capabilities of models that chat; a model that computes embeddings does not."""


def text_of_tools(tools: Sequence[Tool]) -> str:
    """Return a list of tools as JSON text, equal for equal lists."""
    fields = [[tool.name, tool.description, tool.parameters, tool.is_strict] for tool in tools]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def tools_of_text(text: str) -> tuple[Tool, ...]:
    """Return the tools that `text_of_tools` wrote."""
    return tuple(
        [
            Tool(name=name, description=description, parameters=parameters, is_strict=is_strict)
            for name, description, parameters, is_strict in json.loads(text)
        ]
    )
