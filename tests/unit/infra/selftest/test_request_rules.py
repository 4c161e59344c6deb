"""Requests that real providers reject, and those that they accept."""

from typing import Any

import pytest

from infra.selftest.request_rules import PLACEHOLDER, Violation, check_gemini, check_openai

ASKED = {"role": "user", "parts": [{"text": "Hi"}]}
CALL = {"functionCall": {"id": "1", "name": "x", "args": {}}, "thoughtSignature": "s"}
RESPONSE = {"functionResponse": {"id": "1", "name": "x", "response": {"output": "ok"}}}


def called(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def responded(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def without(part: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != field}


def response(**changes: Any) -> dict[str, Any]:
    return {"functionResponse": RESPONSE["functionResponse"] | changes}


@pytest.mark.parametrize(
    "contents",
    [
        [ASKED],
        [ASKED, called(CALL), responded(RESPONSE)],
        [ASKED, called(CALL | {"thoughtSignature": PLACEHOLDER}), responded(RESPONSE)],
        [ASKED, called(CALL, without(CALL, "thoughtSignature")), responded(RESPONSE, RESPONSE)],
        [ASKED, called(without(CALL, "thoughtSignature")), responded(RESPONSE), ASKED],
        [ASKED, called({"text": "", "thoughtSignature": "t"})],
    ],
)
def test_gemini_accepts(contents: list[Any]) -> None:
    check_gemini({"contents": contents}, {"s": "x"})


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([], "contents are required"),
        ([ASKED, called(CALL)], "without function responses"),
        ([ASKED, called(CALL), ASKED], "number of function response parts"),
        ([ASKED, responded(RESPONSE)], "number of function response parts"),
        ([ASKED, called(CALL), responded(RESPONSE, RESPONSE)], "number of function response"),
        ([ASKED, called(CALL), responded(RESPONSE, {"text": "a"})], "number of function response"),
        ([ASKED, called(CALL), responded(response(name="y"))], "does not match"),
        ([ASKED, called(CALL), responded(response(id="2"))], "does not match"),
        ([ASKED, called(CALL), responded(response(response="ok"))], "must be a Struct"),
        (
            [ASKED, called(without(CALL, "thoughtSignature")), responded(RESPONSE)],
            "missing a thought_signature in functionCall parts.*`default_api:x`, position 2",
        ),
        ([ASKED, called(CALL | {"thoughtSignature": "t"}), responded(RESPONSE)], "not valid"),
        ([responded(CALL), responded(RESPONSE)], "must be of the model"),
        ([called(CALL), responded(RESPONSE)], "immediately after a user turn"),
        ([ASKED, called({"text": "a"}), called(CALL), responded(RESPONSE)], "immediately after"),
        ([ASKED, called({"text": ""})], "empty text"),
        ([ASKED, called({"text": "a", "functionCall": {}})], "required oneof"),
        ([ASKED, called({"text": "a", "other": 1})], 'Unknown name "other"'),
    ],
)
def test_gemini_rejects(contents: list[Any], message: str) -> None:
    with pytest.raises(Violation, match=message):
        check_gemini({"contents": contents}, {"s": "x"})


def config(mode: str, *names: str) -> dict[str, Any]:
    calling = {"mode": mode, **({"allowedFunctionNames": list(names)} if names else {})}
    return {"toolConfig": {"functionCallingConfig": calling}}


TOOLS = {"tools": [{"functionDeclarations": [{"name": "x"}]}]}


@pytest.mark.parametrize(
    "fields",
    [
        config("ANY"),
        {**TOOLS, **config("AUTO", "x")},
        {**TOOLS, **config("ANY", "y")},
        {**TOOLS, **config("SOME")},
        {"tools": [{"functionDeclarations": [{"name": "1x"}]}]},
        {"tools": [{"functionDeclarations": [{"name": "x", "strict": True}]}]},
        {"generationConfig": {"responseJsonSchema": {}}},
        {"generationConfig": {"response_format": {}}},
        {"parallel_tool_calls": False},
    ],
)
def test_gemini_rejects_fields(fields: dict[str, Any]) -> None:
    check_gemini({"contents": [ASKED], **TOOLS, **config("ANY", "x")})
    with pytest.raises(Violation):
        check_gemini({"contents": [ASKED], **fields})


FUNCTION = {"name": "x", "arguments": "{}"}
MADE = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "1", "type": "function", "function": FUNCTION}
]}  # fmt: skip
TOOL = {"role": "tool", "tool_call_id": "1", "content": "ok"}
USER = {"role": "user", "content": "Hi"}
FILES = {"role": "user", "content": [
    {"type": "text", "text": "Look"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([USER, MADE, TOOL], None),
        ([USER, MADE], "did not have response messages: 1"),
        ([USER, MADE, USER], "did not have response messages: 1"),
        ([USER, MADE, TOOL, TOOL], "must be a response to a preceeding message"),
        ([USER, TOOL], "must be a response to a preceeding message"),
        ([USER, MADE, TOOL | {"content": {}}], "Invalid type for 'content'"),
        ([USER, MADE, TOOL | {"name": "x"}], 'Unknown name "name"'),
        ([USER, {"role": "assistant", "content": None}], "expected a string"),
        ([{"role": "model", "content": "a"}], "Invalid value"),
        ([FILES], None),
        ([USER | {"content": []}], "empty array"),
        ([USER | {"content": [{"type": "image"}]}], "Invalid value"),
        ([USER | {"content": [{"type": "file", "file": {"data": "x"}}]}], 'Unknown name "data"'),
        ([USER | {"content": [{"type": "text", "text": 1}]}], "Invalid type for 'text'"),
        ([USER, MADE, TOOL, FILES | {"role": "assistant"}], "expected a string"),
    ],
)
def test_openai_checks_messages(messages: list[Any], message: str | None) -> None:
    body = {"model": "m", "messages": messages}
    if message is None:
        check_openai(body)
        return
    with pytest.raises(Violation, match=message):
        check_openai(body)


ONE_TOOL = [{"type": "function", "function": {"name": "x"}}]
NAMED = {"type": "function", "function": {"name": "y"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "auto"},
        {"parallel_tool_calls": True},
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
        {"tools": ONE_TOOL, "tool_choice": "any"},
        {"tools": ONE_TOOL, "tool_choice": NAMED},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        {"response_format": {"type": "json"}},
        {"reasoning_effort": "extreme"},
        {"thinking": {}},
        {"stream_options": {}},
        {"max_tokens": 1, "max_completion_tokens": 1},
    ],
)
def test_openai_rejects_fields(fields: dict[str, Any]) -> None:
    check_openai({"model": "m", "messages": [USER], "tools": ONE_TOOL, "tool_choice": "auto"})
    with pytest.raises(Violation):
        check_openai({"model": "m", "messages": [USER], **fields})
