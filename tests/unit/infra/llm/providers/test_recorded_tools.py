"""Recorded answers with tool calls, reasoning or a schema, and what goes back in the next request."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer

from domain.entities.interaction import Interaction
from domain.entities.items import Reasoning, ToolResult, tool_calls
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Reply
from domain.entities.tools import Tool
from domain.use_cases.record_answer import AnswerRecorder
from infra.llm.providers.anthropic.answer import AnthropicReader
from infra.llm.providers.anthropic.request import request_body as anthropic_body
from infra.llm.providers.bedrock.answer import BedrockReader
from infra.llm.providers.bedrock.request import request_body as bedrock_body
from infra.llm.providers.gemini.answer import GeminiReader
from infra.llm.providers.gemini.request import request_body as gemini_body
from infra.llm.providers.openai.answer import OpenAIReader
from infra.llm.providers.openai.request import request_body as openai_body
from infra.llm.transport.dialect import Dialect
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.stream_decoder import ReceivedAnswer
from infra.selftest.bedrock_rules import check_bedrock
from infra.selftest.request_rules import check_gemini, check_openai
from tests.fakes.anthropic_rules import check_anthropic
from tests.fakes.chat_contexts import a_chat_context
from tests.fakes.clock import FakeClock
from tests.fakes.recordings import Recording, recordings

FAMILY = "f"
ALL = {
    recording.name: recording
    for kind in (
        "anthropic",
        "bedrock",
        "gemini",
        "openai",
        "openrouter",
        "deepseek",
        "mistral",
        "vertex",
    )
    for recording in recordings(kind)
    if recording.response["status"] == 200 and "count_tokens" not in recording.name
}
pytestmark = pytest.mark.skipif(not ALL, reason="the recordings are not at hand")

CALLS: dict[str, list[tuple[str, Any]]] = {
    "anthropic_parallel_tool_calls_0": [
        ("retrieve_entity_info", {"name": name}) for name in ("Alice", "Bob", "Charlie", "Daisy")
    ],
    "anthropic_tool_with_thinking_0": [("get_user_country", {})],
    "bedrock_stream_tool_use_0": [("get_temperature", {"city": "Paris"})],
    "gemini_stream_tool_call_with_signature_0": [("get_country", {})],
    "gemini_tool_calls_in_sequence_0": [("get_capital", {"country": "France"})],
    "gemini_tool_calls_in_sequence_1": [("get_capital", {"country": "La France"})],
    "gemini_tool_without_arguments_forced_0": [("bar", {})],
    "gemini_tool_without_arguments_forced_1": [("final_result", {"bar": "hello"})],
    "gemini_tools_auto_0": [("get_weather", {"city": "Paris"})],
    "mistral_stream_tool_call_fragments_0": [
        ("webSearchTool", {"query": "current Berlin weather"})
    ],
    "openai_compatible_tool_call_index_from_one_0": [("read_file", {"path": "a.txt"})],
    "openai_json_schema_and_tool_0": [("get_user_country", {})],
    "openai_stream_tool_call_0": [("get_capital", {"country": "UK"})],
    "openai_tool_calls_without_id_0": [("get_current_time", {})],
    "vertex_stream_tool_call_arguments_0": [
        ("getWeather", {"location": city}) for city in ("Boston", "San Francisco")
    ],
    "vertex_stream_tool_call_without_arguments_0": [
        ("read_theme", {}),
        *[("read_screen", {"id": screen}) for screen in ("A", "B", "C")],
    ],
    "openrouter_tool_call_0": [
        ("divide", {"numerator": 123, "denominator": 456, "on_inf": "infinity"})
    ],
}
REASONED = {
    "anthropic_stream_thinking_0",
    "anthropic_tool_with_thinking_0",
    "gemini_stream_thoughts_0",
    "vertex_stream_tool_call_without_arguments_0",
    "deepseek_stream_reasoning_0",
    "openrouter_stream_reasoning_details_0",
    "openrouter_reasoning_sent_back_1",
    "openrouter_generate_ok",
}


def following_name(name: str) -> str:
    """Return the name of the next recording of a conversation."""
    conversation, _, number = name.rpartition("_")
    return f"{conversation}_{int(number) + 1}" if number.isdigit() else ""


CONVERSATIONS = sorted(
    name
    for name in ALL
    if following_name(name) in ALL and not name.startswith(("anthropic", "bedrock"))
)


def is_anthropic(name: str) -> bool:
    return name.startswith("anthropic")


def is_bedrock(name: str) -> bool:
    return name.startswith("bedrock")


def is_gemini(name: str) -> bool:
    return name.startswith(("gemini", "vertex"))


def read(recording: Recording) -> tuple[Interaction, Reply]:
    """Read a recorded answer, in pieces of 100 bytes."""
    reader: AnswerReader = OpenAIReader(FAMILY)
    if is_gemini(recording.name):
        reader = GeminiReader(FAMILY)
    elif is_anthropic(recording.name):
        reader = AnthropicReader(FAMILY)
    elif is_bedrock(recording.name):
        reader = BedrockReader(FAMILY)
    answer = ReceivedAnswer("p", reader, {}, max_bytes=1 << 20, may_call=True)
    recorder = AnswerRecorder(a_chat_context(), Prompt.from_text("Hi"), FakeClock())
    body = b"".join(step for step in recording.as_stream().steps if isinstance(step, bytes))
    for start in range(0, len(body) + 100, 100):
        if answer.is_over:
            break
        received = answer.take(body[start : start + 100])
        for event in (received,) if isinstance(received, str) else received:
            if event != "":
                recorder.add(event)  # type: ignore[arg-type]
    *events, reply = answer.end(lambda usage: usage)
    assert isinstance(reply, Reply)
    for event in events:
        recorder.add(event)  # type: ignore[arg-type]
    return recorder.completed(reply), reply


@pytest.mark.parametrize(
    "name", [name for name in ALL if "block" not in name and name != "openrouter_stream_error"]
)
def test_calls_and_reasoning_of_a_recording_are_read(name: str) -> None:
    interaction, reply = read(ALL[name])
    calls = [(call.name, orjson.loads(call.arguments)) for call in interaction.tool_calls]
    assert calls == CALLS.get(name, [])
    assert all(call.id for call in interaction.tool_calls)
    if calls:
        assert reply.finish_reason is FinishReason.TOOL_CALLS
    assert bool(interaction.reasoning) is (name in REASONED)
    sent = [value for value in found(ALL[name], "thoughtSignature") if is_gemini(name)]
    kept = [item.metadata.value for item in interaction.items if item.metadata] if sent else []
    assert kept == sent


def test_every_recording_with_tools_is_expected() -> None:
    with_calls = {
        name
        for name, recording in ALL.items()
        if any(found(recording, "functionCall"))
        or any(found(recording, "tool_calls"))
        or "tool_use" in found(recording, "type")
        or any(found(recording, "toolUse"))
    }
    assert with_calls == set(CALLS)


def found(recording: Recording, field: str) -> list[Any]:
    """Return all values of a field in a recorded answer."""
    if "base64" in recording.response:
        buffer = EventStreamBuffer()
        buffer.add_data(recording.body)
        events = [orjson.loads(message.payload) for message in buffer]
        return [value for event in events for value in _values(event, field)]
    if "text" not in recording.response:
        return list(_values(recording.response["json"], field))
    lines = [line[5:] for line in recording.text.splitlines() if line.startswith("data:")]
    documents = [orjson.loads(line) for line in lines if line.strip() != "[DONE]"]
    return [value for document in documents for value in _values(document, field)]


def _values(document: Any, field: str) -> Iterator[Any]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name == field and value:
                yield value
            yield from _values(value, field)
    elif isinstance(document, list):
        for value in document:
            yield from _values(value, field)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_calls_results_and_signatures_go_back_as_they_were_accepted(name: str) -> None:
    """The conversation is rebuilt from our reading of each answer, up to the recorded next request."""
    base, _, number = name.rpartition("_")
    following = ALL[following_name(name)].request["json"]
    if is_gemini(name):
        accepted = following["contents"]
        messages = [_gemini_user(accepted[0])]
    else:
        accepted = [message for message in following["messages"] if message["role"] != "system"]
        messages = [Message(role=Role.USER, text=accepted[0]["content"])]
    for turn in range(int(number) + 1):
        interaction, _ = read(ALL[f"{base}_{turn}"])
        items = interaction.items
        messages.append(Message(role=Role.ASSISTANT, text=interaction.text, items=items))
        sent_back = accepted[2 * turn + 2]
        results = tuple(
            ToolResult(
                call_id=call.id,
                output=orjson.dumps(output).decode() if not isinstance(output, str) else output,
                is_json=not isinstance(output, str),
            )
            for call, output in zip(tool_calls(items), outputs_in(sent_back), strict=True)
        )
        text = "" if results else sent_back["content"]
        messages.append(Message(role=Role.USER, text=text, items=results))
    tools = tuple(Tool(name=call) for call in ("x",))
    prompt = Prompt(messages=tuple(messages), tools=tools)
    if is_gemini(name):
        body = orjson.loads(gemini_body(prompt, upstream="gemini-3-pro", family=FAMILY))
        check_gemini(body)
        assert without_ids(body["contents"]) == as_we_write(accepted)
    else:
        body = orjson.loads(openai_body(prompt, Dialect(), model="m", family=FAMILY))
        check_openai(body)
        ids = {call["id"] for message in body["messages"] for call in message.get("tool_calls", ())}
        known = {value for value in found(ALL[name], "id") if str(value).startswith("call_")}
        assert not known or known == ids
        assert openai_form(body["messages"]) == openai_form(accepted)


@pytest.mark.parametrize("name", ["anthropic_parallel_tool_calls", "anthropic_tool_with_thinking"])
def test_anthropic_s_calls_results_and_thinking_go_back_as_they_were_accepted(name: str) -> None:
    interaction, _ = read(ALL[f"{name}_0"])
    accepted = ALL[f"{name}_1"].request["json"]
    question, said, sent_back = accepted["messages"]
    results = tuple(
        ToolResult(call_id=block["tool_use_id"], output=block["content"])
        for block in sent_back["content"]
    )
    messages = (
        Message(role=Role.USER, text=question["content"][0]["text"]),
        Message(role=Role.ASSISTANT, text=interaction.text, items=interaction.items),
        Message(role=Role.USER, text="", items=results),
    )
    prompt = Prompt(messages=messages, tools=(Tool(name="x"),))
    body = orjson.loads(
        anthropic_body(prompt, Dialect(), model="m", family=FAMILY, max_tokens=4096)
    )
    check_anthropic(body)
    assert body["messages"][1] == said
    for block in sent_back["content"]:
        assert block.pop("is_error") is False
    assert body["messages"][2] == sent_back


def test_bedrock_s_calls_and_results_go_back_as_they_were_accepted() -> None:
    interaction, _ = read(ALL["bedrock_stream_tool_use_0"])
    accepted = ALL["bedrock_stream_tool_use_1"].request["json"]
    question, _said, sent_back = accepted["messages"]
    (block,) = sent_back["content"]
    result = block["toolResult"]
    messages = (
        Message(role=Role.USER, text=question["content"][0]["text"]),
        Message(role=Role.ASSISTANT, text=interaction.text, items=interaction.items),
        Message(
            role=Role.USER,
            text="",
            items=(ToolResult(call_id=result["toolUseId"], output=result["content"][0]["text"]),),
        ),
    )
    tools = tuple(
        Tool(
            name=spec["name"],
            description=spec["description"],
            parameters=orjson.dumps(spec["inputSchema"]["json"]).decode(),
        )
        for spec in (tool["toolSpec"] for tool in accepted["toolConfig"]["tools"])
    )
    prompt = Prompt(messages=messages, tools=tools, system=accepted["system"][0]["text"], top_p=0.5)
    body = orjson.loads(
        bedrock_body(prompt, Dialect(), upstream="m", family=FAMILY, max_tokens=None)
    )
    check_bedrock(body)
    assert result.pop("status") == "success"  # the default
    assert body == accepted


def _gemini_user(content: Any) -> Message:
    return Message(role=Role.USER, text="".join(part["text"] for part in content["parts"]))


def outputs_in(sent_back: Any) -> list[Any]:
    """Return the outputs of the results in a recorded content or message."""
    if "parts" in sent_back:
        return [
            part["functionResponse"]["response"]
            for part in sent_back["parts"]
            if "functionResponse" in part
        ]
    return [sent_back["content"]] if sent_back["role"] == "tool" else []


def without_ids(contents: Any) -> Any:
    """Return a copy of Gemini's contents without the ids of calls."""
    contents = deepcopy(contents)
    for content in contents:
        for part in content["parts"]:
            for kind in ("functionCall", "functionResponse"):
                part.get(kind, {}).pop("id", None)
    return contents


