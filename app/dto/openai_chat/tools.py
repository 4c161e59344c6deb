"""Tools, tool choice and response formats in requests of OpenAI's format."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.dto.alternatives import by_shape
from app.dto.json_schema import check_json_schema, check_object_schema
from app.dto.openai_chat.values import unsupported
from app.dto.wire import reject_nul
from domain.entities.tools import ResponseFormat, Tool, ToolChoice, ToolMode

MAX_TOOLS = 128
_NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

Name = Annotated[str, Field(pattern=_NAME_PATTERN, examples=["get_weather"])]


def _only_functions(kind: Any) -> Any:
    if isinstance(kind, str) and kind != "function":
        raise unsupported()
    return kind


JsonSchema = Annotated[dict[str, Any], AfterValidator(check_json_schema)]
ObjectSchema = Annotated[dict[str, Any], AfterValidator(check_object_schema)]
Description = Annotated[str, AfterValidator(reject_nul)] | None
FunctionType = Annotated[Literal["function"], BeforeValidator(_only_functions)]


class Function(BaseModel):
    """A function that the model may call."""

    model_config = _LENIENT

    name: Name = Field(description="Name of the function.")
    description: Description = Field(
        default=None, description="What it does and when to call it, for the model."
    )
    parameters: ObjectSchema | None = Field(
        default=None, description="JSON Schema of its arguments, an object."
    )
    strict: bool | None = Field(
        default=None, description="true: arguments follow the schema exactly."
    )

    def to_tool(self) -> Tool:
        """Return the tool."""
        parameters = None if self.parameters is None else orjson.dumps(self.parameters).decode()
        return Tool(
            name=self.name,
            description=self.description or "",
            parameters=parameters,
            is_strict=self.strict,
        )


class FunctionTool(BaseModel):
    """A tool; only functions are supported."""

    model_config = _LENIENT

    type: FunctionType = "function"
    function: Function


class FunctionName(BaseModel):
    """The name of a function."""

    model_config = _LENIENT

    name: Name = Field(description="One of `tools`.")


class NamedChoice(BaseModel):
    """The one function that the model must call."""

    model_config = _LENIENT

    type: FunctionType
    function: FunctionName


class AllowedFunction(BaseModel):
    """One of the functions that the model may call."""

    model_config = _LENIENT

    type: FunctionType = "function"
    function: FunctionName


class AllowedTools(BaseModel):
    """The functions that the model may or must call."""

    model_config = _LENIENT

    mode: Literal["auto", "required"] = Field(
        description="Whether the model may or must call one of them."
    )
    tools: list[AllowedFunction] = Field(
        min_length=1, max_length=MAX_TOOLS, description="Some of `tools`."
    )


class AllowedToolsChoice(BaseModel):
    """A restriction of `tools`."""

    model_config = _LENIENT

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


def _reject_custom_tools(choice: Any) -> Any:
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(kind, str) and kind not in ("function", "allowed_tools"):
        raise unsupported()
    return choice


Mode = Literal["none", "auto", "required"]
_OlderMode = Literal["none", "auto"]


def _type_of_choice(value: Any) -> Any:
    if not isinstance(value, dict):
        return Mode
    return AllowedToolsChoice if value.get("type") == "allowed_tools" else NamedChoice


ToolChoiceField = Annotated[
    Mode | NamedChoice | AllowedToolsChoice | None,
    by_shape(_type_of_choice),
    BeforeValidator(_reject_custom_tools),
]
FunctionCallField = Annotated[
    _OlderMode | FunctionName | None,
    by_shape(lambda value: FunctionName if isinstance(value, dict) else _OlderMode),
]


def to_tool_choice(choice: Mode | NamedChoice | AllowedToolsChoice) -> ToolChoice:
    """Return the choice."""
    if isinstance(choice, NamedChoice):
        return ToolChoice(mode=ToolMode.REQUIRED, names=(choice.function.name,))
    if isinstance(choice, AllowedToolsChoice):
        allowed = choice.allowed_tools
        return ToolChoice(
            mode=ToolMode(allowed.mode), names=tuple([tool.function.name for tool in allowed.tools])
        )
    return ToolChoice(mode=ToolMode(choice))


class NamedSchema(BaseModel):
    """A JSON Schema with a name."""

    model_config = _LENIENT

    name: Name = Field(description="Name of the schema.")
    schema_: JsonSchema = Field(
        default={}, alias="schema", description="The JSON Schema; any JSON fits without one."
    )
    description: Description = Field(
        default=None, description="What the answer is for, for the model."
    )
    strict: bool | None = Field(
        default=None, description="true: the provider enforces the schema, where it can."
    )


class TextResponse(BaseModel):
    """Any text."""

    model_config = _LENIENT

    type: Literal["text"]


class JsonObjectResponse(BaseModel):
    """Any JSON object."""

    model_config = _LENIENT

    type: Literal["json_object"]


class JsonSchemaResponse(BaseModel):
    """JSON that fits a schema."""

    model_config = _LENIENT

    type: Literal["json_schema"]
    json_schema: NamedSchema


_FORMATS = {
    "text": TextResponse,
    "json_object": JsonObjectResponse,
    "json_schema": JsonSchemaResponse,
}


def _type_of_format(value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    if kind not in _FORMATS:
        raise unsupported()
    return _FORMATS[kind]


ResponseFormatField = Annotated[
    Annotated[TextResponse | JsonObjectResponse | JsonSchemaResponse, Field(discriminator="type")]
    | None,
    by_shape(_type_of_format),
]


def to_response_format(
    wanted: TextResponse | JsonObjectResponse | JsonSchemaResponse | None,
) -> ResponseFormat | None:
    """Return the format; None for any text."""
    if isinstance(wanted, JsonObjectResponse):
        return ResponseFormat()
    if isinstance(wanted, JsonSchemaResponse):
        schema = wanted.json_schema
        return ResponseFormat(
            schema=orjson.dumps(schema.schema_).decode(),
            name=schema.name,
            description=schema.description or "",
            is_strict=schema.strict,
        )
    return None
