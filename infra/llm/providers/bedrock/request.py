"""Amazon Bedrock's JSON: requests of `Converse` and `ConverseStream`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from domain.entities.items import Attachment, Reasoning, Text, ToolCall, ToolResult
from domain.entities.prompt import CacheMark, Message, Prompt, Role
from domain.entities.tools import ResponseFormat, Tool, ToolMode
from domain.exceptions import LLMRejected
from infra.llm.providers.anthropic.schema import supported_schema
from infra.llm.providers.bedrock.cache_points import (
    CACHE_POINT,
    NO_POINTS,
    CachePoints,
    cache_point,
    cache_points_of,
    texts_and_points,
)
from infra.llm.providers.bedrock.identity import Guardrail
from infra.llm.providers.bedrock.names import TOOL_NAMES, DocumentNames, called_names
from infra.llm.providers.bedrock.reasoning import reasoning_of
from infra.llm.transport.base64_json import base64_string
from infra.llm.transport.call_identifiers import RequestCallIds
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.item_json import arguments_object, arguments_schema, metadata_object
from infra.llm.transport.json_instructions import with_json_instructions

KIND = "bedrock"

SIGNATURE = "signature"
DATA = "data"
"""Names in the metadata of this kind, whose value is the JSON of an object.

Of reasoning: the signature of its text, or the base64 of reasoning that is encrypted.
"""

Block = dict[str, object]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_ID = 64
_MOST_TEMPERATURE = 1.0
_DEFAULT_LIMIT = 8192
_PLACEHOLDER = "."
"""Text where the API requires one: before an answer without a question, and next to a document."""
_NO_OUTPUT = "[no output]"
_NO_CALLS = "Answer without calling a tool."
"""Instruction for a request without tools whose messages contain calls: the API then demands tools, and has no setting
against calls."""

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_KINDS = {
    "toolUse": "tool_use",
    "toolResult": "tool_result",
    "reasoningContent": "thinking",
}
"""Kinds of blocks in Anthropic's words."""


def request_body(
    prompt: Prompt,
    dialect: Dialect,
    *,
    upstream: str,
    family: str,
    max_tokens: int | None,
    guardrail: Guardrail | None = None,
) -> bytes:
    """Return the body of a request; options the caller did not set are not sent.

    Args:
        prompt: In the dialect. A last message of the assistant is a partial answer to continue.
        dialect: Of the model.
        upstream: Id of the model or of its inference profile, or an ARN.
        family: Metadata of this family is sent back.
        max_tokens: The model's limit on output; None where unknown.
        guardrail: Checks the request and its answer; None: without one.

    Raises:
        LLMRejected: The API cannot receive an attachment.
    """
    points = cache_points_of(prompt, upstream) if dialect.cache_points else NO_POINTS
    messages = _messages(prompt.messages, family, points)
    body: dict[str, object] = {"messages": messages}
    system = prompt.system
    wanted = prompt.response_format
    sends_schema = wanted is not None and wanted.schema is not None and dialect.response_schema
    if wanted is not None and not sends_schema:
        system = with_json_instructions(system, wanted)
    tools = _tool_config(prompt, dialect, points)
    if tools:
        body["toolConfig"] = tools
        if not prompt.may_call_tools:
            system = f"{system}\n\n{_NO_CALLS}" if system else _NO_CALLS
    if system.strip():
        # what was added to the caller's instructions follows their marks
        length = len(prompt.system)
        marks = [replace(mark, position=length - mark.position) for mark in points.system]
        body["system"] = texts_and_points(system, marks)
    output: dict[str, object] = {}
    if wanted is not None and sends_schema:
        output["textFormat"] = _text_format(wanted)
    own: dict[str, object] = {}
    if prompt.reasoning_effort is not None:
        fields, effort = reasoning_of(
            prompt,
            prompt.reasoning_effort,
            upstream=upstream,
            limit=prompt.max_output_tokens or max_tokens or _DEFAULT_LIMIT,
            turns=[(message["role"], _kinds_of(message)) for message in messages],
        )
        own |= fields
        if effort is not None:
            output["effort"] = effort
    if own:
        body["additionalModelRequestFields"] = own
    if output:
        body["outputConfig"] = output
    if config := _inference_config(prompt, thinks=_thinks(own)):
        body["inferenceConfig"] = config
    if guardrail is not None:
        body["guardrailConfig"] = _guardrail_config(guardrail)
    return orjson.dumps(body)