def as_we_write(contents: Any) -> Any:
    """Return accepted contents with the form of signatures that the server sent, and ours of errors."""
    contents = without_ids(contents)
    for content in contents:
        for part in content["parts"]:
            if "thoughtSignature" in part:
                plain = part["thoughtSignature"].replace("-", "+").replace("_", "/")
                part["thoughtSignature"] = plain
            elif "functionCall" in part:
                part["thoughtSignature"] = "skip_thought_signature_validator"
            response = part.get("functionResponse", {})
            if "error" in response.get("response", {}):
                response["response"] = {"output": response["response"]}
    return contents


def openai_form(messages: Any) -> Any:
    """Return what counts of messages: role, text and the functions called."""
    form = []
    for message in messages:
        calls = [call["function"] for call in message.get("tool_calls", ())]
        form.append((message["role"], message.get("content") or "", calls))
    return form


def test_reasoning_details_go_back_unchanged() -> None:
    for name in ("openrouter_reasoning_sent_back_1", "openrouter_generate_ok"):
        interaction, _ = read(ALL[name])
        answer = Message(role=Role.ASSISTANT, text=interaction.text, items=interaction.items)
        prompt = Prompt(messages=(Message(role=Role.USER, text="Hi"), answer))
        body = orjson.loads(openai_body(prompt, Dialect(), model="m", family=FAMILY))
        (details,) = found(ALL[name], "reasoning_details")
        assert body["messages"][1]["reasoning_details"] == details
        assert any(isinstance(item, Reasoning) for item in interaction.items)
