"""The rules for requests whose violation real providers answer with status 400."""

import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = "skip_thought_signature_validator"
"""The signature that Google accepts with a call of another model."""

_GEMINI_FIELDS = frozenset(
    {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
)
_CONFIG_FIELDS = frozenset(
    {
        "temperature",
        "maxOutputTokens",
        "topP",
        "stopSequences",
        "seed",
        "responseMimeType",
        "responseJsonSchema",
        "thinkingConfig",
    }
)
_PART_FIELDS = frozenset(
    {
        "text",
        "functionCall",
        "functionResponse",
        "inlineData",
        "fileData",
        "thought",
        "thoughtSignature",
    }
)
_PART_KINDS = _PART_FIELDS - {"thought", "thoughtSignature"}
_DECLARATION_FIELDS = frozenset(
    {"name", "description", "parameters", "parametersJsonSchema", "parameters_json_schema"}
)
_GEMINI_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_OPENAI_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "top_p",
        "stop",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "prompt_cache_key",
    }
)
_MESSAGE_FIELDS = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "assistant": frozenset(
        {"role", "content", "tool_calls", "reasoning", "reasoning_content", "reasoning_details"}
    ),
}
_FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict"})
_OPENAI_PARTS: Mapping[str, frozenset[str]] = {
    "text": frozenset(),
    "image_url": frozenset({"url", "detail"}),
    "input_audio": frozenset({"data", "format"}),
    "file": frozenset({"filename", "file_data"}),
}
_OPENAI_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


class Violation(Exception):
    """A violated rule; the message is that of the provider's answer."""


def check_gemini(body: Any, issued: Mapping[str, str] | None = None) -> None:
    """Check a request of `generateContent`.

    Args:
        body: Its JSON.
        issued: The signatures that were sent with calls, each with the name of its call; None accepts any.

    Raises:
        Violation: Google would reject it.
    """
    _known(body, _GEMINI_FIELDS, "request")
    _require(bool(body.get("contents")), "contents are required")
    config = body.get("generationConfig", {})
    _known(config, _CONFIG_FIELDS, "generation_config")
    if "responseJsonSchema" in config:
        is_json = config.get("responseMimeType") == "application/json"
        _require(is_json, "response_json_schema needs response_mime_type application/json")
        _require("'const'" not in repr(config["responseJsonSchema"]), 'Unknown name "const"')
    for part in body.get("systemInstruction", {}).get("parts", []):
        _require(bool(part.get("text")), "empty text parameter")
    _check_declarations(body)
    _check_contents(body["contents"])
    _check_signatures(body["contents"], issued)


def _check_declarations(body: Any) -> None:
    names = set()
    for tool in body.get("tools", []):
        _known(tool, {"functionDeclarations"}, "tool")
        for declaration in tool["functionDeclarations"]:
            _known(declaration, _DECLARATION_FIELDS, "function_declaration")
            is_valid = _GEMINI_NAME.fullmatch(declaration["name"]) is not None
            _require(is_valid, "Invalid function name")
            has_both = len(declaration.keys() - {"name", "description"}) > 1
            _require(not has_both, "parameters and parameters_json_schema exclude each other")
            names.add(declaration["name"])
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if not calling:
        return
    _require(bool(names), "Function calling config is set without function_declarations")
    _require(calling["mode"] in ("AUTO", "ANY", "NONE", "VALIDATED"), "Invalid mode")
    allowed = set(calling.get("allowedFunctionNames", ()))
    _require(not allowed or calling["mode"] == "ANY", "allowed_function_names needs mode ANY")
    _require(allowed <= names, "allowed_function_names must be declared")


def _check_contents(contents: Any) -> None:
    open_calls: list[Any] = []
    role_before = None
    for content in contents:
        _require(content.get("role") in ("user", "model"), "Please use a valid role")
        _require(bool(content.get("parts")), "empty content")
        responses = []
        calls = []
        for part in content["parts"]:
            _known(part, _PART_FIELDS, "part")
            kinds = part.keys() & _PART_KINDS
            _require(len(kinds) == 1, "required oneof field 'data' must have one initialized field")
            if "text" in kinds:
                is_empty = not part["text"] and not part.get("thoughtSignature")
                _require(not is_empty, "empty text parameter")
            elif kinds & {"inlineData", "fileData"}:
                (medium,) = [part[kind] for kind in kinds]
                _require(bool(medium.get("mimeType")), "a medium without mimeType")
            elif "functionCall" in kinds:
                calls.append(part["functionCall"])
            else:
                responses.append(part["functionResponse"])
        if open_calls or responses:
            is_first = all("functionResponse" in part for part in content["parts"])
            is_matched = len(responses) == len(open_calls) and is_first
            _require(
                is_matched,
                "Please ensure that the number of function response parts is equal to the number of function call"
                " parts of the function call turn.",
            )
            for call, response in zip(open_calls, responses, strict=True):
                is_same = (call.get("id"), call["name"]) == (response.get("id"), response["name"])
                _require(is_same, "Function response does not match its function call")
                _require(isinstance(response["response"], dict), "response must be a Struct")
        for call in calls:
            _require(content["role"] == "model", "Function calls must be of the model")
            _require(_GEMINI_NAME.fullmatch(call["name"]) is not None, "Invalid function name")
            _require(isinstance(call.get("args", {}), dict), "args must be a Struct")
        _require(
            not calls or role_before == "user",
            "Please ensure that function call turn comes immediately after a user turn or after a function response"
            " turn.",
        )
        open_calls = calls
        role_before = content["role"]
    _require(not open_calls, "Function calls without function responses")


