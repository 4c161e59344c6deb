"""Tools, calls and results at POST /v1/chat."""

import json
from socket import create_server
from typing import Any

import pytest

from domain.entities.items import NOT_CARRIED_OUT, Text, ToolResult
from domain.entities.prompt import Role
from domain.entities.reply import ReasoningDelta
from domain.entities.tools import ReasoningEffort, ResponseFormat, ToolChoice, ToolMode
from domain.exceptions import LLMUnavailable
from tests.http.tool_chats import (
    ANSWER,
    CALLING,
    CALLS,
    RESULTS,
    SELECTED,
    STOP,
    TOOLS,
    application,
    chat,
    errors_of,
    events_of,
    newest,
)

STORED_RESULTS = (
    ToolResult(call_id="call_1", output='{"celsius":22}', is_json=True),
    ToolResult(call_id="call_2", output="noon", is_error=True),
)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode=ToolMode.NONE)),
        ("required", ToolChoice(mode=ToolMode.REQUIRED)),
        ({"name": "get_time"}, ToolChoice(mode=ToolMode.REQUIRED, names=("get_time",))),
    ],
)
async def test_tools_and_the_choice_reach_the_model(
    choice: object, expected: ToolChoice | None
) -> None:
    app = application()
    async with app.client() as client:
        response = await chat(client, tools=TOOLS, toolChoice=choice, reasoningEffort="low")
    assert response.status_code == 200
    (prompt,) = app.llm.asked
    weather, time = prompt.tools
    assert (weather.name, weather.description) == ("get_weather", "Weather of a city.")
    assert json.loads(weather.parameters or "") == TOOLS[0]["parameters"]
    assert (time.name, time.description, time.parameters) == ("get_time", "", None)
    assert prompt.tool_choice == expected
    assert prompt.reasoning_effort is ReasoningEffort.LOW
    assert newest(app).prompt.tools == prompt.tools


async def test_a_choice_without_tools_is_not_sent_to_the_model() -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        response = await chat(
            client, conversationId="c", toolResults=RESULTS, userPrompt=None, toolChoice="none"
        )
    assert response.status_code == 200
    assert app.llm.asked[1].tool_choice is None


