"""Background responses: queued, followed from any point, cancelled, begun anew."""

import asyncio
from typing import Any

import httpx2
import orjson
import pytest

from domain.entities.background.answer import AnswerKey
from domain.entities.background.log import Restarted
from domain.entities.interaction import Interaction, Status
from domain.entities.reply import ProviderSelected
from domain.exceptions import LLMUnavailable
from tests.fakes.application import ApplicationUnderTest
from tests.http.background_chats import BackgroundApplication, until
from tests.http.callers import CALLERS, WITH_CREDENTIALS, of
from tests.http.response_requests import TOOLS, refused, respond, responded
from tests.http.tool_chats import ANSWER, CALLED, CALLS, SELECTED, application, newest

PATIENCE_SECONDS = 120.0


def events_in(text: str) -> list[dict[str, Any]]:
    return [
        orjson.loads(block.split("\ndata: ")[1])
        for block in text.split("\n\n")
        if "data: " in block
    ]


async def finished(client: httpx2.AsyncClient, response_id: str) -> dict[str, Any]:
    """Return the response once it has an outcome."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            response = await client.get(f"/v1/responses/{response_id}")
            assert response.status_code == 200, response.text
            body: dict[str, Any] = response.json()
            if body["status"] not in ("queued", "in_progress"):
                return body
            await asyncio.sleep(0.005)


async def followed(client: httpx2.AsyncClient, response_id: str, after: int | None = None) -> str:
    """Return the bytes of the response's events, to their end."""
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    async with asyncio.timeout(PATIENCE_SECONDS):
        response = await client.get(f"/v1/responses/{response_id}", params=query)
    assert response.status_code == 200, response.text
    return response.text


def key_of(app: ApplicationUnderTest) -> AnswerKey:
    (key,) = app.answer_log.logs
    return key


async def test_a_response_is_queued_then_in_progress_then_complete() -> None:
    going_on = asyncio.Event()
    app = application((SELECTED, going_on, *ANSWER[1:]))
    async with app.client() as client:
        queued = await responded(client, "How warm is it?", background=True, metadata={"a": "b"})
        assert (queued["status"], queued["background"], queued["output"]) == ("queued", True, [])
        running = (await client.get(f"/v1/responses/{queued['id']}")).json()
        assert running == queued | {"status": "in_progress"}
        going_on.set()
        done = await finished(client, queued["id"])
    assert (done["status"], done["background"], done["metadata"]) == ("completed", True, {"a": "b"})
    assert done["output"][0]["content"][0]["text"] == newest(app).text


async def test_events_are_the_same_from_any_point() -> None:
    app = application((SELECTED, "It is ", "22 °C.", CALLS[0], CALLED))
    async with app.client() as client:
        response = await respond(client, "How?", background=True, stream=True, tools=TOOLS)
        whole = response.text
        events = events_in(whole)
        response_id = events[0]["response"]["id"]
        assert await followed(client, response_id) == whole
        for after in range(-1, len(events)):
            rest = await followed(client, response_id, after)
            assert whole.endswith(rest)
            assert events_in(rest) == events[after + 1 :]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert [event["response"]["status"] for event in events[:3]] == [
        "queued",
        "queued",
        "in_progress",
    ]
    assert events[-1]["type"] == "response.completed"


async def test_a_failure_ends_the_events_and_is_read_back() -> None:
    app = application((SELECTED, "It is ", LLMUnavailable("gone")), (LLMUnavailable("gone"),))
    async with app.client() as client:
        broken = events_in((await respond(client, "How?", background=True, stream=True)).text)
        silent = events_in((await respond(client, "How?", background=True, stream=True)).text)
        read = [await finished(client, events[0]["response"]["id"]) for events in (broken, silent)]
    for events in (broken, silent):
        assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
        assert events[-1]["response"]["error"]["code"] == "server_error"
    assert [response["status"] for response in read] == ["incomplete", "failed"]
    assert broken[-1]["response"]["output"] == read[0]["output"]


async def test_cancel_ends_it_for_all_readers() -> None:
    app = application((SELECTED, "It is ", asyncio.Event()))
    async with app.client() as client:
        queued = await responded(client, "How?", background=True)
        reading = asyncio.create_task(followed(client, queued["id"]))
        while not app.answer_log.appends or "It is " not in app.answer_log.appends[-1]:
            await asyncio.sleep(0.001)
        cancelled = await client.post(f"/v1/responses/{queued['id']}/cancel")
        again = await client.post(f"/v1/responses/{queued['id']}/cancel")
        last = events_in(await reading)[-1]
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["output"][0]["content"][0]["text"] == "It is "
    assert again.json() == cancelled.json()
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
    assert app.llm.hung_up == 1
    assert newest(app).status is Status.CLIENT_CANCELLED


async def test_a_response_whose_row_is_still_in_the_queue_is_read_and_cancelled() -> None:
    app = application((SELECTED, "It is ", asyncio.Event()))

    async def queue(_: Interaction) -> None:
        """Accept the row; no worker stores it."""

    app.history.append = queue  # type: ignore[method-assign]
    async with app.client() as client:
        queued = await responded(client, "How?", background=True)
        path = f"/v1/responses/{queued['id']}"
        await until(lambda: app.answer_log.appends and "It is " in app.answer_log.appends[-1])
        running = await client.get(path)
        cancelled = await client.post(f"{path}/cancel")
        again = await client.post(f"{path}/cancel")
        read = await client.get(path)
    assert app.history.kept == {}
    assert (running.status_code, running.json()) == (200, queued | {"status": "in_progress"})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["output"][0]["content"][0]["text"] == "It is "
    assert again.json() == read.json() == cancelled.json()
    assert app.llm.hung_up == 1