def _guardrail_config(guardrail: Guardrail) -> dict[str, object]:
    config: dict[str, object] = {
        "guardrailIdentifier": guardrail.id,
        "guardrailVersion": guardrail.version,
    }
    if guardrail.trace is not None:
        config["trace"] = guardrail.trace
    return config


def _thinks(own: dict[str, object]) -> bool:
    thinking = own.get("thinking")
    return isinstance(thinking, dict) and thinking["type"] != "disabled"


def _inference_config(prompt: Prompt, *, thinks: bool) -> dict[str, object]:
    config: dict[str, object] = {}
    if prompt.max_output_tokens is not None:
        config["maxTokens"] = prompt.max_output_tokens
    if stop := [sequence for sequence in prompt.stop if sequence.strip()]:
        config["stopSequences"] = stop
    if not thinks:  # sampling and thinking exclude each other
        if prompt.temperature is not None:
            config["temperature"] = min(prompt.temperature, _MOST_TEMPERATURE)
        if prompt.top_p is not None:
            config["topP"] = prompt.top_p
    return config


def _kinds_of(message: dict[str, object]) -> list[object]:
    content = message["content"]
    assert isinstance(content, list)
    return [_KINDS.get(next(iter(block)), "other") for block in content]


def _messages(
    messages: Sequence[Message], family: str, points: CachePoints
) -> list[dict[str, object]]:
    """Return messages whose roles alternate, beginning with the user's."""
    ids = RequestCallIds(_ID, longest=_LONGEST_ID)
    names = DocumentNames()
    written: list[tuple[str, list[Block]]] = []
    for message in messages:
        marks = _marks_of(message) if points.in_messages else {}
        if message.role is Role.ASSISTANT:
            blocks = _answer_blocks(message, family, ids, marks)
            if not blocks:
                continue
            if not written:
                written.append((Role.USER.value, [{"text": _PLACEHOLDER}]))
        else:
            blocks = _user_blocks(message, ids, names, marks)
        role = message.role.value
        if written and written[-1][0] == role:
            merged = [*written.pop()[1], *blocks]
            blocks = sorted(merged, key=_is_after_results)
        written.append((role, blocks))
    if points.end is not None and (last := written[-1][1]) and CACHE_POINT not in last[-1]:
        last.append(cache_point(points.end))
    return [
        {"role": role, "content": blocks or [{"text": _PLACEHOLDER}]} for role, blocks in written
    ]


def _is_after_results(block: Block) -> bool:
    return "toolResult" not in block


def _marks_of(message: Message) -> Mapping[int, CacheMark]:
    """Return the marks of a message by their position."""
    return {mark.position: mark for mark in message.cache_marks}


def _answer_blocks(
    message: Message, family: str, ids: RequestCallIds, marks: Mapping[int, CacheMark]
) -> list[Block]:
    if not message.items:
        return texts_and_points(message.text, marks.values())
    blocks: list[Block] = []
    for number, item in enumerate(message.items, start=1):
        match item:
            case Text():
                if item.text.strip():
                    blocks.append({"text": item.text})
            case Reasoning():
                if (block := _reasoning_block(item, family)) is not None:
                    blocks.append(block)
            case ToolCall():
                call = {
                    "toolUseId": ids.of_call(item.id),
                    "name": TOOL_NAMES.sent(item.name),
                    "input": arguments_object(item.arguments),
                }
                blocks.append({"toolUse": call})
        if number in marks and blocks and not blocks[-1].keys() & _NO_POINT_AFTER:
            blocks.append(cache_point(marks[number]))
    return blocks


_NO_POINT_AFTER = frozenset({"reasoningContent", CACHE_POINT})