def _check_signatures(contents: Any, issued: Mapping[str, str] | None) -> None:
    start = 0
    for position, content in enumerate(contents):
        if content["role"] == "user" and any("text" in part for part in content["parts"]):
            start = position
    for position, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        for number, part in enumerate(calls):
            signature = part.get("thoughtSignature")
            name = part["functionCall"]["name"]
            if signature is None:
                _require(
                    number > 0 or position < start,
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to"
                    f" work correctly. Additional data, function call `default_api:{name}`, position {position + 1}.",
                )
            elif issued is not None and signature != PLACEHOLDER:
                _require(issued.get(signature) == name, "Thought signature is not valid")


def check_openai(body: Any) -> None:
    """Check a request of Chat Completions.

    Raises:
        Violation: OpenAI would reject it.
    """
    _known(body, _OPENAI_FIELDS, "request")
    _require(bool(body.get("model")), "you must provide a model parameter")
    _require(bool(body.get("messages")), "[] is too short - 'messages'")
    both_limits = {"max_tokens", "max_completion_tokens"} <= body.keys()
    _require(not both_limits, "Setting 'max_tokens' and 'max_completion_tokens' is not supported")
    is_stream = body.get("stream") is True
    _require(is_stream or "stream_options" not in body, "'stream_options' needs 'stream'")
    _require(body.get("reasoning_effort", "low") in _EFFORTS, "Invalid value: 'reasoning_effort'")
    _check_tools(body)
    _check_response_format(body.get("response_format"))
    _check_messages(body["messages"])


def _check_tools(body: Any) -> None:
    tools = body.get("tools")
    if tools is None:
        is_plain = body.keys().isdisjoint({"tool_choice", "parallel_tool_calls"})
        _require(is_plain, "'tool_choice' is only allowed when 'tools' are specified")
        return
    _require(bool(tools), "[] is too short - 'tools'")
    for tool in tools:
        _require(tool.get("type") == "function", "Invalid value: 'tools[0].type'")
        function = tool["function"]
        _known(function, _FUNCTION_FIELDS, "function")
        is_valid = _OPENAI_NAME.fullmatch(function["name"]) is not None
        _require(is_valid, "Invalid 'tools[0].function.name': string does not match pattern")
        _require(isinstance(function.get("parameters", {}), dict), "Invalid schema for function")
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        names = {tool["function"]["name"] for tool in tools}
        is_known = choice.get("function", {}).get("name") in names
        _require(is_known, "Tool choice 'function' not found in 'tools' parameter")
    else:
        _require(choice in ("auto", "none", "required"), "Invalid value: 'tool_choice'")


def _check_response_format(wanted: Any) -> None:
    if wanted is None:
        return
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]
        _known(schema, {"name", "schema", "description", "strict"}, "json_schema")
        is_valid = _OPENAI_NAME.fullmatch(schema["name"]) is not None
        _require(is_valid, "Invalid 'response_format.json_schema.name'")
    else:
        _require(wanted == {"type": "json_object"}, "Invalid value: 'response_format.type'")


def _check_messages(messages: Any) -> None:
    open_ids: list[str] = []
    for message in messages:
        role = message.get("role")
        _require(role in _MESSAGE_FIELDS, "Invalid value: 'messages[0].role'")
        _known(message, _MESSAGE_FIELDS[role], "message")
        if role == "tool":
            is_open = message["tool_call_id"] in open_ids
            _require(
                is_open,
                "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            )
            _require(isinstance(message["content"], str), "Invalid type for 'content'")
            open_ids.remove(message["tool_call_id"])
            continue
        _require(not open_ids, f"{_UNANSWERED} {', '.join(open_ids)}")
        calls = message.get("tool_calls")
        content = message.get("content")
        if role == "user" and isinstance(content, list):
            _check_parts(content)
        else:
            has_content = isinstance(content, str) or bool(calls)
            _require(has_content, "Invalid value for 'content': expected a string")
        for call in calls or ():
            _known(call, {"id", "type", "function", "extra_content"}, "tool_call")
            is_valid = call["type"] == "function" and 0 < len(call["id"]) <= 64
            _require(is_valid, "Invalid 'messages[0].tool_calls[0].id': string too long")
            is_valid = _OPENAI_NAME.fullmatch(call["function"]["name"]) is not None
            _require(is_valid, "Invalid 'messages[0].tool_calls[0].function.name'")
            _require(isinstance(call["function"]["arguments"], str), "Invalid type: 'arguments'")
            open_ids.append(call["id"])
    _require(not open_ids, f"{_UNANSWERED} {', '.join(open_ids)}")


def _check_parts(parts: Any) -> None:
    _require(bool(parts), "Invalid 'messages[0].content': empty array")
    for part in parts:
        kind = part.get("type")
        _require(kind in _OPENAI_PARTS, "Invalid value: 'messages[0].content[0].type'")
        _known(part, {"type", kind}, "part")
        if kind == "text":
            _require(isinstance(part["text"], str), "Invalid type for 'text'")
        else:
            _known(part[kind], _OPENAI_PARTS[kind], "part")


_UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The"
    " following tool_call_ids did not have response messages:"
)


def _known(found: Any, fields: frozenset[str] | set[str], place: str) -> None:
    _require(isinstance(found, dict), f"Invalid type of {place}")
    for name in found:
        _require(name in fields, f'Unknown name "{name}" at {place}: Cannot find field.')


def _require(is_met: bool, message: str) -> None:
    if not is_met:
        raise Violation(message)
