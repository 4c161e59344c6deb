"""The rules for requests whose violation Anthropic answers with status 400."""

import re
from collections.abc import Collection
from typing import Any

from infra.selftest.request_rules import Violation

_FIELDS = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "stream",
        "temperature",
        "top_p",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
    }
)
_BLOCK_FIELDS = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source", "title"},
    "tool_use": {"id", "name", "input"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
}
_SOURCE_FIELDS = {"base64": {"media_type", "data"}, "url": {"url"}}
_OF_ROLE = {
    "user": frozenset({"text", "image", "document", "tool_result"}),
    "assistant": frozenset({"text", "tool_use", "thinking", "redacted_thinking"}),
}
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_LEAST_BUDGET = 1024


def check_anthropic(body: Any, issued: Collection[tuple[str, str]] | None = None) -> None:
    """Check a request of the Messages API.

    Args:
        body: Its JSON.
        issued: The texts of thinking that were sent, each with its signature; None accepts any.

    Raises:
        Violation: Anthropic would reject it.
    """
    _known(body, _FIELDS, "request")
    _require(bool(body.get("model")), "model: Field required")
    limit = body.get("max_tokens")
    _require(type(limit) is int and limit > 0, "max_tokens: Field required")
    _require(0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")
    for sequence in body.get("stop_sequences", []):
        _require(bool(sequence.strip()), "stop_sequences: each must contain non-whitespace")
    for block in _blocks(body.get("system", [])):
        _check_block(block, "user", issued)
    _check_cache_control(body)
    _check_tools(body)
    _check_output(body.get("output_config", {}))
    _check_messages(body["messages"], issued)
    _check_thinking(body)


def _check_tools(body: Any) -> None:
    names = set()
    for tool in body.get("tools", []):
        _known(tool, {"name", "description", "input_schema", "strict", "cache_control"}, "tools.0")
        _require(_NAME.fullmatch(tool["name"]) is not None, "tools.0.name: String should match")
        _require(tool["name"] not in names, "tools: Tool names must be unique.")
        is_object = tool["input_schema"].get("type") == "object"
        _require(is_object, "tools.0.input_schema.type: Field required")
        names.add(tool["name"])
    choice = body.get("tool_choice")
    if choice is not None:
        _require(bool(names), "tool_choice may only be specified while providing tools.")
        _known(choice, {"type", "name", "disable_parallel_tool_use"}, "tool_choice")
        _require(choice["type"] in ("auto", "any", "tool", "none"), "tool_choice: Input tag")
        is_named = (choice["type"] == "tool") is ("name" in choice)
        _require(is_named, "tool_choice.name: Field required")
        _require(choice.get("name") in {None, *names}, "Tool not found in provided tools")
    kinds = {block["type"] for each in body["messages"] for block in _blocks(each["content"])}
    has_calls = not kinds.isdisjoint({"tool_use", "tool_result"})
    _require(
        bool(names) or not has_calls,
        "Requests which have tool blocks in messages must define tools",
    )


def _check_cache_control(body: Any) -> None:
    places = [body, *_blocks(body.get("system", [])), *body.get("tools", [])]
    places += [block for message in body["messages"] for block in _blocks(message["content"])]
    controls = [place["cache_control"] for place in places if "cache_control" in place]
    _require(len(controls) <= 4, "A maximum of 4 blocks with cache_control may be provided.")
    for control in controls:
        _known(control, {"type", "ttl"}, "cache_control")
        is_valid = control["type"] == "ephemeral" and control.get("ttl", "5m") in ("5m", "1h")
        _require(is_valid, "cache_control: Input should be")


def _check_output(config: Any) -> None:
    _known(config, {"effort", "format"}, "output_config")
    _require(config.get("effort", "low") in _EFFORTS, "output_config.effort: Input should be")
    if (wanted := config.get("format")) is not None:
        _known(wanted, {"type", "schema"}, "output_config.format")
        _require(wanted["type"] == "json_schema", "output_config.format.type: Input should be")
        _check_schema(wanted["schema"])


def _check_schema(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _check_schema(part)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        is_closed = schema.get("additionalProperties") is False
        _require(
            is_closed, "For 'object' type, 'additionalProperties' must be explicitly set to false"
        )
    unsupported = schema.keys() & {"minLength", "maxLength", "minimum", "maximum", "pattern"}
    _require(not unsupported, f"Unsupported schema keywords: {sorted(unsupported)}")
    for keyword, part in schema.items():
        if keyword in ("properties", "$defs"):
            _check_schema(list(part.values()))
        elif keyword not in ("enum", "const", "default"):
            _check_schema(part)


def _check_messages(messages: Any, issued: Collection[tuple[str, str]] | None) -> None:
    _require(bool(messages), "messages: at least one message is required")
    _require(messages[0]["role"] == "user", 'messages: first message must use the "user" role')
    used: set[str] = set()
    open_ids: list[str] = []
    before = None
    for message in messages:
        _known(message, {"role", "content"}, "message")
        role = message["role"]
        _require(role in _OF_ROLE, "messages: Unexpected role")
        _require(role != before, "messages: roles must alternate")
        before = role
        blocks = _blocks(message["content"])
        _require(bool(blocks), "messages: all messages must have non-empty content")
        results = [block for block in blocks if block["type"] == "tool_result"]
        answered = sorted(block["tool_use_id"] for block in results)
        _require(
            answered == sorted(open_ids) and blocks[: len(results)] == results,
            "`tool_use` ids were found without `tool_result` blocks immediately after, or the reverse:"
            f" {open_ids} {answered}",
        )
        open_ids = []
        for block in blocks:
            _check_block(block, role, issued)
            if block["type"] == "tool_use":
                _require(block["id"] not in used, "`tool_use` ids must be unique")
                _require(_NAME.fullmatch(block["name"]) is not None, "tool_use.name: should match")
                used.add(block["id"])
                open_ids.append(block["id"])
    _require(not open_ids, f"`tool_use` ids were found without `tool_result` blocks: {open_ids}")
    if before == "assistant":
        last = _blocks(messages[-1]["content"])[-1].get("text", "")
        _require(
            last == last.rstrip(), "final assistant content cannot end with trailing whitespace"
        )


def _check_block(block: Any, role: str, issued: Collection[tuple[str, str]] | None) -> None:
    kind = block["type"]
    _require(kind in _OF_ROLE[role], f"{kind} is not allowed in messages of {role}")
    marked = set() if "thinking" in kind else {"cache_control"}
    _known(block, {"type", *_BLOCK_FIELDS[kind], *marked}, kind)
    if kind == "text":
        has_text = bool(block["text"].strip())
        _require(has_text, "text content blocks must contain non-whitespace text")
    elif kind == "tool_use":
        _require(_ID.fullmatch(block["id"]) is not None, "tool_use.id: String should match pattern")
        _require(isinstance(block["input"], dict), "tool_use.input: Input should be an object")
    elif kind == "thinking":
        is_ours = issued is None or (block["thinking"], block["signature"]) in issued
        _require(is_ours, "Invalid `signature` in `thinking` block")
    elif kind in ("image", "document"):
        source = block["source"]
        _known(source, {"type", *_SOURCE_FIELDS[source["type"]]}, "source")
        if source["type"] == "base64":
            allowed = _IMAGES if kind == "image" else {"application/pdf"}
            _require(source["media_type"] in allowed, "source.media_type: Input should be")


def _check_thinking(body: Any) -> None:
    thinking = body.get("thinking")
    if thinking is None or thinking == {"type": "disabled"}:
        return
    _known(thinking, {"type", "budget_tokens", "display"}, "thinking")
    is_forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    _require(not is_forced, "Thinking may not be enabled when tool_choice forces tool use.")
    is_sampled = "temperature" in body or "top_p" in body
    _require(not is_sampled, "`temperature` may only be set to 1 when thinking is enabled.")
    if thinking["type"] == "adaptive":
        return
    _require(thinking["type"] == "enabled", "thinking: Input tag does not match")
    is_valid = _LEAST_BUDGET <= thinking["budget_tokens"] < body["max_tokens"]
    _require(is_valid, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    for message in reversed(body["messages"]):
        kinds = [block["type"] for block in _blocks(message["content"])]
        if message["role"] == "user" and "tool_result" not in kinds:
            return
        if "tool_use" in kinds:
            is_first = kinds[0] in ("thinking", "redacted_thinking")
            _require(
                is_first,
                f"Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`. When `thinking` is enabled, a"
                " final `assistant` message must start with a thinking block.",
            )


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _known(found: Any, fields: Collection[str], place: str) -> None:
    _require(isinstance(found, dict), f"{place}: Input should be a valid dictionary")
    for name in found:
        _require(name in fields, f"{place}.{name}: Extra inputs are not permitted")


def _require(is_met: bool, message: str) -> None:
    if not is_met:
        raise Violation(message)
