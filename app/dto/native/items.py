"""Tool calls and their results in responses of the native format."""

from typing import Any, Self

import orjson
from pydantic import Field

from app.dto.wire import Dto
from domain.entities.items import ToolCall, ToolResult

_LEVELS_ABOVE = 8
"""orjson reads more levels of nesting than it writes; a response has fewer than these around arguments."""


class ToolCallDto(Dto):
    """A call of a tool by the model."""

    id: str = Field(description="Id of the call, for its result.", examples=["call_1"])
    name: str = Field(description="Name of the tool.", examples=["get_weather"])
    arguments: dict[str, Any] | str = Field(
        description="An object; the model's text where that is not a JSON object.",
        examples=[{"city": "Paris"}],
    )

    @classmethod
    def from_call(cls, call: ToolCall) -> Self:
        """Return the response object for `call`."""
        return cls(id=call.id, name=call.name, arguments=parse_arguments(call.arguments))


class GivenToolResultDto(Dto):
    """The result of a tool call, as given in the request."""

    call_id: str = Field(description="`id` of the call.", examples=["call_1"])
    output: Any = Field(description="The result: a text or any JSON value.", examples=["22 °C"])
    is_error: bool = Field(
        default=False,
        exclude_if=lambda is_error: not is_error,
        description="true: the tool failed, or the call was not carried out; else absent.",
    )

    @classmethod
    def from_result(cls, result: ToolResult) -> Self:
        """Return the response object for `result`."""
        return cls(call_id=result.call_id, output=_output(result), is_error=result.is_error)


def tool_call_document(call: ToolCall) -> dict[str, Any]:
    """Return the same JSON object as `ToolCallDto` serialises to."""
    return {"id": call.id, "name": call.name, "arguments": parse_arguments(call.arguments)}


def tool_result_document(result: ToolResult) -> dict[str, Any]:
    """Return the same JSON object as `GivenToolResultDto` serialises to."""
    document: dict[str, Any] = {"callId": result.call_id, "output": _output(result)}
    if result.is_error:
        document["isError"] = True
    return document


def parse_arguments(text: str) -> dict[str, Any] | str:
    """Return the object that arguments are; the text unchanged if it is none that can be written again."""
    try:
        arguments = orjson.loads(text)
        if not isinstance(arguments, dict):
            return text
        nested: Any = arguments
        for _ in range(_LEVELS_ABOVE):
            nested = [nested]
        orjson.dumps(nested)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text
    return arguments


def _output(result: ToolResult) -> Any:
    return orjson.loads(result.output) if result.is_json and result.output else result.output
