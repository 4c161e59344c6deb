"""Background answers over HTTP: accepted, followed from any point, stopped, erased."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from domain.entities.background.answer import AnswerKey
from domain.entities.interaction import Status
from domain.entities.items import ToolCall
from domain.entities.reply import FinishReason, ReasoningDelta, Reply
from domain.exceptions import (
    ContentBlocked,
    HistoryUnavailable,
    HistoryUnreadable,
    IdempotencyUnavailable,
    LLMTimeout,
    LLMUnavailable,
    RateLimited,
)
from tests.fakes.attachments import InMemoryAttachments
from tests.http.attachment_chats import native, png
from tests.http.background_chats import (
    ANSWER,
    END,
    SELECTED,
    BackgroundApplication,
    accepted,
    ask,
    events_in,
    names_in,
    text_in,
    unnumbered_names_in,
    until,
)
from tests.http.callers import CALLERS, WITH_CREDENTIALS, of

CALL = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Paris"}')
CALLED = Reply(finish_reason=FinishReason.TOOL_CALLS)
TOOLS = [{"name": "get_weather"}]
UNKNOWN = "019aabb1-0000-7000-8000-000000000000"


def path_of(interaction_id: str) -> str:
    return f"/v1/history/ana/{interaction_id}"


async def test_an_answer_is_accepted_in_progress_and_found_at_its_location() -> None:
    may_end = asyncio.Event()
    application = BackgroundApplication(SELECTED, "Hel", may_end, "lo", END)
    async with application.running() as client:
        response = await ask(client, conversationId="c", metadata={"k": "v"})
        assert response.status_code == 202
        accepted_now = response.json()
        assert accepted_now["status"] == "in_progress"
        assert accepted_now["response"] == ""
        assert accepted_now["finishReason"] is None
        assert accepted_now["metadata"] == {"k": "v"}
        assert accepted_now["history"] == {"status": "accepted"}
        assert response.headers["x-interaction-id"] == accepted_now["id"]
        location = response.headers["location"]
        assert location == path_of(accepted_now["id"])
        assert (await client.get(location)).json()["status"] == "in_progress"
        may_end.set()
        await application.finished()
        whole = (await client.get(location)).json()
    assert (whole["status"], whole["response"]) == ("completed", "Hello")
    assert whole["timestamp"] == accepted_now["timestamp"]


async def test_a_stream_has_numbered_events_and_leaving_it_changes_nothing() -> None:
    may_end = asyncio.Event()
    application = BackgroundApplication(SELECTED, "Hel", may_end, "lo", END)
    async with application.running() as client:
        body = {"userId": "ana", "userPrompt": "hi", "background": True, "stream": True}
        stream = application.reader("POST", "/v1/chat", json=body)
        await stream.reads(b"Hel")
        assert stream.status == 200
        assert stream.response_headers["content-type"].startswith("text/event-stream")
        interaction_id = stream.response_headers["x-interaction-id"]
        staying = application.events(interaction_id)
        await staying.reads(b"Hel")
        await stream.leave()
        may_end.set()
        whole = await staying.whole()
        assert whole.startswith(stream.body)
        assert names_in(whole) == ["meta", "delta", "delta", "done"]
        assert text_in(whole) == "Hello"
        assert events_in(whole)[0][2] == {
            "id": interaction_id,
            "model": "m",
            "provider": "p",
            "conversationId": None,
        }
        assert "response" not in events_in(whole)[-1][2]
        again = await client.get(path_of(interaction_id) + "/events")
        assert again.content == whole
    assert len(application.llm.asked) == 1


async def test_events_are_read_from_any_number() -> None:
    application = BackgroundApplication(SELECTED, "a", asyncio.Event(), END)
    application.llm.in_turn = [(SELECTED, "a", ReasoningDelta("b"), "c", END)]
    async with application.running() as client:
        interaction_id = await accepted(client)
        await application.finished()
        path = path_of(interaction_id) + "/events"
        whole = events_in((await client.get(path)).content)
        assert len(whole) == 5
        for after in range(6):
            for query, headers in (
                ({"after": after}, {}),
                ({}, {"Last-Event-ID": str(after)}),
                ({"after": after}, {"Last-Event-ID": "0"}),
                ({"after": 0}, {"Last-Event-ID": str(after)}),
            ):
                response = await client.get(path, params=query, headers=headers)
                assert response.status_code == 200
                assert events_in(response.content) == whole[after + 1 :]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9007199254740992"])
async def test_a_number_that_is_none_is_refused(after: str) -> None:
    application = BackgroundApplication(*ANSWER)
    async with application.running() as client:
        path = path_of(await accepted(client)) + "/events"
        assert (await client.get(path, params={"after": after})).status_code == 422
        refused = await client.get(path, headers={"Last-Event-ID": after})
        assert refused.status_code == 422


async def test_a_foreground_interaction_has_its_events_too() -> None:
    application = BackgroundApplication(SELECTED, "Hel", "lo", END)
    async with application.running() as client:
        interaction_id = (await ask(client, background=None)).json()["id"]
        response = await client.get(path_of(interaction_id) + "/events")
        assert unnumbered_names_in(response.content) == ["meta", "delta", "done"]
        assert text_in(response.content) == "Hello"


async def test_when_its_events_are_no_longer_kept_an_answer_is_told_as_a_whole() -> None:
    application = BackgroundApplication(SELECTED, "Hel", "lo", END)
    async with application.running() as client:
        interaction_id = await accepted(client)
        await application.finished()
        path = path_of(interaction_id) + "/events"
        (done,) = events_in((await client.get(path)).content)[-1:]
        application.answer_log.logs.clear()
        whole = (await client.get(path)).content
        assert unnumbered_names_in(whole) == ["meta", "delta", "done"]
        assert events_in(whole)[-1][2] == done[2]
        reader = application.events(interaction_id, query="after=1")
        later = await reader.whole()
        assert unnumbered_names_in(later) == ["restart", "meta", "delta", "done"]
        assert events_in(later)[0][2] == {"reason": "events-expired"}
        assert later in reader.writes  # a part of it could not be continued
        assert text_in(later) == text_in(whole) == "Hello"


async def test_a_stop_ends_the_call_and_keeps_the_text() -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event(), "never", END)
    async with application.running() as client:
        interaction_id = await accepted(client)
        reader = application.events(interaction_id)
        await reader.reads(b"Hel")
        for _ in range(2):
            response = await client.post(path_of(interaction_id) + "/stop")
            assert (response.status_code, response.content) == (204, b"")
        await until(lambda: application.llm.hung_up == 1)
        whole = await reader.whole()
        assert names_in(whole) == ["meta", "delta", "done"]
        assert events_in(whole)[-1][2]["status"] == "client_cancelled"
        kept = (await client.get(path_of(interaction_id))).json()
        assert (kept["status"], kept["response"]) == ("client_cancelled", "Hel")
        assert (await client.post(path_of(interaction_id) + "/stop")).status_code == 204


async def test_a_stop_of_what_is_over_changes_nothing() -> None:
    application = BackgroundApplication(*ANSWER)
    async with application.running() as client:
        interaction_id = await accepted(client)
        await application.finished()
        foreground = (await ask(client, background=None)).json()["id"]
        for each in (interaction_id, foreground):
            before = (await client.get(path_of(each))).json()
            assert (await client.post(path_of(each) + "/stop")).status_code == 204
            assert (await client.get(path_of(each))).json() == before


@pytest.mark.parametrize(("method", "what"), [("GET", "events"), ("POST", "stop")])
async def test_an_unknown_interaction_is_not_found(method: str, what: str) -> None:
    application = BackgroundApplication(*ANSWER)
    async with application.running() as client:
        interaction_id = await accepted(client)
        for path in (
            f"/v1/history/ana/{UNKNOWN}/{what}",
            f"/v1/history/bob/{interaction_id}/{what}",
        ):
            response = await client.request(method, path)
            assert response.status_code == 404, path
            assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "begins", "follows", "stops"),
    [
        ("backend", 202, 200, 204),
        ("ana", 202, 200, 204),
        ("bob", 403, 403, 403),
        ("reader", 403, 200, 403),
        ("writer", 202, 403, 204),
        ("nobody", 401, 401, 401),
    ],
)
async def test_following_needs_history_read_and_the_rest_chat_write(
    name: str, begins: int, follows: int, stops: int
) -> None:
    application = BackgroundApplication(*ANSWER, rules=WITH_CREDENTIALS, authenticator=CALLERS)
    async with application.running() as client:
        interaction_id = (await ask(client, headers=of("ana"))).json()["id"]
        await application.finished()
        asked = await ask(client, headers=of(name))
        followed = await client.get(path_of(interaction_id) + "/events", headers=of(name))
        stopped = await client.post(path_of(interaction_id) + "/stop", headers=of(name))
        await application.finished()
        statuses = (asked.status_code, followed.status_code, stopped.status_code)
        assert statuses == (begins, follows, stops)


async def test_another_user_does_not_stop_an_answer() -> None:
    application = BackgroundApplication(
        SELECTED, "a", asyncio.Event(), rules=WITH_CREDENTIALS, authenticator=CALLERS
    )
    async with application.running() as client:
        interaction_id = (await ask(client, headers=of("ana"))).json()["id"]
        own = f"/v1/history/bob/{interaction_id}"
        assert (await client.post(own + "/stop", headers=of("bob"))).status_code == 404
        assert (await client.get(own + "/events", headers=of("bob"))).status_code == 404
        assert application.llm.hung_up == 0
        assert not next(iter(application.answer_log.logs.values())).is_stopped


async def test_a_writer_may_stream_the_answer_that_it_begins() -> None:
    application = BackgroundApplication(*ANSWER, rules=WITH_CREDENTIALS, authenticator=CALLERS)
    async with application.running() as client:
        response = await ask(client, stream=True, headers=of("writer"))
        assert names_in(response.content) == ["meta", "delta", "done"]


async def test_a_repeated_request_is_given_the_same_answer_while_it_runs_and_after() -> None:
    may_end = asyncio.Event()
    application = BackgroundApplication(SELECTED, "Hel", may_end, "lo", END)
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        first = await ask(client, headers=key)
        again = await ask(client, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert again.json()["status"] == "in_progress"
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        may_end.set()
        await application.finished()
        after = await ask(client, headers=key)
        assert after.status_code == 200
        assert (after.json()["id"], after.json()["response"]) == (first.json()["id"], "Hello")
        assert len(application.llm.asked) == 1


async def test_a_repeated_stream_is_given_the_events() -> None:
    may_end = asyncio.Event()
    application = BackgroundApplication(SELECTED, "Hel", may_end, "lo", END)
    headers = [("idempotency-key", "k")]
    body = {"userId": "ana", "userPrompt": "hi", "background": True, "stream": True}
    async with application.running():
        first = application.reader("POST", "/v1/chat", json=body, headers=headers)
        await first.reads(b"Hel")
        again = application.reader("POST", "/v1/chat", json=body, headers=headers)
        await again.reads(b"Hel")
        assert again.response_headers["idempotency-replayed"] == "true"
        may_end.set()
        whole = await first.whole()
        assert await again.whole() == whole
        after = application.reader("POST", "/v1/chat", json=body, headers=headers)
        assert await after.whole() == whole
        assert len(application.llm.asked) == 1


async def test_a_repeated_request_of_a_stopped_answer_is_given_what_there_is() -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event())
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        interaction_id = (await ask(client, headers=key)).json()["id"]
        await until(lambda: "Hel" in application.log_records())
        await client.post(path_of(interaction_id) + "/stop")
        await application.finished()
        again = await ask(client, headers=key)
        assert again.json()["id"] == interaction_id
        assert again.json()["status"] == "client_cancelled"


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((LLMTimeout(),), "failed"),
        ((SELECTED, "Hel", LLMUnavailable()), "truncated"),
        ((ContentBlocked(),), "blocked"),
    ],
)
async def test_a_repeated_request_of_a_failed_answer_is_given_the_failure(
    steps: tuple[Any, ...], status: str
) -> None:
    application = BackgroundApplication(*steps)
    async with application.running() as client:
        for stream in (None, True):
            key = {"Idempotency-Key": f"k-{stream}"}
            first = await ask(client, headers=key, stream=stream)
            await application.finished()
            calls = len(application.llm.asked)
            again = await ask(client, headers=key, stream=stream)
            assert again.status_code == 200
            assert again.headers["idempotency-replayed"] == "true"
            assert again.headers["x-interaction-id"] == first.headers["x-interaction-id"]
            assert len(application.llm.asked) == calls
            if stream:
                assert again.content == first.content
                assert names_in(again.content)[-1] == "error"
            else:
                assert again.json()["status"] == status


async def test_a_repeated_request_of_an_answer_without_a_row_gets_that_answer() -> None:
    """Its process died before the row was in history."""
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event())
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        interaction_id = (await ask(client, headers=key)).json()["id"]
        del application.history.kept[interaction_id]
        ((digest, (claimed, record)),) = application.claims.kept.items()
        ended = replace(record, lease_until_milliseconds=0)
        application.claims.kept[digest] = (claimed, ended)
        for _ in range(2):
            again = await ask(client, headers=key)
            assert (again.status_code, again.json()["id"]) == (202, interaction_id)
        assert application.history.kept[interaction_id].status is Status.IN_PROGRESS
    assert len(application.llm.asked) == 1


@pytest.mark.parametrize("is_refusal_stored", [True, False])
async def test_a_request_that_was_not_accepted_frees_its_key(is_refusal_stored: bool) -> None:
    """Whether the repeated request comes after the outcome of the refused one is in history, or before."""
    application = BackgroundApplication(*ANSWER)
    application.history.refuses = 1 if is_refusal_stored else 2
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        refused = await ask(client, headers=key)
        assert refused.status_code == 503
        assert refused.json()["type"] == f"/problems/{HistoryUnavailable.code}"
        assert application.answer_log.logs == {}
        await until(lambda: not application.history.refuses)
        if is_refusal_stored:
            await application.finished()
        assert len(application.history.kept) == is_refusal_stored
        again = await ask(client, headers=key)
        assert again.status_code == 202
        await application.finished()
        replayed = await ask(client, headers=key)
    assert (replayed.status_code, replayed.json()["id"]) == (200, again.json()["id"])
    assert replayed.json()["status"] == "completed"
    assert {
        (one.id == again.json()["id"], one.status, one.error)
        for one in application.history.kept.values()
    } == {(True, Status.COMPLETED, None), (False, Status.FAILED, HistoryUnavailable.code)}
    assert len(application.llm.asked) == 1


async def test_a_refusal_in_history_is_not_replayed_although_its_key_was_not_released() -> None:
    application = BackgroundApplication(*ANSWER)
    application.history.refuses = 1
    key = {"Idempotency-Key": "k"}
    release = application.claims.release

    async def away(*_: object) -> None:
        raise IdempotencyUnavailable

    application.claims.release = away  # type: ignore[method-assign]
    async with application.running() as client:
        assert (await ask(client, headers=key)).status_code == 503
        await application.finished()
        application.claims.release = release  # type: ignore[method-assign]
        interaction_id = await accepted(client, headers=key)
        await application.finished()
    assert application.history.kept[interaction_id].status is Status.COMPLETED


async def test_a_log_that_was_stored_but_not_confirmed_frees_the_key() -> None:
    application = BackgroundApplication(*ANSWER)
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        application.answer_log.losses = 1
        assert (await ask(client, headers=key)).status_code == 503
        interaction_id = await accepted(client, headers=key)
        await application.finished()
    assert application.history.kept[interaction_id].status is Status.COMPLETED


async def test_a_log_whose_erasure_was_not_confirmed_frees_the_key_once_it_is_seen() -> None:
    application = BackgroundApplication(*ANSWER)
    application.history.refuses = 1
    key = {"Idempotency-Key": "k"}
    async with application.running() as client:
        erase = application.answer_log.erase

        async def unconfirmed(erased: AnswerKey) -> None:
            await erase(erased)
            raise HistoryUnavailable

        application.answer_log.erase = unconfirmed  # type: ignore[method-assign]
        for _ in range(2):
            assert (await ask(client, headers=key)).status_code == 503
        interaction_id = await accepted(client, headers=key)
        await application.finished()
    assert application.history.kept[interaction_id].status is Status.COMPLETED
    assert {one.status for one in application.history.kept.values()} == {
        Status.COMPLETED,
        Status.FAILED,
    }


async def test_more_answers_than_allowed_are_refused_until_one_ends() -> None:
    application = BackgroundApplication(
        SELECTED, asyncio.Event(), settings={"max_background_answers": 2}
    )
    async with application.running() as client:
        first = await accepted(client)
        await accepted(client)
        refused = await ask(client)
        assert refused.status_code == 503
        assert refused.json()["type"] == "/problems/overloaded"
        assert len(application.history.kept) == 2
        await client.post(path_of(first) + "/stop")
        await until(lambda: application.container.background.answers.running < 2)
        await accepted(client)


async def test_the_tokens_of_a_day_are_counted_and_refused() -> None:
    application = BackgroundApplication(
        SELECTED,
        "Hello",
        END,
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_daily_tokens": 30},
    )
    async with application.running() as client:
        statuses = []
        for _ in range(12):
            response = await ask(client, headers=of("ana"), maxOutputTokens=5)
            statuses.append(response.status_code)
            await application.finished()
        assert set(statuses) == {202, 429}
        assert statuses == sorted(statuses)
        assert len(application.llm.asked) == statuses.count(202)
        assert response.json()["type"] == "/problems/rate-limited"


async def test_what_a_stopped_answer_did_not_use_of_the_day_is_free_again() -> None:
    application = BackgroundApplication(
        *ANSWER,
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_daily_tokens": 56},
    )
    application.llm.in_turn = [(SELECTED, asyncio.Event())]
    async with application.running() as client:
        first = (await ask(client, headers=of("ana"), maxOutputTokens=55)).json()["id"]
        assert (await ask(client, headers=of("ana"))).status_code == 429
        await client.post(path_of(first) + "/stop", headers=of("ana"))
        await application.finished()
        assert (await ask(client, headers=of("ana"))).status_code == 202


async def test_the_tokens_of_an_erased_answer_count_for_the_day() -> None:
    application = BackgroundApplication(
        *ANSWER,
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_daily_tokens": 56},
    )
    application.llm.in_turn = [(SELECTED, "x" * 150, asyncio.Event())]
    async with application.running() as client:
        first = (await ask(client, headers=of("ana"), maxOutputTokens=50)).json()["id"]
        await until(lambda: "x" * 150 in application.log_records())
        assert (await client.delete(path_of(first), headers=of("ana"))).status_code == 204
        await application.container.background.answers.watch()
        await application.finished()
        assert (await ask(client, headers=of("ana"), maxOutputTokens=50)).status_code == 202
        await application.finished()
        assert application.llm.asked[-1].max_output_tokens == 56 - 1 - 50 - 1


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ({"model": "unknown"}, "unknown-model"),
        ({"model": "plain", "tools": TOOLS}, "unsupported-by-model"),
        ({"maxOutputTokens": 101}, "invalid-request"),
        ({"background": "yes"}, "invalid-request"),
        ({"userPrompt": None, "toolResults": [], "conversationId": "c"}, "invalid-request"),
    ],
)
async def test_what_cannot_be_answered_is_not_accepted(body: dict[str, Any], slug: str) -> None:
    application = BackgroundApplication(*ANSWER)
    async with application.running() as client:
        refused = await ask(client, **body)
        assert refused.status_code == 422
        assert refused.json()["type"] == f"/problems/{slug}"
        assert (application.history.kept, application.answer_log.logs) == ({}, {})
        assert application.container.background.answers.running == 0
        assert application.container.chat.chats_in_flight == 0


async def test_tool_results_that_are_missing_are_refused_and_complete_ones_answered() -> None:
    application = BackgroundApplication(*ANSWER)
    application.llm.in_turn = [(SELECTED, CALL, CALLED)]
    async with application.running() as client:
        turn = {"conversationId": "c", "tools": TOOLS}
        called = await accepted(client, **turn)
        await application.finished()
        assert application.history.kept[called].finish_reason is FinishReason.TOOL_CALLS
        wrong = [{"callId": "call_9", "output": "22"}]
        refused = await ask(client, userPrompt=None, toolResults=wrong, **turn)
        assert refused.status_code == 422
        results = [{"callId": "call_1", "output": "22"}]
        answered = await accepted(client, userPrompt=None, toolResults=results, **turn)
        await application.finished()
        assert application.history.kept[answered].status is Status.COMPLETED
        texts = [message.items for message in application.llm.asked[-1].messages]
        assert any("call_1" in str(items) for items in texts)


async def test_an_attachment_is_stored_before_the_answer_is_accepted() -> None:
    attachments = InMemoryAttachments()
    application = BackgroundApplication(*ANSWER, attachments=attachments)
    async with application.running() as client:
        interaction_id = await accepted(client, attachments=[native(png())])
        await application.finished()
        (attachment,) = (await client.get(path_of(interaction_id))).json()["attachments"]
        path = f"/v1/history/ana/attachments/{attachment['id']}"
        assert (await client.get(path)).content == png()
        blind = await ask(client, model="plain", attachments=[native(png())])
        assert blind.status_code == 422
    assert len(application.llm.asked) == 1


async def test_tool_calls_and_reasoning_are_events_and_are_kept() -> None:
    application = BackgroundApplication(
        SELECTED, ReasoningDelta("Paris, "), ReasoningDelta("then."), "Let me see.", CALL, CALLED
    )
    async with application.running() as client:
        interaction_id = await accepted(client, tools=TOOLS, conversationId="c")
        await application.finished()
        body = (await client.get(path_of(interaction_id) + "/events")).content
        kept = (await client.get(path_of(interaction_id))).json()
    reasoning = "".join(data["text"] for _, name, data in events_in(body) if name == "reasoning")
    assert reasoning == kept["reasoning"] == "Paris, then."
    (call,) = [data for _, name, data in events_in(body) if name == "tool_call"]
    assert call == {"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}
    assert kept["toolCalls"] == [call]
    assert names_in(body)[-1] == "done"


async def test_a_schema_goes_to_the_model() -> None:
    application = BackgroundApplication(SELECTED, '{"a": 1}', END)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with application.running() as client:
        interaction_id = await accepted(client, responseSchema=schema)
        await application.finished()
        assert application.history.kept[interaction_id].text == '{"a": 1}'
    (prompt,) = application.llm.asked
    assert prompt.response_format is not None


@pytest.mark.parametrize(
    ("steps", "slug", "status"),
    [
        ((LLMTimeout(),), "provider-timeout", "failed"),
        ((SELECTED, "Hel", LLMUnavailable()), "providers-failed", "truncated"),
        ((ContentBlocked(),), "content-blocked", "blocked"),
        ((SELECTED, "Hel", ValueError("a bug")), "internal", "truncated"),
    ],
)
async def test_a_failure_is_an_error_event_of_equal_bytes_for_every_reader(
    steps: tuple[Any, ...], slug: str, status: str
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    may_fail = asyncio.Event()
    application = BackgroundApplication(*steps[:-1], may_fail, steps[-1])
    async with application.running() as client:
        response = await ask(client, headers={"X-Request-Id": "request-of-the-answer"})
        assert response.status_code == 202
        interaction_id = response.json()["id"]
        early = application.events(interaction_id, headers=[("x-request-id", "another-request")])
        await until(lambda: application.container.background.follow_answer.readers == 1)
        may_fail.set()
        whole = await early.whole()
        late = await client.get(path_of(interaction_id) + "/events")
        assert late.content == whole
        _, name, problem = events_in(whole)[-1]
        assert name == "error"
        assert problem["type"].startswith(f"/problems/{slug}")
        assert problem["requestId"] == "request-of-the-answer"
        assert b"a bug" not in whole
        kept = (await client.get(path_of(interaction_id))).json()
        assert kept["status"] == status


async def test_a_turn_in_progress_is_no_part_of_its_conversation() -> None:
    may_end = asyncio.Event()
    application = BackgroundApplication(*ANSWER)
    application.llm.in_turn = [(SELECTED, "first", may_end, END), (SELECTED, "second", END)]
    async with application.running() as client:
        await accepted(client, userPrompt="one", conversationId="c")
        await until(lambda: "first" in application.log_records())
        second = await ask(client, userPrompt="two", conversationId="c", background=None)
        assert second.status_code == 200
        may_end.set()
        await application.finished()
        await ask(client, userPrompt="three", conversationId="c", background=None)
    texts = [[message.text for message in prompt.messages] for prompt in application.llm.asked]
    assert texts == [["one"], ["two"], ["one", "first", "two", "second", "three"]]


async def test_an_answer_in_progress_is_listed_on_request_only() -> None:
    application = BackgroundApplication(SELECTED, asyncio.Event())
    async with application.running() as client:
        interaction_id = await accepted(client)
        assert (await client.get("/v1/history/ana")).json()["history"] == []
        page = await client.get("/v1/history/ana", params={"status": "in_progress"})
        assert [each["id"] for each in page.json()["history"]] == [interaction_id]


async def test_an_answer_that_is_taken_over_has_the_turns_before_it_only() -> None:
    application = BackgroundApplication(*ANSWER)
    application.llm.in_turn = [
        (SELECTED, "zero", END),
        (SELECTED, asyncio.Event()),
        (SELECTED, "later", END),
        (SELECTED, "one again", END),
    ]
    async with application.running() as client:
        await ask(client, userPrompt="nought", conversationId="c", background=None)
        interaction_id = await accepted(client, userPrompt="one", conversationId="c")
        await until(lambda: len(application.llm.asked) == 2)
        answers, log = application.container.background.answers, application.answer_log
        ((key, stored),) = log.logs.items()
        answers.give_up()
        await application.finished()
        await ask(client, userPrompt="two", conversationId="c", background=None)
        answers._is_stopping = False  # as the next process
        assert stored.was_given_up
        await answers.take_over(application.container.chat.prepare)
        await application.finished()
        assert application.history.kept[key.interaction_id].text == "one again"
        assert interaction_id == key.interaction_id
    texts = [[message.text for message in prompt.messages] for prompt in application.llm.asked]
    assert texts[1] == texts[3] == ["nought", "zero", "one"]


@pytest.mark.parametrize("what", ["one", "all"])
async def test_erasing_a_running_answer_ends_its_call_and_leaves_nothing(what: str) -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event(), "never", END)
    async with application.running() as client:
        interaction_id = await accepted(client)
        reader = application.events(interaction_id)
        await reader.reads(b"Hel")
        path = path_of(interaction_id) if what == "one" else "/v1/history/ana"
        assert (await client.delete(path)).status_code in (200, 204)
        await application.finished()
        assert application.llm.hung_up == 1
        assert names_in(await reader.whole()) == ["meta", "delta"]
        assert (await client.get(path_of(interaction_id))).status_code == 404
        assert (await client.get(path_of(interaction_id) + "/events")).status_code == 404
        assert (await client.post(path_of(interaction_id) + "/stop")).status_code == 404
    assert (application.history.kept, application.answer_log.logs) == ({}, {})


async def test_at_shutdown_readers_end_without_an_error_and_the_lease_is_given_up() -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event(), "never", END)
    async with application.running() as client:
        interaction_id = await accepted(client)
        reader = application.events(interaction_id)
        await reader.reads(b"Hel")
        application.lifecycle.begin_to_stop()
        assert names_in(await reader.whole()) == ["meta", "delta"]
        await application.finished()
        assert application.llm.hung_up == 1
        (stored,) = application.answer_log.logs.values()
        assert stored.was_given_up
        assert application.history.kept[interaction_id].status is Status.IN_PROGRESS


@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_reader_that_comes_while_the_process_stops_ends_at_once(is_begun: bool) -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event(), "never", END)
    async with application.running() as client:
        interaction_id = await accepted(client)
        await until(lambda: "Hel" in application.log_records())
        application.lifecycle.begin_to_stop()
        if is_begun:
            body = {"userId": "ana", "userPrompt": "hi", "background": True, "stream": True}
            reader = application.reader("POST", "/v1/chat", json=body)
        else:
            reader = application.events(interaction_id)
        assert await reader.whole() == b""
        assert reader.status == 200
        assert reader.response_headers["x-interaction-id"]
        assert reader.response_headers["connection"] == "close"


async def test_readers_are_among_the_streams_that_are_ended() -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event(), "never", END)
    async with application.running() as client:
        reader = application.events(await accepted(client))
        await reader.reads(b"Hel")
        application.lifecycle.end_streams()
        assert names_in(await reader.whole()) == ["meta", "delta"]


async def test_readers_do_not_count_as_concurrent_requests() -> None:
    application = BackgroundApplication(
        SELECTED,
        "Hel",
        asyncio.Event(),
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_concurrent_requests": 1, "caller_readers": 2},
    )
    headers = [("authorization", "Bearer ana")]
    async with application.running() as client:
        interaction_id = (await ask(client, headers=of("ana"))).json()["id"]
        path = path_of(interaction_id)
        readers = []
        for _ in range(3):
            assert (await client.get(path, headers=of("ana"))).status_code == 200
            readers.append(application.events(interaction_id, headers=headers))
            await readers[-1].reads(b"Hel")
        refused = await client.get(path, headers=of("ana"))  # the third reader is one request
        assert refused.status_code == 429
        await readers[0].leave()
        await readers[2].leave()
        assert (await client.get(path, headers=of("ana"))).status_code == 200
        again = application.events(interaction_id, headers=headers)
        await again.reads(b"Hel")
        assert (await client.post(path + "/stop", headers=of("ana"))).status_code == 204
        await again.whole()
        await readers[1].whole()
        limits = application.container.caller_limits
        await limits.admit("ana")
        with pytest.raises(RateLimited):
            await limits.admit("ana")


async def test_one_caller_has_only_so_many_answers_at_a_time() -> None:
    application = BackgroundApplication(
        SELECTED,
        "Hel",
        asyncio.Event(),
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_concurrent_requests": 2},
    )
    async with application.running() as client:
        first = (await ask(client, headers=of("ana"))).json()["id"]
        assert (await ask(client, headers=of("ana"))).status_code == 202
        refused = await ask(client, headers=of("ana"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["type"] == "/problems/rate-limited"
        assert len(application.history.kept) == 2
        assert (await ask(client, headers=of("bob"), userId="bob")).status_code == 202
        await client.post(path_of(first) + "/stop", headers=of("ana"))
        await until(lambda: application.container.background.answers.running < 3)
        assert (await ask(client, headers=of("ana"))).status_code == 202


async def test_an_answer_that_is_taken_over_counts_among_those_of_its_caller() -> None:
    application = BackgroundApplication(
        SELECTED,
        "Hel",
        asyncio.Event(),
        rules=WITH_CREDENTIALS,
        authenticator=CALLERS,
        settings={"caller_concurrent_requests": 1},
    )
    async with application.running() as client:
        interaction_id = (await ask(client, headers=of("ana"))).json()["id"]
        answers = application.container.background.answers
        for _ in range(2):
            answers.give_up()
            await application.finished()
            answers._is_stopping = False  # as the next process
            await answers.take_over(application.container.chat.prepare)
            await until(lambda: len(application.llm.asked) > application.llm.hung_up)
        assert (await ask(client, headers=of("ana"))).status_code == 429
        await client.post(path_of(interaction_id) + "/stop", headers=of("ana"))
        await application.finished()
        assert (await ask(client, headers=of("ana"))).status_code == 202


async def test_an_answer_is_streamed_although_its_log_does_not_answer_at_first() -> None:
    application = BackgroundApplication(*ANSWER)
    body = {"userId": "ana", "userPrompt": "hi", "background": True, "stream": True}
    headers = [("x-request-id", "request-of-the-answer")]
    async with application.running():
        reads = application.answer_log.read
        failures = 1

        async def read(*args: Any, **options: Any) -> Any:
            nonlocal failures
            if failures:
                failures -= 1
                raise HistoryUnreadable
            return await reads(*args, **options)

        application.answer_log.read = read  # type: ignore[method-assign]
        reader = application.reader("POST", "/v1/chat", json=body, headers=headers)
        whole = await reader.whole()
        assert failures == 0
        assert names_in(whole) == ["meta", "delta", "done"]
        interaction_id = reader.response_headers["x-interaction-id"]
        assert await application.events(interaction_id).whole() == whole


async def test_the_stream_of_a_request_has_the_bytes_of_the_log() -> None:
    """Also its error, which names the request."""
    application = BackgroundApplication(LLMTimeout())
    async with application.running() as client:
        headers = {"X-Request-Id": "request-of-the-answer"}
        first = await ask(client, stream=True, headers=headers)
        path = path_of(first.headers["x-interaction-id"]) + "/events"
        assert b"request-of-the-answer" in first.content
        assert (await client.get(path)).content == first.content


async def test_a_log_that_cannot_be_read_is_a_503() -> None:
    application = BackgroundApplication(SELECTED, "Hel", asyncio.Event())
    async with application.running() as client:
        interaction_id = await accepted(client)
        application.answer_log.is_away = True
        for response in (
            await client.get(path_of(interaction_id) + "/events"),
            await client.post(path_of(interaction_id) + "/stop"),
            await ask(client),
        ):
            assert response.status_code == 503
        application.answer_log.is_away = False


async def test_an_answer_of_more_text_than_a_page_is_streamed_whole() -> None:
    words = [f"{number} " for number in range(3_000)]
    application = BackgroundApplication(SELECTED, *words, END)
    async with application.running() as client:
        response = await ask(client, stream=True)
        assert text_in(response.content) == "".join(words)
        assert names_in(response.content)[-1] == "done"


async def test_the_context_of_a_background_answer_has_its_own_time() -> None:
    application = BackgroundApplication(
        *ANSWER, settings={"background_seconds": 100.0, "request_timeout_seconds": 20.0}
    )
    limits = None
    async with application.running() as client:
        await accepted(client)
        limits = application.container.background.answers.limits
    assert replace(limits, total_seconds=100.0, silence_seconds=20.0) == limits
