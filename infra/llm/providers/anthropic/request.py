"""Anthropic's JSON: requests of the Messages API."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from domain.entities.items import (
    Attachment,
    Item,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    tool_calls,
)
from domain.entities.prompt import CacheMark, Message, Prompt, Role
from domain.entities.tools import ResponseFormat, Tool, ToolMode
from infra.llm.providers.anthropic.schema import supported_schema
from infra.llm.providers.anthropic.thinking import thinking_of
from infra.llm.transport.call_identifiers import RequestCallIds, ToolNames
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.item_json import arguments_object, arguments_schema, metadata_object
from infra.llm.transport.json_instructions import json_instructions

KIND = "anthropic"
TOOL_NAMES = ToolNames(r"[A-Za-z0-9_-]{1,128}")

SIGNATURE = "signature"
DATA = "data"
"""Names in the metadata of this kind, whose value is the JSON of an object.

Of reasoning: the signature of its text, or the data of reasoning that is encrypted.
"""

DEFAULT_MAX_TOKENS = 8192
"""The limit on output, which Anthropic requires, where neither the caller nor the catalogue states one."""

Block = dict[str, object]

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST_ID = 128
_MOST_TEMPERATURE = 1.0
_FIRST_QUESTION = "."
"""Stands before a conversation that begins with an answer, since the first message must be the user's."""


def request_body(
    prompt: Prompt, dialect: Dialect, *, model: str, family: str, max_tokens: int
) -> bytes:
    """Return the body of a request; options the caller did not set are not sent.

    Args:
        prompt: In the dialect. A last message of the assistant is a partial answer to continue.
        dialect: Of the server.
        model: Anthropic's name for the model.
        family: Metadata of this family is sent back.
        max_tokens: The limit on output if the caller set none.
    """
    limit = prompt.max_output_tokens or max_tokens
    messages = _messages(prompt.messages, family)
    body: dict[str, object] = {
        "model": model,
        "max_tokens": limit,
        "messages": messages,
        "stream": dialect.stream,
    }
    wanted = prompt.response_format
    if system := _system(prompt):
        body["system"] = system
    if stop := [sequence for sequence in prompt.stop if sequence.strip()]:
        body["stop_sequences"] = stop
    _add_tools(body, prompt, dialect)
    output: dict[str, object] = {}
    thinking: dict[str, object] | None = None
    if prompt.reasoning_effort is not None:
        turns = [
            (message["role"], [block["type"] for block in _blocks_of(message["content"])])
            for message in messages
        ]
        thinking, effort = thinking_of(
            prompt, prompt.reasoning_effort, model=model, limit=limit, turns=turns
        )
        if effort is not None:
            output["effort"] = effort
    if wanted is not None and wanted.schema is not None:
        output["format"] = {"type": "json_schema", "schema": _response_schema(wanted)}
    if thinking is not None:
        body["thinking"] = thinking
    if output:
        body["output_config"] = output
    # Sampling and thinking exclude each other.
    if thinking is None or thinking["type"] == "disabled":
        if prompt.temperature is not None:
            body["temperature"] = min(prompt.temperature, _MOST_TEMPERATURE)
        if prompt.top_p is not None:
            body["top_p"] = prompt.top_p
    caching = prompt.caching
    if caching is not None and caching.whole is not None:
        body["cache_control"] = _cache_control(caching.whole)
    return orjson.dumps(body)


def _system(prompt: Prompt) -> str | list[Block]:
    """Return the instructions: a text, or blocks that end at the marks of the caller; empty for none."""
    system = prompt.system
    wanted = prompt.response_format
    more = ""
    if wanted is not None and wanted.schema is None:
        more = json_instructions(wanted)
        more = f"\n\n{more}" if system else more
    if prompt.caching is None or not prompt.caching.system:
        return system + more if (system + more).strip() else ""
    marks = [replace(mark, position=len(system) - mark.position) for mark in prompt.caching.system]
    blocks = _text_blocks(system, marks)
    return [*blocks, {"type": "text", "text": more}] if more else blocks


def _text_blocks(text: str, marks: Iterable[CacheMark]) -> list[Block]:
    """Return `text` as blocks that end at `marks`, by the number of characters before them."""
    blocks: list[Block] = []
    start = 0
    for mark in sorted(marks, key=lambda mark: mark.position):
        if text[start : mark.position].strip():
            block = {"type": "text", "text": text[start : mark.position]}
            blocks.append({**block, "cache_control": _cache_control(mark)})
            start = mark.position
    if text[start:].strip():
        blocks.append({"type": "text", "text": text[start:]})
    return blocks