async def test_a_call_is_an_event_of_its_own_and_is_kept_as_it_came() -> None:
    app = application((SELECTED, ReasoningDelta("Which "), ReasoningDelta("city?"), *CALLING[1:]))
    async with app.client() as client:
        events = events_of(await chat(client, tools=TOOLS, stream=True))
    assert [name for name, _ in events] == [
        *("meta", "reasoning", "reasoning", "tool_call", "tool_call", "done"),
    ]
    assert [json.loads(data) for name, data in events if name == "tool_call"] == [
        {"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}},
        {"id": "call_2", "name": "get_time", "arguments": {}},
    ]
    done = json.loads(events[-1][1])
    assert (done["status"], done["finishReason"]) == ("completed", "tool_calls")
    kept = newest(app)
    assert (kept.text, kept.reasoning, kept.tool_calls) == ("", "Which city?", CALLS)


@pytest.mark.parametrize("question", [None, "And tomorrow?"])
async def test_results_go_to_the_model_after_their_calls(question: str | None) -> None:
    app = application(CALLING)
    async with app.client() as client:
        first = await chat(client, tools=TOOLS, conversationId="c")
        second = await chat(
            client, conversationId="c", tools=TOOLS, toolResults=RESULTS, userPrompt=question
        )
    assert (first.status_code, second.status_code) == (200, 200)
    asked, called, answered = app.llm.asked[1].messages
    assert (asked.role, asked.text) == (Role.USER, "How warm is it?")
    assert (called.role, called.items) == (Role.ASSISTANT, CALLS)
    texts = () if question is None else (Text(text=question),)
    assert answered.items == (*STORED_RESULTS, *texts)
    assert second.json()["userPrompt"] == (question or "")
    assert newest(app).prompt.results == STORED_RESULTS


async def test_a_loop_of_several_rounds_stays_whole() -> None:
    app = application(CALLING, CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        for _ in range(2):
            body: dict[str, Any] = {"toolResults": RESULTS, "userPrompt": None, "tools": TOOLS}
            assert (await chat(client, conversationId="c", **body)).status_code == 200
        await chat(client, conversationId="c", userPrompt="Thanks.")
    roles = [message.role for message in app.llm.asked[-1].messages]
    assert roles == [Role.USER, Role.ASSISTANT] * 3 + [Role.USER]
    assert app.llm.asked[-1].messages[-1].items == ()


@pytest.mark.parametrize(
    ("results", "pointer", "message"),
    [
        (
            [*RESULTS, {"callId": "call_9", "output": ""}],
            "/toolResults",
            "no open call has such an id: call_9",
        ),
        ([*RESULTS, RESULTS[0]], "/toolResults", "no open call has such an id: call_1"),
        ([{"callId": "a b", "output": ""}], "/toolResults", "no open call has such an id: ?"),
    ],
)
async def test_a_result_of_no_open_call_is_refused_with_its_id(
    results: list[dict[str, object]], pointer: str, message: str
) -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        response = await chat(client, conversationId="c", toolResults=results, userPrompt=None)
    assert errors_of(response) == {pointer: message}
    assert len(app.llm.asked) == len(app.history.kept) == 1


async def test_no_result_is_taken_twice() -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        body = {"toolResults": RESULTS, "userPrompt": None}
        assert (await chat(client, conversationId="c", **body)).status_code == 200
        again = await chat(client, conversationId="c", **body)
        elsewhere = await chat(client, conversationId="d", **body)
    expected = {"/toolResults": "no open call has such an id: call_1, call_2"}
    assert errors_of(again) == errors_of(elsewhere) == expected


async def test_missing_results_are_refused_with_the_ids() -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        response = await chat(client, conversationId="c", toolResults=RESULTS[:1])
        assert errors_of(response, "tool-results-missing") == {
            "/toolResults": "no result for call_2"
        }
        complete = await chat(client, conversationId="c", toolResults=RESULTS)
    assert complete.status_code == 200


async def test_open_calls_are_settled_once_and_in_writing() -> None:
    app = application(CALLING)
    settled = tuple(
        ToolResult(call_id=call.id, output=NOT_CARRIED_OUT, is_error=True) for call in CALLS
    )
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        await chat(client, conversationId="c", userPrompt="Never mind.")
        assert newest(app).prompt.results == settled
        assert newest(app).prompt.text == "Never mind."
        assert app.llm.asked[-1].messages[-1].items == (*settled, Text(text="Never mind."))
        late = await chat(client, conversationId="c", toolResults=RESULTS)
        assert "/toolResults" in errors_of(late)
        await chat(client, conversationId="c", userPrompt="Bye.")
    assert newest(app).prompt.results == ()
    sent = [item for message in app.llm.asked[-1].messages for item in message.items]
    assert [item for item in sent if isinstance(item, ToolResult)] == list(settled)


async def test_calls_stay_open_where_the_next_turn_failed() -> None:
    app = application(CALLING, (SELECTED, LLMUnavailable("p broke off")))
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        failed = await chat(client, conversationId="c", userPrompt="Never mind.")
        answered = await chat(client, conversationId="c", toolResults=RESULTS)
    assert (failed.status_code, answered.status_code) == (502, 200)


def a_tool(**changes: object) -> dict[str, object]:
    return {"name": "f", **changes}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tools": [a_tool(name=f"f{number}") for number in range(129)]}, "/tools"),
        ({"tools": [a_tool(name="9f")]}, "/tools/0/name"),
        ({"tools": [a_tool(name="f" * 65)]}, "/tools/0/name"),
        ({"tools": [a_tool(name="get.weather")]}, "/tools/0/name"),
        ({"tools": [a_tool(name="f\n")]}, "/tools/0/name"),
        ({"tools": [a_tool(name="ä")]}, "/tools/0/name"),
        ({"tools": [a_tool(), a_tool()]}, "/tools"),
        ({"tools": [a_tool(description="\0")]}, "/tools/0/description"),
        ({"tools": [a_tool(strict=True)]}, "/tools/0/strict"),
        ({"tools": [a_tool(parameters={"type": "objekt"})]}, "/tools/0/parameters"),
        ({"tools": [a_tool(parameters={"type": "string"})]}, "/tools/0/parameters"),
        ({"tools": [a_tool(parameters={"$ref": "https://x.test/s"})]}, "/tools/0/parameters"),
        ({"tools": [a_tool(parameters={"$ref": "#/$defs/a"})]}, "/tools/0/parameters"),
        ({"tools": [a_tool(parameters=[])]}, "/tools/0/parameters"),
        ({"toolChoice": "required"}, "/toolChoice"),
        ({"tools": [a_tool()], "toolChoice": {"name": "g"}}, "/toolChoice"),
        ({"toolResults": RESULTS}, "/toolResults"),
        ({"toolResults": [{"callId": "", "output": 1}]}, "/toolResults/0/callId"),
        ({"toolResults": [{"callId": "a", "output": "\0"}]}, "/toolResults/0/output"),
        ({"toolResults": [{"callId": "a"}]}, "/toolResults/0/output"),
        ({"userPrompt": None}, "/userPrompt"),
        ({"userPrompt": None, "toolResults": []}, "/userPrompt"),
        ({"responseSchema": {"type": 1}}, "/responseSchema"),
        ({"responseSchema": "{}"}, "/responseSchema"),
        ({"responseSchema": {"pattern": "("}}, "/responseSchema"),
        ({"reasoningEffort": "xhigh"}, "/reasoningEffort"),
        ({"metadata": {f"n{number}": "" for number in range(17)}}, "/metadata"),
        ({"metadata": {"a": "x" * 513}}, "/metadata/a"),
        ({"metadata": {"a": 1}}, "/metadata/a"),
        ({"previousId": "not-an-id"}, "/previousId"),
        ({"background": "yes please"}, "/background"),
    ],
)
async def test_what_is_not_valid_is_refused_with_its_field(
    body: dict[str, object], pointer: str
) -> None:
    app = application()
    async with app.client() as client:
        errors = errors_of(await chat(client, **body))
    assert any(found == pointer or found.startswith(f"{pointer}/") for found in errors), errors
    assert app.llm.asked == []


