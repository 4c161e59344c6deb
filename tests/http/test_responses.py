"""POST /v1/responses and what is read back of it."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.dto.texts import MAX_TEXT_BYTES
from domain.entities.interaction import Status
from domain.entities.items import (
    NOT_CARRIED_OUT,
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from domain.entities.model import Model
from domain.entities.prompt import Role
from domain.entities.reply import (
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Reply,
)
from domain.entities.tools import Capability
from domain.exceptions import ContentBlocked, LLMUnavailable
from tests.fakes.application import ApplicationUnderTest, SeveralModels
from tests.http.response_requests import (
    SEALED,
    TOOLS,
    output,
    refused,
    respond,
    responded,
    streamed,
)
from tests.http.tool_chats import ANSWER, CALLED, CALLING, CALLS, SELECTED, application, newest

WARM = "It is 22 °C."
SIGNATURE = ProviderMetadata(kind="gemini", family="gem", value="c2ln")
SIGNED = replace(CALLS[0], metadata=SIGNATURE)
THINKING = (
    SELECTED,
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    MetadataReceived(metadata=SIGNATURE, is_reasoning=True),
    "I look ",
    "it up.",
    SIGNED,
    CALLED,
)
RESULTS = [output("call_1", "22"), output("call_2", "noon")]
LENGTH = Reply(finish_reason=FinishReason.LENGTH)


def sent(app: ApplicationUnderTest) -> list[tuple[Role, str]]:
    return [(message.role, message.text) for message in app.llm.asked[-1].messages]


async def test_an_answer_is_the_interaction_of_its_id() -> None:
    app = application()
    async with app.client() as client:
        response = await respond(
            client, "How warm is it?", metadata={"a": "b"}, instructions="Be short."
        )
        body = response.json()
        read = await client.get(f"/v1/responses/{body['id']}")
        assert read.json() == body
        head = await client.head(f"/v1/responses/{body['id']}")
        assert (head.status_code, head.content) == (200, b"")
        interaction = newest(app)
        assert body["id"].startswith(f"resp_{interaction.id.replace('-', '')}")
        assert response.headers["x-interaction-id"] == interaction.id
        native = (await client.get(f"/v1/history/ana/{interaction.id}")).json()
    assert (native["userPrompt"], native["response"]) == ("How warm is it?", WARM)
    assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
    assert body["metadata"] == {"a": "b"}
    assert body["instructions"] == "Be short."
    (message,) = body["output"]
    assert message["content"] == [
        {"type": "output_text", "annotations": [], "logprobs": [], "text": WARM}
    ]


async def test_the_events_of_a_text_have_the_order_of_openai_s_api() -> None:
    app = application((SELECTED, "It is ", "22 °C.", ANSWER[-1]))
    async with app.client() as client:
        events = await streamed(client, "How warm is it?")
        stored = (await client.get(f"/v1/responses/{events[0]['response']['id']}")).json()
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[-1]["response"] == stored
    assert events[0]["response"]["status"] == "in_progress"
    assert {event.get("item_id", stored["output"][0]["id"]) for event in events[2:-1]} == {
        stored["output"][0]["id"]
    }


async def test_reasoning_and_calls_have_the_same_ids_in_stream_answer_and_reading() -> None:
    app = application(THINKING, THINKING)
    async with app.client() as client:
        events = await streamed(client, "How warm is it?", tools=TOOLS, include=SEALED)
        final = events[-1]["response"]
        stored = (await client.get(f"/v1/responses/{final['id']}")).json()
        plain = await responded(client, "How warm is it?", tools=TOOLS, include=SEALED)
    kinds = ["reasoning", "message", "function_call", "reasoning"]
    assert [item["type"] for item in final["output"]] == kinds
    assert [item["type"] for item in plain["output"]] == kinds
    assert final["output"][-1]["encrypted_content"]
    assert final["output"][:-1] == stored["output"]
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == (
        final["output"]
    )
    types = [event["type"].removeprefix("response.") for event in events]
    assert [name for name in types if "arguments" in name or "summary" in name] == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
    ]


async def test_each_item_of_an_answer_can_be_referred_to() -> None:
    app = application(THINKING)
    async with app.client() as client:
        answered = await responded(client, "How warm is it?", tools=TOOLS, include=SEALED)
        references = [{"type": "item_reference", "id": item["id"]} for item in answered["output"]]
        given = [{"role": "user", "content": "How warm is it?"}, *references, RESULTS[0]]
        await responded(client, given, tools=TOOLS)
    _, answer, results = app.llm.asked[-1].messages
    assert answer.items == (
        Reasoning(text="Let me see.", metadata=SIGNATURE),
        Text(text="I look it up."),
        SIGNED,
    )
    assert results.items == (ToolResult(call_id="call_1", output="22"),)


@pytest.mark.parametrize(
    "identifier",
    [
        "msg_1",
        "rs_abc",
        "msg_019aabb17c8070008a510f1d2c3b4a5900",
        "fc_ffffffffffffffffffffffffffffffff00",
    ],
)
async def test_a_reference_to_nothing_is_named(identifier: str) -> None:
    async with application().client() as client:
        given = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": identifier}]
        param, message = refused(await respond(client, given), 404, "item_not_found")
    assert param == "input"
    assert identifier in message


async def test_a_reference_needs_the_kind_and_the_position_of_an_item() -> None:
    async with application().client() as client:
        item = (await responded(client, "Hi"))["output"][0]["id"]
        for other in (f"fc_{item[4:]}", f"{item[:-2]}01", f"rs_{item[4:-2]}01"):
            given = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": other}]
            refused(await respond(client, given), 404, "item_not_found")


async def test_ids_of_items_with_content_are_not_looked_up() -> None:
    async with application().client() as client:
        given = [
            {"type": "message", "id": "msg_of_another_service", "role": "user", "content": "Hi"},
            {
                "type": "message",
                "id": "msg_unknown",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
            },
            {"type": "reasoning", "id": "rs_unknown", "summary": [], "encrypted_content": "forged"},
            {"type": None, "role": "user", "content": [{"type": "input_text", "text": "And?"}]},
        ]
        assert (await responded(client, given))["status"] == "completed"


async def test_a_chain_has_all_turns_and_no_instructions_of_earlier_ones() -> None:
    app = application()
    async with app.client() as client:
        first = await responded(client, "one", instructions="Be short.")
        second = await responded(client, "two", previous_response_id=first["id"])
        assert app.llm.asked[-1].system == ""
        await responded(client, "three", previous_response_id=second["id"])
        texts = [text for _, text in sent(app)]
        assert texts == ["one", WARM, "two", WARM, "three"]
        branch = await responded(client, "four", previous_response_id=first["id"])
        assert [text for _, text in sent(app)] == ["one", WARM, "four"]
    assert second["previous_response_id"] == first["id"] == branch["previous_response_id"]
    assert "conversation" not in second


@pytest.mark.parametrize(
    ("given", "more", "param"),
    [
        ("x" * (MAX_TEXT_BYTES + 1), {}, "input"),
        ("ok", {"instructions": "x" * (MAX_TEXT_BYTES + 1)}, "instructions"),
        ([{"role": "user", "content": "x" * MAX_TEXT_BYTES}] * 9, {}, "input"),
        ("a\0b", {}, "input"),
        ("ok", {"instructions": "a\0b"}, "instructions"),
    ],
    ids=["a text", "instructions", "all texts", "nul", "nul in instructions"],
)
async def test_texts_beyond_the_limits_are_refused(
    given: object, more: dict[str, Any], param: str
) -> None:
    app = application()
    async with app.client() as client:
        response = await respond(client, given, **more)
        assert refused(response, 422, "invalid_request")[0] == param
    assert app.history.kept == {}


async def test_a_page_of_input_items_after_an_unknown_one_is_not_found() -> None:
    async with application().client() as client:
        first = await responded(client, "one")
        path = f"/v1/responses/{first['id']}/input_items?after=msg_x"
        refused(await client.get(path), 404, "item_not_found")


async def test_items_of_more_than_a_hundred_responses_are_refused() -> None:
    app = application()
    async with app.client() as client:
        answers = [await responded(client, "one") for _ in range(101)]
        given = [{"type": "item_reference", "id": each["output"][0]["id"]} for each in answers]
        question = {"role": "user", "content": "and?"}
        refused(await respond(client, [*given, question]), 422, "invalid_request")
        await responded(client, [*given[1:], question])


@pytest.mark.parametrize("is_stream", [False, True])
async def test_results_continue_a_chain_with_the_calls_and_their_signatures(
    is_stream: bool,
) -> None:
    app = application(THINKING)
    async with app.client() as client:
        first = await responded(client, "How warm is it?", tools=TOOLS)
        given = [RESULTS[0], {"role": "user", "content": "Please."}]
        body: dict[str, Any] = {"previous_response_id": first["id"], "tools": TOOLS}
        if is_stream:
            events = await streamed(client, given, **body)
            assert events[0]["response"]["previous_response_id"] == first["id"]
        else:
            await responded(client, given, **body)
        native = (await client.get("/v1/history/ana")).json()["history"][0]
    question, answer, results = app.llm.asked[-1].messages
    assert question.text == "How warm is it?"
    assert answer.items[-1] == SIGNED
    assert results.items == (ToolResult(call_id="call_1", output="22"), Text(text="Please."))
    assert (native["userPrompt"], native["toolResults"]) == (
        "Please.",
        [{"callId": "call_1", "output": "22"}],
    )


async def test_calls_sent_again_with_their_results_are_not_repeated() -> None:
    app = application(CALLING)
    async with app.client() as client:
        first = await responded(client, "How warm is it?", tools=TOOLS)
        given = [*first["output"], *RESULTS]
        await responded(client, given, previous_response_id=first["id"], tools=TOOLS)
    _, answer, results = app.llm.asked[-1].messages
    assert answer.items == CALLS
    assert [item.output for item in results.items if isinstance(item, ToolResult)] == ["22", "noon"]


async def test_open_calls_and_results_of_no_call_are_named() -> None:
    app = application(CALLING)
    async with app.client() as client:
        first = await responded(client, "How warm is it?", tools=TOOLS)
        question = {"role": "user", "content": "How warm is it?"}
        missing = await respond(client, [question, *first["output"], RESULTS[0]], tools=TOOLS)
        param, message = refused(missing, 400, "tool_results_missing")
        assert (param, "call_2" in message, "call_1" in message) == ("input", True, False)
        missing = await respond(
            client, [*RESULTS[:1]], previous_response_id=first["id"], tools=TOOLS
        )
        assert "call_2" in refused(missing, 400, "tool_results_missing")[1]
        for body in ({}, {"previous_response_id": first["id"]}):
            unknown = await respond(client, [output("call_9", "x")], tools=TOOLS, **body)
            param, message = refused(unknown, 400, "invalid_request")
            assert param is not None
            assert param.startswith("input")
            assert "call_9" in message


async def test_a_new_question_settles_open_calls() -> None:
    app = application(CALLING)
    async with app.client() as client:
        first = await responded(client, "How warm is it?", tools=TOOLS)
        await responded(client, "Never mind.", previous_response_id=first["id"], tools=TOOLS)
    results = [
        item for item in app.llm.asked[-1].messages[-1].items if isinstance(item, ToolResult)
    ]
    assert {result.output for result in results} == {NOT_CARRIED_OUT}


async def test_empty_arguments_come_back_as_they_were_given_out() -> None:
    app = application((SELECTED, ToolCall(id="call_1", name="get_time", arguments=""), CALLED))
    async with app.client() as client:
        first = await responded(client, "What time is it?", tools=TOOLS)
        given = [{"role": "user", "content": "What time is it?"}, *first["output"], RESULTS[0]]
        assert (await responded(client, given, tools=TOOLS))["status"] == "completed"


async def test_all_messages_of_a_request_are_part_of_a_chain() -> None:
    app = application()
    async with app.client() as client:
        given = [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": "two"},
        ]
        first = await responded(client, given)
        await responded(client, "three", previous_response_id=first["id"])
        assert [text for _, text in sent(app)] == ["one", "1", "two", WARM, "three"]
        items = (await client.get(f"/v1/responses/{first['id']}/input_items?order=asc")).json()
        page = (await client.get(f"/v1/responses/{first['id']}/input_items?limit=2")).json()
        rest = (
            await client.get(f"/v1/responses/{first['id']}/input_items?after={page['last_id']}")
        ).json()
        listed = (await client.get("/v1/history/ana")).json()["history"]
        titles = (await client.get("/v1/history/ana/conversations")).json()["conversations"]
    assert [item["content"][0]["text"] for item in items["data"]] == ["one", "1", "two"]
    assert (items["first_id"], items["has_more"]) == (items["data"][0]["id"], False)
    assert page["has_more"]
    assert page["data"] + rest["data"] == items["data"][::-1]
    assert [turn["userPrompt"] for turn in listed] == ["three", "two"]
    assert [conversation["title"] for conversation in titles] == ["three"]


async def test_an_attachment_of_any_new_message_is_an_attachment() -> None:
    vision = Model(id="m", owned_by="p", capabilities=frozenset({Capability.IMAGES}))
    app = ApplicationUnderTest(*ANSWER, catalogue=SeveralModels(vision))
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 24).decode()
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{png}"}
    given = [
        {"role": "user", "content": [image]},
        {"role": "assistant", "content": "An image."},
        {"role": "user", "content": "Really?"},
    ]
    async with app.client() as client:
        param, message = refused(await respond(client, given), 422, "invalid_attachment")
        assert (param, "no store" in message) == ("input", True)
        linked = {"type": "input_image", "image_url": "https://example.com/cat.png"}
        given[0]["content"] = [linked]
        await responded(client, given)
    (item,) = newest(app).prompt.messages[0].items
    assert isinstance(item, Attachment)
    assert item.url == linked["image_url"]


@pytest.mark.parametrize("store", [True, False])
async def test_encrypted_reasoning_comes_back_to_the_provider_and_a_forged_one_does_not(
    store: bool,
) -> None:
    app = application(THINKING)
    async with app.client() as client:
        first = await responded(client, "Hi", tools=TOOLS, include=SEALED, store=store)
        question = {"role": "user", "content": "Hi"}
        await responded(client, [question, *first["output"], RESULTS[0]], tools=TOOLS, store=store)
        assert app.llm.asked[-1].messages[1].items == (
            Reasoning(text="Let me see.", metadata=SIGNATURE),
            Text(text="I look it up."),
            SIGNED,
        )
        *_, sealed = first["output"]
        forged = {**sealed, "encrypted_content": sealed["encrypted_content"][:-4] + "AAAA"}
        given = [question, *first["output"][:-1], forged, RESULTS[0]]
        for body in ({"user": "ana"}, {"user": "bob"}):
            items = given if body["user"] == "ana" else [question, *first["output"], RESULTS[0]]
            await responded(client, items, tools=TOOLS, store=False, **body)
            answer = app.llm.asked[-1].messages[1]
            assert any(isinstance(item, ToolCall) for item in answer.items)
            signed = [
                item
                for item in answer.items
                if isinstance(item, Text | Reasoning) and item.metadata
            ]
            # Of an answer that history has, the reasoning comes from there by the id of its call.
            is_recalled = store and body["user"] == "ana"
            assert signed == (
                [Reasoning(text="Let me see.", metadata=SIGNATURE)] if is_recalled else []
            )


@pytest.mark.parametrize("shown", ["Let me see.", ""])
@pytest.mark.parametrize(
    "calls", [(), CALLS[:1], CALLS], ids=["without a call", "before one call", "before each call"]
)
async def test_sealed_reasoning_comes_back_in_its_place(
    shown: str, calls: tuple[ToolCall, ...]
) -> None:
    """As Anthropic demands, whose calls have no metadata of their own and whose thinking may have no text."""

    def thought(number: int) -> tuple[ReasoningDelta | MetadataReceived, ...]:
        text = [ReasoningDelta(f"{shown} {number}")] if shown else []
        return (*text, MetadataReceived(metadata=_signature(number), is_reasoning=True))

    each = [event for n, call in enumerate(calls, 1) for event in (*thought(n), call)]
    app = application((SELECTED, *thought(0), *each, "Well.", CALLED if calls else ANSWER[-1]))
    async with app.client() as client:
        first = await responded(client, "Hi", tools=TOOLS, include=SEALED, store=False)
        given = [{"role": "user", "content": "Hi"}, *first["output"], *RESULTS[: len(calls)]]
        given.append({"role": "user", "content": "Please."})
        await responded(client, given, tools=TOOLS, store=False)
    *items, last = app.llm.asked[-1].messages[1].items
    assert last == Text(text="Well.")
    expected: list[Item] = [_reasoning(shown, 0)]
    for number, call in enumerate(calls, 1):
        expected += [_reasoning(shown, number), call]
    assert items == expected


def _signature(number: int) -> ProviderMetadata:
    return ProviderMetadata(kind="anthropic", family="m", value=f"signature {number}")


def _reasoning(shown: str, number: int) -> Reasoning:
    return Reasoning(text=shown and f"{shown} {number}", metadata=_signature(number))


async def test_a_signature_of_a_text_is_sealed_as_one_of_a_text() -> None:
    app = application(
        (SELECTED, "Hello", MetadataReceived(metadata=SIGNATURE, characters=0), ANSWER[-1])
    )
    async with app.client() as client:
        first = await responded(client, "Hi", include=SEALED, store=False)
        question = {"role": "user", "content": "Hi"}
        await responded(client, [question, *first["output"], question], store=False)
    answer = app.llm.asked[-1].messages[1]
    assert answer.items == (Text(text="Hello"), Text(text="", metadata=SIGNATURE))


async def test_without_storage_nothing_can_be_read_or_continued() -> None:
    app = application()
    async with app.client() as client:
        first = await responded(client, "How warm is it?", store=False, metadata={"a": "b"})
        assert first["store"] is False
        assert first["output"][0]["content"][0]["text"] == WARM
        for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
            response = await client.request(method, f"/v1/responses/{first['id']}{path}")
            refused(response, 404, "not_found")
        continued = await respond(client, "And?", previous_response_id=first["id"])
        param, message = refused(continued, 404, "previous_response_not_found")
        assert param == "previous_response_id"
        assert message.endswith(": previous_response_id: no response with this id")
        given = [{"type": "item_reference", "id": first["output"][0]["id"]}]
        refused(await respond(client, given), 404, "item_not_found")
    interaction = newest(app)
    assert (interaction.text, interaction.prompt.text, interaction.metadata) == ("", "", {})


async def test_a_stream_that_breaks_ends_as_failed_and_is_read_back_as_incomplete() -> None:
    app = application((SELECTED, "It is ", LLMUnavailable("gone")))
    async with app.client() as client:
        events = await streamed(client, "How warm is it?")
        response_id = events[0]["response"]["id"]
        stored = (await client.get(f"/v1/responses/{response_id}")).json()
    error, failed = events[-2:]
    assert error["type"] == "error"
    assert {"code", "message", "param"} <= error.keys()
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert stored["status"] == "incomplete"
    assert failed["response"]["output"] == stored["output"]
    assert stored["output"][0]["status"] == "incomplete"


async def test_a_failure_before_the_first_text_has_its_own_status_and_is_read_back() -> None:
    app = application((LLMUnavailable("gone"),), (SELECTED, ContentBlocked()))
    async with app.client() as client:
        response = await respond(client, "How warm is it?", stream=True)
        assert response.status_code >= 500
        response_id = f"resp_{newest(app).id.replace('-', '')}"
        assert newest(app).status is Status.FAILED
        refused(await respond(client, "How?", stream=True), 400, "content_filter")
        refused(await client.get(f"/v1/responses/{response_id}"), 404, "not_found")


async def test_an_answer_that_was_cut_is_incomplete() -> None:
    app = application((SELECTED, "It is", LENGTH), (SELECTED, "It is", LENGTH))
    async with app.client() as client:
        plain = await responded(client, "How warm is it?")
        events = await streamed(client, "How warm is it?")
    for response in (plain, events[-1]["response"]):
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["output"][0]["status"] == "incomplete"
    assert events[-1]["type"] == "response.incomplete"
    assert events[-2]["item"]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"moderation": {}}, "moderation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "patch"}]}, "tools[0].type"),
        ({"input": [{"type": "computer_call", "id": "cu_1"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_video"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": ["input_text"]}]}]},
            "input[0].content[0].type",
        ),
    ],
)
async def test_what_is_not_supported_is_named(body: dict[str, object], param: str) -> None:
    async with application().client() as client:
        response = await client.post("/v1/responses", json={"input": "Hi", **body})
        named, message = refused(response, 400, "unsupported_parameter")
    assert named == param
    if "tools" in body:
        assert str(body["tools"][0]["type"]) in message  # type: ignore[index]


@pytest.mark.parametrize("allowed", [5, True, {"name": "get_time"}, "get_time", [], [5], None])
async def test_allowed_tools_must_be_a_list_of_functions(allowed: object) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    async with application().client() as client:
        response = await respond(client, "Hi", tools=TOOLS, tool_choice=choice)
    assert refused(response, 422, "invalid_request")[0] == "tool_choice"


async def test_two_ways_to_continue_contradict_each_other() -> None:
    async with application().client() as client:
        first = await responded(client, "one")
        response = await respond(
            client, "two", previous_response_id=first["id"], conversation="loops"
        )
        assert refused(response, 422, "invalid_request")[0] == "previous_response_id"


async def test_a_limit_of_tokens_is_named_as_this_api_names_it() -> None:
    app = ApplicationUnderTest(*ANSWER)
    async with app.client() as client:
        response = await respond(client, "Hi", max_output_tokens=1000)
        assert refused(response, 422, "invalid_request")[0] == "max_output_tokens"


async def test_a_conversation_of_another_api_can_be_continued() -> None:
    app = application()
    async with app.client() as client:
        body = {"userId": "ana", "conversationId": "loops", "userPrompt": "one"}
        assert (await client.post("/v1/chat", json=body)).status_code == 200
        second = await responded(client, "two", conversation="loops")
        events = await streamed(client, "three", conversation=second["conversation"])
        assert [text for _, text in sent(app)] == ["one", WARM, "two", WARM, "three"]
        assert (await client.post("/v1/chat", json=body)).status_code == 200
    assert len(sent(app)) == 7
    for event in (events[0], events[1], events[-1]):
        assert event["response"]["conversation"] == second["conversation"]
    assert second["conversation"]["id"].startswith("conv_loops.")


async def test_an_idempotency_key_replays_a_stream() -> None:
    app = application(THINKING)
    async with app.client() as client:
        headers = {"Idempotency-Key": "once"}
        body = {"input": "Hi", "user": "ana", "tools": TOOLS, "stream": True}
        first = await client.post("/v1/responses", json=body, headers=headers)
        again = await client.post("/v1/responses", json=body, headers=headers)
        assert again.headers["idempotency-replayed"] == "true"
        assert len(app.llm.asked) == 1
        plain = {**body, "store": False, "stream": False}
        headers = {"Idempotency-Key": "unstored"}
        await client.post("/v1/responses", json=plain, headers=headers)
        repeated = await client.post("/v1/responses", json=plain, headers=headers)
    ends = [orjson.loads(each.text.split("\ndata: ")[-1])["response"] for each in (first, again)]
    assert ends[0] == ends[1]
    assert "idempotency-replayed" not in repeated.headers
    assert repeated.json()["output"]


async def test_a_chain_of_200_turns_is_read_in_few_pages() -> None:
    large = Model(id="m", owned_by="p", context_tokens=1_000_000)
    app = ApplicationUnderTest(*ANSWER, catalogue=SeveralModels(large))
    async with app.client() as client:
        previous = None
        for number in range(200):
            previous = (await responded(client, str(number), previous_response_id=previous))["id"]
        app.history.searches = 0
        await responded(client, "last", previous_response_id=previous)
        assert len(sent(app)) == 401
        assert app.history.searches <= 5


async def test_a_client_that_leaves_is_read_back_as_incomplete() -> None:
    gone = asyncio.Event()
    app = application((SELECTED, "It is ", gone))
    async with app.client() as client:
        task = asyncio.create_task(respond(client, "How warm is it?", stream=True))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert newest(app).status in (Status.CLIENT_CANCELLED, Status.TRUNCATED)
