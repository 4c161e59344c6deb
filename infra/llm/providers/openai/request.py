"""The JSON of Chat Completions: requests to OpenAI, OpenRouter, Ollama, vLLM and llama.cpp."""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

import orjson

from domain.entities.items import (
    Attachment,
    Item,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.tools import ResponseFormat, Tool, ToolMode
from infra.llm.transport.base64_json import base64_string
from infra.llm.transport.call_identifiers import ToolNames
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.item_json import metadata_object

KIND = "openai"
TOOL_NAMES = ToolNames(r"[A-Za-z0-9_-]{1,64}")

DETAILS = "reasoning_details"
FIELD = "reasoning_field"
EXTRA = "extra_content"
"""Names in the metadata of this kind, whose value is the JSON of an object.

Of reasoning: the array of `reasoning_details` to send back, or the name of the field that the text was received in. Of a
call: its `extra_content`.
"""

_OPENAI_HOSTS = (".openai.com", ".openai.azure.com")
_MOST_KEY_CHARACTERS = 64
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
_CALL_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SHORT_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")


def limit_field(base_url: str) -> str:
    """Return a server's name for the limit on output: OpenAI's newer models reject the old name, others need it."""
    return "max_completion_tokens" if is_openai(base_url) else "max_tokens"


def is_openai(base_url: str) -> bool:
    """Return whether the server is OpenAI's own, or Azure's."""
    host = urlsplit(base_url).hostname or ""
    return f".{host}".endswith(_OPENAI_HOSTS)


def request_body(prompt: Prompt, dialect: Dialect, *, model: str, family: str) -> bytes:
    """Return the body of a request; options the caller did not set are not sent.

    Args:
        prompt: In the dialect. A last message of the assistant is a partial answer to continue.
        dialect: Of the server.
        model: The provider's name for the model.
        family: Metadata of this family is sent back.
    """
    messages: list[dict[str, object]] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    for message in prompt.messages:
        if not message.items:
            messages.append({"role": message.role.value, "content": message.text})
        else:
            messages += _messages(message, dialect, family)
    body: dict[str, object] = {"model": model, "messages": messages, "stream": dialect.stream}
    if dialect.stream and dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.max_output_tokens is not None:
        body[dialect.limit_field] = prompt.max_output_tokens
    if prompt.top_p is not None:
        body["top_p"] = prompt.top_p
    if prompt.stop:
        body["stop"] = prompt.stop
    if prompt.seed is not None:
        body["seed"] = prompt.seed
    if prompt.tools:
        _add_tools(body, prompt, dialect)
    if prompt.response_format is not None:
        body["response_format"] = _response_format(prompt.response_format)
    if prompt.reasoning_effort is not None:
        body["reasoning_effort"] = prompt.reasoning_effort.value
    caching = prompt.caching
    if caching is not None and caching.key is not None and dialect.prompt_cache_key:
        body["prompt_cache_key"] = _cache_key(caching.key)
    return orjson.dumps(body)


def _cache_key(key: str) -> str:
    """Return a key of a length that OpenAI accepts."""
    if len(key) <= _MOST_KEY_CHARACTERS:
        return key
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def _messages(message: Message, dialect: Dialect, family: str) -> list[dict[str, object]]:
    if message.role is Role.ASSISTANT:
        return _answer(message.items, dialect, family)
    messages: list[dict[str, object]] = [
        {
            "role": "tool",
            "tool_call_id": _call_id(item.call_id, dialect),
            "content": _content_of(item),
        }
        for item in message.items
        if isinstance(item, ToolResult)
    ]
    if any(isinstance(item, Attachment) for item in message.items):
        parts = [part for item in message.items if (part := _content_part(item)) is not None]
        messages.append({"role": "user", "content": parts})
    elif message.text:
        messages.append({"role": "user", "content": message.text})
    return messages


def _content_part(item: Item) -> dict[str, object] | None:
    if isinstance(item, Text) and item.text:
        return {"type": "text", "text": item.text}
    if not isinstance(item, Attachment):
        return None
    if item.is_text and item.url is None:
        return {"type": "text", "text": item.readable_text()}
    kind, _, subtype = item.media_type.partition("/")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": item.url or _data_url(item)}}
    if kind == "audio" and item.content is not None:
        data = base64_string(item.content)
        return {
            "type": "input_audio",
            "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)},
        }
    file = {"filename": item.name or "document", "file_data": item.url or _data_url(item)}
    return {"type": "file", "file": file}


def _data_url(item: Attachment) -> orjson.Fragment:
    return base64_string(item.content or b"", f"data:{item.media_type};base64,")


def _answer(items: Iterable[Item], dialect: Dialect, family: str) -> list[dict[str, object]]:
    texts: list[str] = []
    calls: list[dict[str, object]] = []
    reasoning: list[Reasoning] = []
    for item in items:
        match item:
            case Text():
                texts.append(item.text)
            case Reasoning():
                reasoning.append(item)
            case ToolCall():
                function = {"name": TOOL_NAMES.sent(item.name), "arguments": item.arguments}
                call: dict[str, object] = {
                    "id": _call_id(item.id, dialect),
                    "type": "function",
                    "function": function,
                }
                if (
                    extra := metadata_object(item.metadata, kind=KIND, family=family).get(EXTRA)
                ) is not None:
                    call[EXTRA] = extra
                calls.append(call)
    text = "".join(texts)
    if not text and not calls:
        return []
    message: dict[str, object] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    return [message | _reasoning_fields(reasoning, dialect, family, has_calls=bool(calls))]


def _reasoning_fields(
    reasoning: Sequence[Reasoning], dialect: Dialect, family: str, *, has_calls: bool
) -> dict[str, object]:
    """Return the fields in which reasoning is sent back to the models that it came from."""
    field = dialect.reasoning_field
    if field == "none":
        return {}
    details: list[object] = []
    texts: dict[str, str] = {}
    for item in reasoning:
        own = metadata_object(item.metadata, kind=KIND, family=family)
        found = own.get(DETAILS)
        if isinstance(found, list) and field in (None, DETAILS):
            details += found
        elif own and field is not None:
            texts[field] = texts.get(field, "") + item.text
        elif isinstance(received_in := own.get(FIELD), str):
            texts[received_in] = texts.get(received_in, "") + item.text
    if details:
        return {DETAILS: details}
    if field == DETAILS:
        return {}
    if field is not None and has_calls:
        texts.setdefault(field, "")  # required with calls, even where there was no reasoning
    return dict(texts)


def _content_of(result: ToolResult) -> str:
    """Return the content of a result; there is no field for errors."""
    if result.is_error and not result.is_json:
        return f"Error: {result.output}"
    return result.output


def _call_id(call_id: str, dialect: Dialect) -> str:
    """Return an id that the server accepts: the same one for a call and its result."""
    pattern, length = (_SHORT_CALL_ID, 9) if dialect.short_call_ids else (_CALL_ID, 32)
    if pattern.fullmatch(call_id):
        return call_id
    digest = sha256(call_id.encode(errors="surrogatepass")).hexdigest()
    return digest[:length]


def _add_tools(body: dict[str, object], prompt: Prompt, dialect: Dialect) -> None:
    choice = prompt.tool_choice
    tools: Sequence[Tool] = prompt.tools
    if choice is not None and choice.names:
        # not every server supports OpenAI's `allowed_tools`
        tools = [tool for tool in tools if tool.name in choice.names] or tools
    body["tools"] = [_tool(tool) for tool in tools]
    if choice is not None:
        body["tool_choice"] = choice.mode.value
        if choice.mode is ToolMode.REQUIRED and len(choice.names) == 1:
            chosen = {"name": TOOL_NAMES.sent(choice.names[0])}
            body["tool_choice"] = {"type": "function", "function": chosen}
    if prompt.parallel_tool_calls is not None and dialect.parallel_tool_calls:
        body["parallel_tool_calls"] = prompt.parallel_tool_calls


def _tool(tool: Tool) -> dict[str, object]:
    function: dict[str, object] = {"name": TOOL_NAMES.sent(tool.name)}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = orjson.Fragment(tool.parameters)
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return {"type": "function", "function": function}


def _response_format(wanted: ResponseFormat) -> dict[str, object]:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, object] = {"name": wanted.name, "schema": orjson.Fragment(wanted.schema)}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.is_strict is not None:
        schema["strict"] = wanted.is_strict
    return {"type": "json_schema", "json_schema": schema}