JAVASCRIPT_PATTERN = r"^[\w-\.]+@"
UNCHECKED_SCHEMAS = [
    {"type": "object", "properties": {"to": {"type": "string", "pattern": JAVASCRIPT_PATTERN}}},
    {"type": "object", "patternProperties": {JAVASCRIPT_PATTERN: {"pattern": "[^]"}}},
    {"type": "object", "properties": {"pattern": {"pattern": JAVASCRIPT_PATTERN}}},
    {"type": "object", "$schema": "https://x.test/schema"},
]


@pytest.mark.parametrize("schema", UNCHECKED_SCHEMAS)
async def test_patterns_and_drafts_that_are_not_known_here_go_to_the_model(
    schema: dict[str, object],
) -> None:
    app = application()
    async with app.client() as client:
        response = await chat(client, tools=[a_tool(parameters=schema)])
    assert response.status_code == 200, response.text
    assert json.loads(app.llm.asked[0].tools[0].parameters or "") == schema


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "with references to parts of itself only"),
        ({"$ref": "#/$defs/missing"}, "with references to parts of itself only"),
        ({"patternProperties": {"[^]": {"type": "objekt"}}}, "must be a JSON Schema"),
    ],
)
async def test_other_faults_next_to_such_a_pattern_are_refused(
    changes: dict[str, object], reason: str
) -> None:
    with create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema"
        schema = {"pattern": JAVASCRIPT_PATTERN, "$schema": address, "$ref": address} | changes
        app = application()
        async with app.client() as client:
            errors = errors_of(await chat(client, tools=[a_tool(parameters=schema)]))
        with pytest.raises(BlockingIOError):
            server.accept()  # nothing was fetched
    assert list(errors) == ["/tools/0/parameters"]
    assert reason in errors["/tools/0/parameters"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"pattern": JAVASCRIPT_PATTERN}, "must be a JSON Schema whose patterns are supported"),
        ({"$schema": "https://x.test/schema"}, "must be a JSON Schema of a known `$schema`, "),
        ({"type": "objekt"}, "must be a JSON Schema"),
    ],
)
async def test_a_schema_that_answers_cannot_be_checked_against_is_refused_with_the_reason(
    schema: dict[str, object], reason: str
) -> None:
    app = application()
    async with app.client() as client:
        errors = errors_of(await chat(client, responseSchema=schema))
    assert reason in errors["/responseSchema"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"toolChoice": "foo"}, ["/toolChoice"]),
        ({"toolChoice": 5}, ["/toolChoice"]),
        ({"toolChoice": {"name": "9f"}}, ["/toolChoice/name"]),
        ({"toolChoice": {"nam": "f"}}, ["/toolChoice/name", "/toolChoice/nam"]),
        ({"metadata": {"": "x"}}, ["/metadata/"]),
        ({"metadata": {"x" * 65: "x"}}, ["/metadata/?"]),
        ({"metadata": {"a": 1, "b": 1}}, ["/metadata/a", "/metadata/b"]),
    ],
)
async def test_errors_name_fields_and_not_the_types_that_they_could_have(
    body: dict[str, object], pointers: list[str]
) -> None:
    app = application()
    async with app.client() as client:
        errors = errors_of(await chat(client, tools=[a_tool()], **body))
    assert list(errors) == pointers


