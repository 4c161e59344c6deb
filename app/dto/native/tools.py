"""Tools, tool results and metadata in request bodies of the native format."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field

from app.dto.alternatives import by_shape
from app.dto.json_schema import check_json_schema, check_object_schema
from app.dto.wire import RequestDto, reject_nul
from domain.entities.items import ToolResult
from domain.entities.tools import Tool, ToolChoice, ToolMode

TOOL_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
MAX_TOOLS = 128
_MAX_METADATA_PAIRS = 16
_MAX_CALL_ID_CHARACTERS = 512

ToolName = Annotated[str, Field(pattern=TOOL_NAME_PATTERN, examples=["get_weather"])]
Description = Annotated[str, AfterValidator(reject_nul)]


def _reject_nul_text(value: Any) -> Any:
    return reject_nul(value) if isinstance(value, str) else value


_SCHEMA_EXAMPLE = Field(examples=[{"type": "object", "properties": {"city": {"type": "string"}}}])
JsonSchema = Annotated[dict[str, Any], AfterValidator(check_json_schema), _SCHEMA_EXAMPLE]
ObjectSchema = Annotated[dict[str, Any], AfterValidator(check_object_schema), _SCHEMA_EXAMPLE]
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64), AfterValidator(reject_nul)],
        Annotated[str, Field(max_length=512), AfterValidator(reject_nul)],
    ],
    Field(max_length=_MAX_METADATA_PAIRS),
]


class ToolDto(RequestDto):
    """A function that the model may call."""

    name: ToolName = Field(description="Name of the function.")
    description: Description = Field(
        default="", description="What it does and when to call it, for the model."
    )
    parameters: ObjectSchema | None = Field(
        default=None,
        description="JSON Schema of its arguments, an object; absent without arguments.",
    )

    def to_tool(self) -> Tool:
        """Return the tool."""
        parameters = None if self.parameters is None else orjson.dumps(self.parameters).decode()
        return Tool(name=self.name, description=self.description, parameters=parameters)


class NamedTool(RequestDto):
    """The one tool that the model must call."""

    name: ToolName = Field(description="Name of one of `tools`.")


_Mode = Literal["auto", "none", "required"]
ToolChoiceDto = Annotated[
    _Mode | NamedTool, by_shape(lambda value: NamedTool if isinstance(value, dict) else _Mode)
]


def to_tool_choice(choice: ToolChoiceDto) -> ToolChoice:
    """Return the choice."""
    if isinstance(choice, NamedTool):
        return ToolChoice(mode=ToolMode.REQUIRED, names=(choice.name,))
    return ToolChoice(mode=ToolMode(choice))


class ToolResultDto(RequestDto):
    """The result of a tool call."""

    call_id: Annotated[str, AfterValidator(reject_nul)] = Field(
        min_length=1, max_length=_MAX_CALL_ID_CHARACTERS, description="`id` of the call."
    )
    output: Annotated[Any, AfterValidator(_reject_nul_text)] = Field(
        description="The result: a text or any JSON value.", examples=["22 °C", {"celsius": 22}]
    )
    is_error: bool = Field(default=False, description="true: the tool failed.")

    def to_result(self) -> ToolResult:
        """Return the result."""
        if isinstance(self.output, str):
            return ToolResult(call_id=self.call_id, output=self.output, is_error=self.is_error)
        return ToolResult(
            call_id=self.call_id,
            output=orjson.dumps(self.output).decode(),
            is_json=True,
            is_error=self.is_error,
        )