@pytest.mark.parametrize("is_running", [True, False])
async def test_cancel_shows_content_to_a_writer_only_if_it_ended_the_response(
    is_running: bool,
) -> None:
    may_end = asyncio.Event()
    app = BackgroundApplication(
        SELECTED, "It is ", may_end, *ANSWER[2:], rules=WITH_CREDENTIALS, authenticator=CALLERS
    )
    body = {"input": "How?", "instructions": "Be brief.", "background": True}
    async with app.running() as client:
        sent = await client.post(
            "/v1/responses", json={**body, "metadata": {"a": "b"}}, headers=of("ana")
        )
        path = f"/v1/responses/{sent.json()['id']}"
        await until(lambda: "It is " in app.log_records())
        if not is_running:
            may_end.set()
            await app.finished()
        by_writer = await client.post(f"{path}/cancel", headers=of("writer"))
        by_owner = await client.post(f"{path}/cancel", headers=of("ana"))
    whole = by_owner.json()
    assert whole["output"][0]["content"][0]["text"] == "It is "
    assert whole["instructions"] == "Be brief."
    if is_running:
        assert (whole["status"], by_writer.json()) == ("cancelled", whole)
        return
    nothing = {"output": [], "instructions": None, "metadata": {}}
    assert (whole["status"], by_writer.status_code) == ("completed", 200)
    assert by_writer.json() == whole | nothing


async def test_only_background_responses_can_be_cancelled() -> None:
    app = application()
    async with app.client() as client:
        body = await responded(client, "How?")
        response = await client.post(f"/v1/responses/{body['id']}/cancel")
        refused(response, 400, "unsupported_parameter")


async def test_what_is_void_is_closed_and_not_in_the_final_response() -> None:
    app = application((SELECTED, asyncio.Event()))
    async with app.client() as client:
        queued = await responded(client, "How warm is it?", background=True)
        key = key_of(app)
        log = app.answer_log.logs[key]
        app.container.background.answers.give_up()
        await app.container.background.answers.drain(seconds=1.0)
        # as if the process had died in mid answer, and the next one could not continue
        said = [
            ProviderSelected(provider="p", model="m"),
            "It is 2",
            Restarted("cannot-continue"),
        ]
        log.chunks.append((log.epoch, said))
        app.llm.in_turn = [(SELECTED, "It is 22 °C.", *ANSWER[-1:])]
        fresh = app.another_runner()
        await fresh.take_over(app.container.chat.prepare)
        events = events_in(await followed(client, queued["id"]))
        done = await finished(client, queued["id"])
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert [item["status"] for item in items] == ["incomplete", "completed"]
        assert items[0]["id"] != items[1]["id"]
        final = events[-1]["response"]
        assert final["output"] == [items[1]]
        assert done["output"][0]["content"] == items[1]["content"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        app.llm.in_turn = [ANSWER]
        reference = {"type": "item_reference", "id": items[1]["id"]}
        await responded(client, [reference, {"role": "user", "content": "And now?"}])
        assert app.llm.asked[-1].messages[0].text == "It is 22 °C."


async def test_events_that_are_no_longer_kept_are_made_from_history() -> None:
    app = application((SELECTED, "It is ", "22 °C.", *ANSWER[-1:]))
    async with app.client() as client:
        events = events_in((await respond(client, "How?", background=True, stream=True)).text)
        response_id = events[0]["response"]["id"]
        app.answer_log.logs.clear()
        again = events_in(await followed(client, response_id, 40))
    assert [event["sequence_number"] for event in again] == list(range(41, 41 + len(again)))
    assert again[-1]["type"] == "response.completed"
    assert again[-1]["response"]["output"] == events[-1]["response"]["output"]


async def test_a_repeated_request_gets_the_same_events() -> None:
    app = application((SELECTED, "It is 22 °C.", *ANSWER[-1:]))
    body = {"input": "How?", "user": "ana", "background": True, "stream": True}
    headers = {"Idempotency-Key": "k"}
    async with app.client() as client:
        first = await client.post("/v1/responses", json=body, headers=headers)
        again = await client.post("/v1/responses", json=body, headers=headers)
    assert again.text == first.text
    assert again.headers["idempotency-replayed"] == "true"
    assert len(app.llm.asked) == 1


async def test_a_response_that_is_not_stored_is_not_made_in_the_background() -> None:
    app = application()
    async with app.client() as client:
        refused(await respond(client, "How?", background=True, store=False), 422, "invalid_request")
    assert not app.answer_log.logs


async def test_a_response_in_progress_is_not_continued() -> None:
    app = application((SELECTED, asyncio.Event()))
    async with app.client() as client:
        queued = await responded(client, "How?", background=True)
        response = await respond(client, "And?", previous_response_id=queued["id"])
        param, _ = refused(response, 422, "invalid_request")
        assert param == "previous_response_id"


@pytest.mark.parametrize("method", ["stream", "cancel"])
async def test_ids_that_were_not_made_here_are_unknown(method: str) -> None:
    app = application()
    async with app.client() as client:
        made = await responded(client, "How?", background=True)
        await finished(client, made["id"])
        forged = made["id"][:-2] + ("AA" if not made["id"].endswith("AA") else "BB")
        if method == "stream":
            response = await client.get(f"/v1/responses/{forged}", params={"stream": "true"})
        else:
            response = await client.post(f"/v1/responses/{forged}/cancel")
        refused(response, 404, "not_found")