def _cache_control(mark: CacheMark) -> Block:
    return {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl else {"type": "ephemeral"}


def _messages(messages: Sequence[Message], family: str) -> list[dict[str, object]]:
    """Return messages whose roles alternate, beginning with the user's."""
    ids = RequestCallIds(_ID, longest=_LONGEST_ID)
    written: list[dict[str, object]] = []
    for message in messages:
        content: str | list[Block] = message.text
        if message.items:
            marks = {mark.position - 1: mark for mark in message.cache_marks}
            if message.role is Role.ASSISTANT:
                content = _answer_blocks(message.items, family, ids, marks)
            else:
                content = _user_blocks(message.items, ids, marks)
        elif message.cache_marks:
            content = _text_blocks(message.text, message.cache_marks)
        if message.role is Role.ASSISTANT and not _has_content(content):
            continue
        role = message.role.value
        if written and written[-1]["role"] == role:
            blocks = [*_blocks_of(written[-1]["content"]), *_blocks_of(content)]
            written[-1]["content"] = sorted(blocks, key=_is_after_results)
            continue
        if not written and message.role is Role.ASSISTANT:
            written.append({"role": Role.USER.value, "content": _FIRST_QUESTION})
        written.append({"role": role, "content": content})
    return written


def _has_content(content: str | list[Block]) -> bool:
    return bool(content.strip() if isinstance(content, str) else content)


def _blocks_of(content: object) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return content if isinstance(content, list) else []


def _is_after_results(block: Block) -> bool:
    return block["type"] != "tool_result"


def _answer_blocks(
    items: Iterable[Item], family: str, ids: RequestCallIds, marks: Mapping[int, CacheMark]
) -> list[Block]:
    blocks: list[Block] = []
    for position, item in enumerate(items):
        match item:
            case Text():
                if item.text.strip():
                    blocks.append({"type": "text", "text": item.text})
            case Reasoning():
                if (block := _thinking_block(item, family)) is not None:
                    blocks.append(block)
            case ToolCall():
                blocks.append(
                    {
                        "type": "tool_use",
                        "id": ids.of_call(item.id),
                        "name": TOOL_NAMES.sent(item.name),
                        "input": arguments_object(item.arguments),
                    }
                )
        if position in marks and blocks and blocks[-1]["type"] in _MAY_BE_MARKED:
            blocks[-1]["cache_control"] = _cache_control(marks[position])
    return blocks


_MAY_BE_MARKED = ("text", "tool_use")


def _thinking_block(item: Reasoning, family: str) -> Block | None:
    metadata = metadata_object(item.metadata, kind=KIND, family=family)
    if isinstance(data := metadata.get(DATA), str):
        return {"type": "redacted_thinking", "data": data}
    if isinstance(signature := metadata.get(SIGNATURE), str):
        return {"type": "thinking", "thinking": item.text, "signature": signature}
    return None


def _user_blocks(
    items: Sequence[Item], ids: RequestCallIds, marks: Mapping[int, CacheMark]
) -> list[Block]:
    """Return the results first, which the API demands, then the rest."""
    results: list[Block] = []
    others: list[Block] = []
    for position, item in enumerate(items):
        if isinstance(item, ToolResult):
            block = _result(item, ids)
            results.append(block)
        elif isinstance(item, Text) and item.text.strip():
            block = {"type": "text", "text": item.text}
            others.append(block)
        elif isinstance(item, Attachment):
            block = _attachment(item)
            others.append(block)
        else:
            continue
        if position in marks:
            block["cache_control"] = _cache_control(marks[position])
    return results + others


def _result(item: ToolResult, ids: RequestCallIds) -> Block:
    result: Block = {"type": "tool_result", "tool_use_id": ids.of_result(item.call_id)}
    if item.output:
        result["content"] = item.output
    if item.is_error:
        result["is_error"] = True
    return result


def _attachment(item: Attachment) -> Block:
    if item.is_text and item.url is None:
        return {"type": "text", "text": item.readable_text()}
    source: Block
    if item.url is not None:
        source = {"type": "url", "url": item.url}
    else:
        data = b64encode(item.content or b"").decode()
        source = {"type": "base64", "media_type": item.media_type, "data": data}
    if item.media_type.startswith("image/"):
        return {"type": "image", "source": source}
    document: Block = {"type": "document", "source": source}
    if item.name:
        document["title"] = item.name
    return document


def _add_tools(body: dict[str, object], prompt: Prompt, dialect: Dialect) -> None:
    if not prompt.tools:
        called = {
            call.name: None for message in prompt.messages for call in tool_calls(message.items)
        }
        if called:  # calls in the messages need tools
            body["tools"] = [_tool(Tool(name=name), dialect) for name in called]
            body["tool_choice"] = {"type": "none"}
        return
    choice = prompt.tool_choice
    tools: Sequence[Tool] = prompt.tools
    if choice is not None and choice.names:
        tools = [tool for tool in tools if tool.name in choice.names] or tools
    written = [_tool(tool, dialect) for tool in tools]
    body["tools"] = written
    if prompt.caching is not None:
        marks = {
            TOOL_NAMES.sent(prompt.tools[mark.position - 1].name): mark
            for mark in prompt.caching.tools
        }
        for tool in written:
            if (mark := marks.get(str(tool["name"]))) is not None:
                tool["cache_control"] = _cache_control(mark)
    mode = ToolMode.AUTO if choice is None else choice.mode
    calling: dict[str, object] = {"type": _MODES[mode]}
    if choice is not None and mode is ToolMode.REQUIRED and len(choice.names) == 1:
        calling = {"type": "tool", "name": TOOL_NAMES.sent(choice.names[0])}
    if prompt.parallel_tool_calls is False and mode is not ToolMode.NONE:
        calling["disable_parallel_tool_use"] = True
    if choice is not None or len(calling) > 1:
        body["tool_choice"] = calling


_MODES = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.REQUIRED: "any"}


def _tool(tool: Tool, dialect: Dialect) -> dict[str, object]:
    written: dict[str, object] = {
        "name": TOOL_NAMES.sent(tool.name),
        "input_schema": arguments_schema(tool.parameters),
    }
    if tool.description:
        written["description"] = tool.description
    if tool.is_strict and dialect.strict_tools:
        written["strict"] = True
    return written


def _response_schema(wanted: ResponseFormat) -> object:
    schema = supported_schema(orjson.loads(wanted.schema or "{}"))
    if wanted.description and isinstance(schema, dict):
        schema.setdefault("description", wanted.description)  # there is no other place for it
    return schema
