"""The tools of a prompt and the form of its answer as JSON types, and back."""

from collections.abc import Mapping
from typing import Any

from domain.entities.prompt import Prompt
from domain.entities.tools import ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolMode


def document_of_options(prompt: Prompt) -> dict[str, Any]:
    """Return those options of `prompt` that are set."""
    document: dict[str, Any] = {}
    if prompt.system_content_id is not None:
        document["systemContentId"] = prompt.system_content_id
    if prompt.tools_content_id is not None:
        document["toolsContentId"] = prompt.tools_content_id
    elif prompt.tools:
        document["tools"] = [_document_of_tool(tool) for tool in prompt.tools]
    if prompt.tool_choice is not None:
        document["toolChoice"] = _document_of_choice(prompt.tool_choice)
    if prompt.parallel_tool_calls is not None:
        document["parallelToolCalls"] = prompt.parallel_tool_calls
    if prompt.response_format is not None:
        document["responseFormat"] = _document_of_format(prompt.response_format)
    if prompt.keeps_input:
        document["keepsInput"] = True
    if prompt.reasoning_effort is not None:
        document["reasoningEffort"] = prompt.reasoning_effort.value
    return document


def options_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a document that `document_of_options` made, as arguments of `Prompt`.

    Raises:
        ValueError: A choice or an effort is not one that this program knows.
    """
    get = document.get
    choice, form, effort = get("toolChoice"), get("responseFormat"), get("reasoningEffort")
    return {
        "tools": tuple([_tool_of(tool) for tool in get("tools", ())]),
        "keeps_input": get("keepsInput", False),
        "system_content_id": get("systemContentId"),
        "tools_content_id": get("toolsContentId"),
        "tool_choice": None if choice is None else _choice_of(choice),
        "parallel_tool_calls": get("parallelToolCalls"),
        "response_format": None if form is None else _format_of(form),
        "reasoning_effort": None if effort is None else ReasoningEffort(effort),
    }


def _document_of_tool(tool: Tool) -> dict[str, Any]:
    document: dict[str, Any] = {"name": tool.name}
    if tool.description:
        document["description"] = tool.description
    if tool.parameters is not None:
        document["parameters"] = tool.parameters
    if tool.is_strict is not None:
        document["strict"] = tool.is_strict
    return document


def _tool_of(document: Mapping[str, Any]) -> Tool:
    return Tool(
        name=document["name"],
        description=document.get("description", ""),
        parameters=document.get("parameters"),
        is_strict=document.get("strict"),
    )


def _document_of_choice(choice: ToolChoice) -> dict[str, Any]:
    document: dict[str, Any] = {"mode": choice.mode.value}
    if choice.names:
        document["names"] = list(choice.names)
    return document


def _choice_of(document: Mapping[str, Any]) -> ToolChoice:
    return ToolChoice(mode=ToolMode(document["mode"]), names=tuple(document.get("names", ())))


def _document_of_format(form: ResponseFormat) -> dict[str, Any]:
    document: dict[str, Any] = {"name": form.name}
    if form.description:
        document["description"] = form.description
    if form.schema is not None:
        document["schema"] = form.schema
    if form.is_strict is not None:
        document["strict"] = form.is_strict
    return document


def _format_of(document: Mapping[str, Any]) -> ResponseFormat:
    return ResponseFormat(
        schema=document.get("schema"),
        name=document["name"],
        description=document.get("description", ""),
        is_strict=document.get("strict"),
    )
