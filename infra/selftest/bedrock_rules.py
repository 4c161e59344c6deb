"""The rules for requests whose violation Amazon Bedrock answers with status 400."""

import re
from collections.abc import Collection
from typing import Any

from infra.selftest.request_rules import Violation

_FIELDS = frozenset(
    {
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "outputConfig",
        "additionalModelRequestFields",
        "guardrailConfig",
    }
)
_OF_ROLE = {
    "user": frozenset({"text", "image", "document", "toolResult", "cachePoint"}),
    "assistant": frozenset({"text", "toolUse", "reasoningContent", "cachePoint"}),
}
_IMAGES = frozenset({"png", "jpeg", "gif", "webp"})
_DOCUMENTS = frozenset({"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"})
_MOST_DOCUMENTS = 5
_MOST_POINTS = 4
_MOST_IMAGES = 20
_CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DOCUMENT_NAME = re.compile(r"(?!.*  )[a-zA-Z0-9 ()\[\]-]{1,200}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})


def check_bedrock(body: Any, issued: Collection[tuple[str, str]] | None = None) -> None:
    """Check a request of `Converse` or `ConverseStream`.

    Args:
        body: Its JSON.
        issued: The texts of reasoning that were sent, each with its signature; None accepts any.

    Raises:
        Violation: Amazon Bedrock would reject it.
    """
    _known(body, _FIELDS, "request")
    _check_points(body)
    _check_guardrail(body.get("guardrailConfig", {}))
    for block in body.get("system", []):
        is_text = set(block) == {"text"} and bool(block["text"].strip())
        _require(is_text or "cachePoint" in block, "system: blank text")
    config = body.get("inferenceConfig", {})
    _known(config, {"maxTokens", "temperature", "topP", "stopSequences"}, "inferenceConfig")
    _require(config.get("maxTokens", 1) >= 1, "maxTokens: must be at least 1")
    _require(0 <= config.get("temperature", 0) <= 1, "temperature: must be at most 1")
    _require(0 <= config.get("topP", 0) <= 1, "topP: must be at most 1")
    _check_output(body.get("outputConfig", {}))
    kinds = {next(iter(block)) for each in body["messages"] for block in each["content"]}
    has_calls = not kinds.isdisjoint({"toolUse", "toolResult"})
    if "toolConfig" in body:
        _check_tools(body["toolConfig"])
    _require(
        "toolConfig" in body or not has_calls,
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    )
    _check_messages(body["messages"], issued)


def _check_points(body: Any) -> None:
    places = [
        body.get("system", []),
        body.get("toolConfig", {}).get("tools", []),
        *(message["content"] for message in body["messages"]),
    ]
    points = [block["cachePoint"] for place in places for block in place if "cachePoint" in block]
    _require(len(points) <= _MOST_POINTS, "A maximum of 4 blocks with cachePoint may be provided.")
    for point in points:
        _known(point, {"type", "ttl"}, "cachePoint")
        is_valid = point.get("type") == "default" and point.get("ttl", "5m") in ("5m", "1h")
        _require(is_valid, "cachePoint: invalid")
    for place in places:
        before: Any = None
        for block in place:
            follows = before is not None and not {"cachePoint", "reasoningContent"} & set(before)
            _require("cachePoint" not in block or follows, "cachePoint: nothing to cache before it")
            before = block


def _check_guardrail(config: Any) -> None:
    _known(config, {"guardrailIdentifier", "guardrailVersion", "trace"}, "guardrailConfig")
    is_whole = ("guardrailIdentifier" in config) is ("guardrailVersion" in config)
    _require(is_whole, "guardrailConfig: identifier and version are both required")
    is_known = config.get("trace", "disabled") in ("enabled", "enabled_full", "disabled")
    _require(is_known, "guardrailConfig.trace: unknown")


def _check_output(output: Any) -> None:
    _known(output, {"textFormat", "effort"}, "outputConfig")
    _require(output.get("effort", "low") in _EFFORTS, "effort: unknown")
    if "textFormat" in output:
        wanted = output["textFormat"]
        _require(wanted["type"] == "json_schema", "textFormat.type: unknown")
        schema = wanted["structure"]["jsonSchema"]
        _known(schema, {"schema", "name", "description"}, "jsonSchema")
        _require(isinstance(schema["schema"], str), "jsonSchema.schema: must be a string")
        _require(_TOOL_NAME.fullmatch(schema["name"]) is not None, "jsonSchema.name: invalid")


def _check_tools(config: Any) -> None:
    _known(config, {"tools", "toolChoice"}, "toolConfig")
    _require(bool(config["tools"]), "toolConfig.tools: must have at least 1 member")
    names = set()
    for tool in config["tools"]:
        if "cachePoint" in tool:
            continue
        _require(set(tool) == {"toolSpec"}, "tools: unknown member")
        spec = tool["toolSpec"]
        _known(spec, {"name", "description", "inputSchema", "strict"}, "toolSpec")
        _require(_TOOL_NAME.fullmatch(spec["name"]) is not None, "toolSpec.name: invalid")
        _require(spec["name"] not in names, "The toolConfig contains tools with the same name.")
        _require(bool(spec.get("description", "x")), "toolSpec.description: must not be empty")
        is_object = spec["inputSchema"]["json"].get("type") == "object"
        _require(is_object, "The value at toolSpec.inputSchema.json.type must be object.")
        names.add(spec["name"])
    choice = config.get("toolChoice", {"auto": {}})
    ((kind, value),) = choice.items()
    _require(kind in ("auto", "any", "tool"), "toolChoice: unknown member")
    _require(kind != "tool" or value["name"] in names, "toolChoice.tool.name: no such tool")


def _check_messages(messages: Any, issued: Collection[tuple[str, str]] | None) -> None:
    _require(bool(messages), "messages: must have at least 1 member")
    is_begun = messages[0]["role"] == "user"
    _require(is_begun, "A conversation must start with a user message.")
    open_ids: list[str] = []
    documents: list[str] = []
    images = 0
    before = None
    for message in messages:
        _known(message, {"role", "content"}, "message")
        role, blocks = message["role"], message["content"]
        _require(role in _OF_ROLE, "messages: unknown role")
        _require(role != before, "A conversation must alternate between user and assistant roles.")
        before = role
        _require(bool(blocks), "The content field in the Message object is empty.")
        for block in blocks:
            _require(len(block) == 1, "ContentBlock: exactly one member is required")
            _check_block(next(iter(block)), block, role, issued)
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        _require(
            sorted(results) == sorted(open_ids)
            and all("toolResult" in block for block in blocks[: len(results)]),
            "Expected toolResult blocks at messages.content for the following Ids, or the number of toolResult blocks"
            f" exceeds the number of toolUse blocks of previous turn: {open_ids} {results}",
        )
        open_ids = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        _require(len(set(open_ids)) == len(open_ids), "toolUse: duplicate Ids")
        names = [block["document"]["name"] for block in blocks if "document" in block]
        has_text = any("text" in block for block in blocks)
        _require(has_text or not names, "A document needs a text block beside it.")
        documents += names
        images += sum("image" in block for block in blocks)
    _require(not open_ids, f"Expected toolResult blocks for the following Ids: {open_ids}")
    _require(len(documents) <= _MOST_DOCUMENTS, "too many documents")
    _require(images <= _MOST_IMAGES, "too many images")
    _require(len(set(documents)) == len(documents), "Messages contain duplicate document names.")
    if before == "assistant":
        last = messages[-1]["content"][-1].get("text", "")
        _require(last == last.rstrip(), "final assistant content cannot end with white space")


def _check_block(
    kind: str, block: Any, role: str, issued: Collection[tuple[str, str]] | None
) -> None:
    _require(kind in _OF_ROLE[role], f"{kind}: not allowed in messages of this role")
    content = block[kind]
    if kind == "text":
        _require(bool(content.strip()), "The text field in the ContentBlock object is blank.")
    elif kind == "toolUse":
        _known(content, {"toolUseId", "name", "input"}, kind)
        _require(_CALL_ID.fullmatch(content["toolUseId"]) is not None, "toolUseId: invalid")
        _require(_TOOL_NAME.fullmatch(content["name"]) is not None, "toolUse.name: invalid")
        _require(isinstance(content["input"], dict), "toolUse.input: must be an object")
    elif kind == "toolResult":
        _known(content, {"toolUseId", "content", "status"}, kind)
        _require(content.get("status", "success") in ("success", "error"), "status: unknown")
        for part in content["content"]:
            _require(bool(part["text"].strip()), "text content blocks must be non-empty")
    elif kind == "reasoningContent":
        _check_reasoning(content, issued)
    elif kind != "cachePoint":
        formats = _IMAGES if kind == "image" else _DOCUMENTS
        _require(content["format"] in formats, f"{kind}.format: unknown")
        data = content["source"]["bytes"]
        _require(_BASE64.fullmatch(data) is not None, f"{kind}.source.bytes: not base64")
        if kind == "document":
            _require(
                _DOCUMENT_NAME.fullmatch(content["name"]) is not None, "document.name: invalid"
            )


def _check_reasoning(content: Any, issued: Collection[tuple[str, str]] | None) -> None:
    if "redactedContent" in content:
        _require(_BASE64.fullmatch(content["redactedContent"]) is not None, "not base64")
        return
    text = content["reasoningText"]
    _known(text, {"text", "signature"}, "reasoningText")
    is_ours = issued is None or (text["text"], text["signature"]) in issued
    _require(is_ours, "Invalid `signature` in `thinking` block")


def _known(found: Any, fields: Collection[str], place: str) -> None:
    _require(isinstance(found, dict), f"{place}: must be an object")
    for name in found:
        _require(name in fields, f"{place}.{name}: extraneous key is not permitted")


def _require(is_met: bool, message: str) -> None:
    if not is_met:
        raise Violation(message)