async def test_128_tools_are_taken() -> None:
    app = application()
    async with app.client() as client:
        response = await chat(client, tools=[a_tool(name=f"f{number}") for number in range(128)])
    assert response.status_code == 200
    assert len(app.llm.asked[0].tools) == 128


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"tools": TOOLS}, "does not support tools; models that do: m, calls"),
        ({"responseSchema": {}}, "does not support json_schema; models that do: m"),
        (
            {"tools": TOOLS, "responseSchema": {}, "model": "calls"},
            "does not support json_schema; models that do: m",
        ),
    ],
)
async def test_a_model_that_cannot_is_named_with_those_that_can(
    body: dict[str, object], message: str
) -> None:
    app = application()
    async with app.client() as client:
        response = await chat(client, **{"model": "plain", **body})
    assert errors_of(response, "unsupported-by-model") == {"/model": message}
    assert app.history.kept == {}


async def test_a_conversation_with_calls_needs_a_model_with_tools() -> None:
    app = application(CALLING)
    async with app.client() as client:
        await chat(client, tools=TOOLS, conversationId="c")
        response = await chat(client, model="plain", conversationId="c", userPrompt="Never mind.")
        assert errors_of(response, "unsupported-by-model") == {
            "/model": "does not support tools; models that do: m, calls"
        }
        settled = await chat(client, conversationId="c", userPrompt="Never mind.")
    assert settled.status_code == 200
    assert len(app.history.kept) == 2


async def test_the_same_key_replays_the_calls() -> None:
    app = application((SELECTED, ReasoningDelta("Hm."), "Let me see.", *CALLING[1:]))
    async with app.client() as client:
        key = {"Idempotency-Key": "k"}
        body = {"tools": TOOLS, "stream": True}
        first = events_of(await chat(client, headers=key, **body))
        again = await chat(client, headers=key, **body)
        other = await chat(client, headers=key, tools=TOOLS[:1], stream=True)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert events_of(again) == first
    assert (other.status_code, len(app.llm.asked)) == (422, 1)
    assert other.json()["type"] == "/problems/idempotency-mismatch"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_after_reasoning_alone_has_a_status_of_its_own(stream: bool) -> None:
    app = application((SELECTED, ReasoningDelta("Hm."), LLMUnavailable("p broke off")))
    async with app.client() as client:
        response = await chat(client, stream=stream)
    assert response.status_code == 502
    assert (newest(app).status, newest(app).reasoning) == ("failed", "Hm.")


async def test_reasoning_of_an_attempt_that_failed_is_not_sent() -> None:
    app = application(
        (SELECTED, ReasoningDelta("Hm."), SELECTED, ReasoningDelta("Ah."), *ANSWER[1:])
    )
    async with app.client() as client:
        events = events_of(await chat(client, stream=True))
    assert [name for name, _ in events] == ["meta", "reasoning", "delta", "done"]
    assert json.loads(events[1][1]) == {"text": "Ah."}
    assert newest(app).reasoning == "Ah."


async def test_a_stream_of_reasoning_alone_is_sent_whole() -> None:
    app = application((SELECTED, ReasoningDelta("Hm."), STOP))
    async with app.client() as client:
        events = events_of(await chat(client, stream=True))
    assert [name for name, _ in events] == ["meta", "reasoning", "done"]


async def test_an_empty_schema_asks_for_any_json() -> None:
    app = application()
    async with app.client() as client:
        await chat(client, responseSchema={})
    assert app.llm.asked[0].response_format == ResponseFormat(schema="{}")


async def test_a_text_chat_asks_for_nothing_more() -> None:
    app = application()
    async with app.client() as client:
        await chat(client, metadata={"a": "b"})
    (prompt,) = app.llm.asked
    assert prompt == type(prompt).from_text("How warm is it?")
    assert newest(app).metadata == {"a": "b"}
