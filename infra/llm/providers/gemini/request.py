"""Gemini's JSON: requests of `streamGenerateContent`."""

import re
from collections.abc import Iterable, Mapping, Sequence

import orjson

from domain.entities.items import (
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    tool_calls,
    tool_results,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ReasoningEffort, Tool, ToolChoice, ToolMode
from infra.llm.transport.base64_json import base64_string
from infra.llm.transport.call_identifiers import ToolNames
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.item_json import arguments_object

KIND = "gemini"
TOOL_NAMES = ToolNames(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")

Part = dict[str, object]

_DEFAULT_DIALECT = Dialect()
_ROLES = {Role.USER: "user", Role.ASSISTANT: "model"}
_UNKNOWN_SIGNATURE = "skip_thought_signature_validator"
"""Google's documented placeholder for the signature of a call by another model.

https://ai.google.dev/gemini-api/docs/thought-signatures; without any, Gemini 3 rejects the call.
"""

_NO_BEGINNING = "[The beginning of the conversation is not available.]"

# Models before 3 take a number of tokens instead of a level; the numbers are those of Google's own OpenAI endpoint.
_TAKES_BUDGET = re.compile(r"gemini-[12]\b")
_BUDGETS = {
    ReasoningEffort.NONE: 0,
    ReasoningEffort.MINIMAL: 1024,
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 24576,
    ReasoningEffort.EXTRA_HIGH: 24576,
    ReasoningEffort.MAXIMUM: 24576,
}
_PRO = "gemini-2.5-pro"
_LEAST_BUDGET_OF_PRO = 128  # it always reasons
_LEVELS = {
    ReasoningEffort.NONE: "MINIMAL",  # Gemini 3 always reasons
    ReasoningEffort.MINIMAL: "MINIMAL",
    ReasoningEffort.LOW: "LOW",
    ReasoningEffort.MEDIUM: "MEDIUM",
    ReasoningEffort.HIGH: "HIGH",
    ReasoningEffort.EXTRA_HIGH: "HIGH",
    ReasoningEffort.MAXIMUM: "HIGH",
}


def request_body(
    prompt: Prompt,
    dialect: Dialect = _DEFAULT_DIALECT,
    *,
    upstream: str,
    family: str,
    has_call_ids: bool = True,
) -> bytes:
    """Return the body of a request; options the caller did not set are not sent.

    Args:
        prompt: The messages, tools and settings, in the dialect.
        dialect: Of the model.
        upstream: Google's name for the model.
        family: Metadata of this family is sent back.
        has_call_ids: The server takes ids of calls, as Vertex AI does not: there results follow the order of the calls.
    """
    config = _config(prompt, dialect, upstream)
    body: dict[str, object] = {
        "contents": _contents(prompt.messages, family, has_call_ids=has_call_ids)
    }
    if prompt.system:
        body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
    if prompt.tools:
        body["tools"] = [{"functionDeclarations": _declarations(prompt)}]
        if calling := _calling_config(prompt.tool_choice, prompt.tools):
            body["toolConfig"] = {"functionCallingConfig": calling}
    if config:
        body["generationConfig"] = config
    return orjson.dumps(body)


def _config(prompt: Prompt, dialect: Dialect, upstream: str) -> dict[str, object]:
    config: dict[str, object] = {}
    if prompt.temperature is not None:
        config["temperature"] = prompt.temperature
    if prompt.max_output_tokens is not None:
        config["maxOutputTokens"] = prompt.max_output_tokens
    if prompt.top_p is not None:
        config["topP"] = prompt.top_p
    if prompt.stop:
        config["stopSequences"] = prompt.stop
    if prompt.seed is not None:
        config["seed"] = prompt.seed
    if prompt.response_format is not None:
        config["responseMimeType"] = "application/json"
        if prompt.response_format.schema is not None:
            config["responseJsonSchema"] = _response_schema(
                prompt.response_format.schema, prompt.response_format.description
            )
    if prompt.reasoning_effort is not None:
        config["thinkingConfig"] = _thinking(prompt.reasoning_effort, dialect, upstream)
    return config


def _thinking(effort: ReasoningEffort, dialect: Dialect, upstream: str) -> dict[str, object]:
    thinking: dict[str, object] = {}
    if _TAKES_BUDGET.match(upstream):
        least = _LEAST_BUDGET_OF_PRO if upstream.startswith(_PRO) else 0
        thinking["thinkingBudget"] = max(_BUDGETS[effort], least)
    else:
        level = _LEVELS[effort]
        has_level = dialect.minimal_thinking_level or level != "MINIMAL"
        thinking["thinkingLevel"] = level if has_level else "LOW"
    if effort is not ReasoningEffort.NONE:
        thinking["includeThoughts"] = True
    return thinking


def _response_schema(schema: str, description: str) -> object:
    changed = _without_const(orjson.loads(schema))
    if description and isinstance(changed, dict):
        changed.setdefault("description", description)  # there is no other place for it
    return changed


_VALUES = frozenset({"enum", "default", "examples", "const", "example"})
_NAMED_SCHEMAS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)


def _without_const(schema: object) -> object:
    """Return a JSON Schema with `const` as an enumeration of one value, since Gemini does not support `const`."""
    if isinstance(schema, list):
        return [_without_const(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, object] = {}
    for keyword, value in schema.items():
        if keyword in _VALUES:
            changed[keyword] = value
        elif keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            changed[keyword] = {name: _without_const(inner) for name, inner in value.items()}
        else:
            changed[keyword] = _without_const(value)
    if "const" in changed:
        changed["enum"] = [changed.pop("const")]
    return changed


def _declarations(prompt: Prompt) -> list[dict[str, object]]:
    choice = prompt.tool_choice
    tools: Iterable[Tool] = prompt.tools
    if choice is not None and choice.mode is ToolMode.AUTO and choice.names:
        # `allowedFunctionNames` is valid only where a call is required
        tools = [tool for tool in tools if tool.name in choice.names]
    return [_declaration(tool) for tool in tools]


def _declaration(tool: Tool) -> dict[str, object]:
    declaration: dict[str, object] = {
        "name": TOOL_NAMES.sent(tool.name),
        "description": tool.description,
    }
    if tool.parameters is not None:
        declaration["parametersJsonSchema"] = orjson.Fragment(tool.parameters)
    return declaration


def _calling_config(choice: ToolChoice | None, tools: Sequence[Tool]) -> dict[str, object]:
    mode = ToolMode.AUTO if choice is None else choice.mode
    if mode is ToolMode.NONE:
        return {"mode": "NONE"}
    if mode is ToolMode.REQUIRED and choice is not None:
        required: dict[str, object] = {"mode": "ANY"}
        if choice.names:
            required["allowedFunctionNames"] = [TOOL_NAMES.sent(name) for name in choice.names]
        return required
    if any(tool.is_strict for tool in tools):
        return {"mode": "VALIDATED"}  # as AUTO, with arguments that follow the schema
    return {}


def _contents(
    messages: Sequence[Message], family: str, *, has_call_ids: bool
) -> list[dict[str, object]]:
    contents: list[dict[str, object]] = []
    names: dict[str, str] = {}
    for message in messages:
        if not message.items:
            contents.append({"role": _ROLES[message.role], "parts": [{"text": message.text}]})
        elif message.role is Role.ASSISTANT:
            for call in tool_calls(message.items):
                names.pop(call.id, None)  # an id that a server repeats moves to the end
                names[call.id] = TOOL_NAMES.sent(call.name)
            if parts := _answer_parts(message.items, family, has_call_ids=has_call_ids):
                _add_answer(contents, parts)
        else:
            contents += _user_contents(message.items, names, has_call_ids=has_call_ids)
    return contents


def _add_answer(contents: list[dict[str, object]], parts: list[Part]) -> None:
    """Add an answer. Google rejects calls that follow no content of the user: neither an answer nor the beginning."""
    before = contents[-1] if contents else None
    if before is not None and before["role"] == "model" and isinstance(before["parts"], list):
        contents[-1] = {"role": "model", "parts": [*before["parts"], *parts]}
    else:
        contents.append({"role": "model", "parts": parts})
    if len(contents) == 1 and any("functionCall" in part for part in parts):
        contents.insert(0, {"role": "user", "parts": [{"text": _NO_BEGINNING}]})


def _answer_parts(items: Iterable[Item], family: str, *, has_call_ids: bool) -> list[Part]:
    parts: list[Part] = []
    needs_signature = True
    for item in items:
        match item:
            case Text():
                signature = _signature(item.metadata, family)
                if item.text or signature:
                    parts.append({"text": item.text, **signature})
            case Reasoning():
                if signature := _signature(item.metadata, family):
                    parts.append({"text": item.text, "thought": True, **signature})
            case ToolCall():
                signature = _signature(item.metadata, family)
                if needs_signature and not signature:
                    signature = {"thoughtSignature": _UNKNOWN_SIGNATURE}
                needs_signature = False  # of parallel calls only the first has one
                parts.append(
                    {
                        "functionCall": {
                            **_id(item.id, has_call_ids=has_call_ids),
                            "name": TOOL_NAMES.sent(item.name),
                            "args": arguments_object(item.arguments),
                        },
                        **signature,
                    }
                )
    return parts


def _user_contents(
    items: Sequence[Item], names: Mapping[str, str], *, has_call_ids: bool
) -> list[dict[str, object]]:
    """Return the results in the order of their calls in one content, in which nothing else may be; then the rest."""
    positions = {call_id: position for position, call_id in enumerate(names)}
    results: list[Part] = [
        {
            "functionResponse": {
                **_id(result.call_id, has_call_ids=has_call_ids),
                "name": names.get(result.call_id, ""),
                "response": _response(result),
            }
        }
        for result in sorted(
            tool_results(items), key=lambda result: positions.get(result.call_id, 0)
        )
    ]
    others: list[Part] = []
    for item in items:
        if isinstance(item, Text) and item.text:
            others.append({"text": item.text})
        elif isinstance(item, Attachment):
            others.append(_attachment(item))
    return [{"role": "user", "parts": parts} for parts in (results, others) if parts]


def _id(call_id: str, *, has_call_ids: bool) -> dict[str, str]:
    return {"id": call_id} if has_call_ids else {}


def _attachment(item: Attachment) -> Part:
    if item.url is not None:
        return {"fileData": {"mimeType": item.media_type, "fileUri": item.url}}
    if item.is_text:
        return {"text": item.readable_text()}
    data = base64_string(item.content or b"")
    return {"inlineData": {"mimeType": item.media_type, "data": data}}


def _signature(metadata: ProviderMetadata | None, family: str) -> dict[str, object]:
    if metadata is None or metadata.kind != KIND or metadata.family != family:
        return {}
    return {"thoughtSignature": metadata.value}


def _response(result: ToolResult) -> object:
    """Return a result as the object that Gemini demands; its keys `output` and `error` have a meaning."""
    if not result.is_json:
        return {"error" if result.is_error else "output": result.output}
    document = orjson.loads(result.output)
    output = orjson.Fragment(result.output)
    if result.is_error:
        return {"error": output}
    if isinstance(document, dict) and not document.keys() & {"output", "error"}:
        return output
    return {"output": output}