def _reasoning_block(item: Reasoning, family: str) -> Block | None:
    metadata = metadata_object(item.metadata, kind=KIND, family=family)
    if isinstance(data := metadata.get(DATA), str):
        return {"reasoningContent": {"redactedContent": data}}
    if isinstance(signature := metadata.get(SIGNATURE), str):
        text = {"text": item.text, "signature": signature}
        return {"reasoningContent": {"reasoningText": text}}
    return None


def _user_blocks(
    message: Message, ids: RequestCallIds, names: DocumentNames, marks: Mapping[int, CacheMark]
) -> list[Block]:
    """Return the results first, which models demand, then the rest."""
    if not message.items:
        return texts_and_points(message.text, marks.values())
    results: list[Block] = []
    others: list[Block] = []
    for number, item in enumerate(message.items, start=1):
        if isinstance(item, ToolResult):
            results.append(_result(item, ids))
        elif isinstance(item, Text) and item.text.strip():
            others.append({"text": item.text})
        elif isinstance(item, Attachment):
            others.append(_attachment(item, names))
        else:
            continue
        if number in marks:
            others.append(cache_point(marks[number]))
    has_document = any("document" in block for block in others)
    if has_document and not any("text" in block for block in others):
        others.append({"text": _PLACEHOLDER})
    return results + others


def _result(item: ToolResult, ids: RequestCallIds) -> Block:
    # JSON is sent as text too: the API accepts objects alone as JSON, and text is what the tool wrote.
    result: Block = {
        "toolUseId": ids.of_result(item.call_id),
        "content": [{"text": item.output if item.output.strip() else _NO_OUTPUT}],
    }
    if item.is_error:
        result["status"] = "error"
    return {"toolResult": result}


def _attachment(item: Attachment, names: DocumentNames) -> Block:
    if item.url is not None:
        raise LLMRejected("Amazon Bedrock reads no attachments by their address")
    if item.is_text:
        text = item.readable_text()
        return {"text": text if text.strip() else _PLACEHOLDER}
    source = {"bytes": base64_string(item.content or b"")}
    if (image := _IMAGES.get(item.media_type)) is not None:
        return {"image": {"format": image, "source": source}}
    if (document := _DOCUMENTS.get(item.media_type)) is not None:
        name = names.of(item.name)
        return {"document": {"format": document, "name": name, "source": source}}
    raise LLMRejected("Amazon Bedrock does not read attachments of this type")


def _tool_config(prompt: Prompt, dialect: Dialect, points: CachePoints) -> dict[str, object]:
    """Return the tools and whether they must be called; empty for none.

    The API has no setting against calls, so tools are left out then, unless calls in the messages demand some.
    """
    if not prompt.may_call_tools:
        called = called_names(prompt)
        return {"tools": [_tool(Tool(name=name), dialect) for name in called]} if called else {}
    choice = prompt.tool_choice
    tools: Sequence[Tool] = prompt.tools
    if choice is not None and choice.names:
        tools = [tool for tool in tools if tool.name in choice.names] or tools
    written: list[Block] = []
    for tool in tools:
        written.append(_tool(tool, dialect))
        if (mark := points.tools.get(tool.name)) is not None:
            written.append(cache_point(mark))
    config: dict[str, object] = {"tools": written}
    if choice is not None:
        if choice.mode is not ToolMode.REQUIRED:
            config["toolChoice"] = {"auto": {}}
        elif len(choice.names) == 1:
            config["toolChoice"] = {"tool": {"name": TOOL_NAMES.sent(choice.names[0])}}
        else:
            config["toolChoice"] = {"any": {}}
    return config


def _tool(tool: Tool, dialect: Dialect) -> dict[str, object]:
    specification: dict[str, object] = {
        "name": TOOL_NAMES.sent(tool.name),
        "inputSchema": {"json": arguments_schema(tool.parameters)},
    }
    if tool.description:
        specification["description"] = tool.description
    if tool.is_strict and dialect.strict_tools:
        specification["strict"] = True
    return {"toolSpec": specification}


def _text_format(wanted: ResponseFormat) -> dict[str, object]:
    schema: dict[str, object] = {
        "schema": orjson.dumps(supported_schema(orjson.loads(wanted.schema or "{}"))).decode(),
        "name": TOOL_NAMES.sent(wanted.name),
    }
    if wanted.description:
        schema["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
