"""Requests with an Idempotency-Key that meet each other, an erasure, a full service, an upgrade, or a store that closes."""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import Field

from app.dto.native.chat import ChatRequest
from app.dto.openai_chat.request import ChatCompletionRequest
from app.requests.idempotency_key import idempotent_request
from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.exceptions import ContentBlocked, IdempotencyUnavailable, LLMUnavailable
from infra.clock import SystemClock
from infra.idempotency.sqlite.store import SqliteIdempotency
from tests.fakes.application import ApplicationUnderTest
from tests.fakes.model import Step

NATIVE = "/v1/chat"
OPENAI = "/v1/chat/completions"
DOORS = [NATIVE, OPENAI]
WHO = ProviderSelected(provider="p", model="m")
END = Reply(finish_reason=FinishReason.STOP)
ANSWER: tuple[Step, ...] = (WHO, "All is well.", END)
PLACES = 4


def body_of(door: str, **changes: Any) -> dict[str, Any]:
    if door == NATIVE:
        return {"userId": "ana", "userPrompt": "How are you?", **changes}
    return {"user": "ana", "messages": [{"role": "user", "content": "How are you?"}], **changes}


async def send(
    client: httpx2.AsyncClient, door: str, key: str = "k", **changes: Any
) -> httpx2.Response:
    headers = {"Idempotency-Key": key}
    return await client.post(door, json=body_of(door, **changes), headers=headers)


@pytest.fixture
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_CHATS", str(PLACES))


class SlowClaims:
    """Lets all who claim wait for each other before the first claim is made."""

    def __init__(self, application: ApplicationUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        self._claim = application.claims.claim
        monkeypatch.setattr(application.claims, "claim", self)

    async def __call__(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        self.waiting += 1
        await self.go_on.wait()
        return await self._claim(key, claim, now_milliseconds=now_milliseconds)


@pytest.mark.seen("D6")
@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("door", DOORS)
async def test_of_a_burst_with_keys_no_more_are_let_in_than_may_be_under_way(
    monkeypatch: pytest.MonkeyPatch, door: str, streamed: bool
) -> None:
    answered = asyncio.Event()
    application = ApplicationUnderTest(WHO, answered, *ANSWER[1:])
    claims = SlowClaims(application, monkeypatch)
    async with application.client() as client:
        asking = [
            asyncio.create_task(send(client, door, f"k{n}", stream=streamed))
            for n in range(5 * PLACES)
        ]
        while claims.waiting + sum(task.done() for task in asking) < len(asking):
            await asyncio.sleep(0)
        claims.go_on.set()
        while len(application.llm.asked) + sum(task.done() for task in asking) < len(asking):
            await asyncio.sleep(0)
        assert len(application.llm.asked) == PLACES
        answered.set()
        found = await asyncio.gather(*asking)
        assert sorted(one.status_code for one in found) == [200] * PLACES + [503] * 4 * PLACES
        refused = next(one for one in found if one.status_code == 503)
        assert "overloaded" in refused.text
        for number in range(2 * PLACES):  # every place is free again
            assert (await send(client, door, f"later-{number}")).status_code == 200


@pytest.mark.seen("D6")
@pytest.mark.usefixtures("few_places")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("door", DOORS)
async def test_a_chat_gives_its_place_back_however_it_ends(door: str, streamed: bool) -> None:
    application = ApplicationUnderTest(*ANSWER)
    endless = asyncio.Event()

    async with application.client() as client:

        async def expect(statuses: set[int], key: str, **changes: Any) -> None:
            for _ in range(2 * PLACES):
                response = await send(client, door, key, stream=streamed, **changes)
                assert response.status_code in statuses, response.text

        await expect({200}, "answered-then-replayed")
        await expect({400, 422}, "answered-then-replayed", temperature=0.5)
        await expect({400, 404, 422}, "unknown-model", model="unknown")
        application.llm.steps = (WHO, LLMUnavailable())
        await expect({502, 503}, "failed")
        application.llm.steps = (ContentBlocked(),)
        await expect({400, 422}, "blocked")
        application.claims.is_away = True
        await expect({503}, "keys-unavailable")
        application.claims.is_away = False

        application.llm.steps = (WHO, endless)
        before = len(application.llm.asked)
        running = asyncio.create_task(send(client, door, "running", stream=streamed))
        while len(application.llm.asked) == before:
            await asyncio.sleep(0)
        await expect({409}, "running")
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

        held = asyncio.Event()
        application.llm.steps = (WHO, held, *ANSWER[1:])
        before = len(application.llm.asked)
        full = [asyncio.create_task(send(client, door, f"full-{n}")) for n in range(PLACES)]
        while len(application.llm.asked) < before + PLACES:
            await asyncio.sleep(0)
        assert (await send(client, door, "one-too-many")).status_code == 503
        held.set()
        assert [one.status_code for one in await asyncio.gather(*full)] == [200] * PLACES


@pytest.mark.seen("D5")
@pytest.mark.parametrize("door", DOORS)
async def test_a_chat_that_begins_while_all_is_erased_keeps_its_record_and_its_key(
    monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """Between the bound of the erasure and the forgetting of keys, a whole chat is answered."""
    application = ApplicationUnderTest(*ANSWER)
    forget = application.claims.forget_user
    answers: list[httpx2.Response] = []
    async with application.client() as client:
        before = await send(client, door, "before")

        async def chatting_meanwhile(user_id: str, until_id: str) -> None:
            if not answers:
                await asyncio.sleep(0.002)  # into another millisecond than the bound's
                answers.append(await send(client, door, "meanwhile"))
            await forget(user_id, until_id)

        async def erase_all(user_id: str, until_id: str) -> int:
            gone = [i for i in application.history.kept if i[:13] <= until_id[:13]]
            for one in gone:
                del application.history.kept[one]
            return len(gone)

        monkeypatch.setattr(application.claims, "forget_user", chatting_meanwhile)
        monkeypatch.setattr(application.history, "erase_all", erase_all)
        erased = await client.delete("/v1/history/ana")
        assert erased.json() == {"deleted": 1}

        asked = len(application.llm.asked)
        again = await send(client, door, "meanwhile")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == answers[0].json()
        assert len(application.llm.asked) == asked, "the provider is not paid twice"
        anew = await send(client, door, "before")
        assert "Idempotency-Replayed" not in anew.headers
        assert anew.json()["id"] != before.json()["id"]


@pytest.mark.seen("D5")
async def test_a_chat_from_before_an_erasure_that_claims_its_key_late_leaves_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = ApplicationUnderTest(*ANSWER)
    claims = SlowClaims(application, monkeypatch)
    async with application.client() as client:
        late = asyncio.create_task(send(client, NATIVE))
        while not claims.waiting:
            await asyncio.sleep(0)

        async def erase_all(user_id: str, until_id: str) -> int:
            claims.go_on.set()
            while not application.claims.kept:
                await asyncio.sleep(0)
            return 0

        monkeypatch.setattr(application.history, "erase_all", erase_all)
        assert (await client.delete("/v1/history/ana")).status_code == 200
        assert application.claims.kept == {}
        assert (await late).status_code == 200


@pytest.mark.seen("D7")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("door", DOORS)
async def test_in_best_effort_what_was_not_kept_is_asked_again_at_once(
    monkeypatch: pytest.MonkeyPatch, door: str, streamed: bool
) -> None:
    monkeypatch.setenv("HISTORY_MODE", "best_effort")
    application = ApplicationUnderTest(*ANSWER)
    application.history.refuses = 1
    async with application.client() as client:
        first = await send(client, door, stream=streamed)
        assert first.status_code == 200
        if door == NATIVE:
            assert "not_persisted" in first.text
        second = await send(client, door, stream=streamed)
        assert second.status_code == 200
        assert "Idempotency-Replayed" not in second.headers
        assert second.headers["X-Interaction-Id"] == first.headers["X-Interaction-Id"]
        third = await send(client, door, stream=streamed)
        assert third.headers["Idempotency-Replayed"] == "true"
    assert len(application.llm.asked) == 2
    assert list(application.history.kept) == [first.headers["X-Interaction-Id"]]


FIRST_FORM = {
    NATIVE: (
        {"temperature": 1},
        "ada638b905e2450984c488efe495236a91ec61d422c3e5b44ea842e6449e9fb5",
    ),
    OPENAI: (
        {
            "stream": True,
            "stream_options": {"include_usage": True},
            "metadata": {"conversation_id": "c"},
        },
        "9c77326c016a6b068c3147c3416fba2b3d52d06b142b41ea5b18322e406ae9dc",
    ),
}
"""What a release before version 2 kept for these bodies, taken from one."""


@pytest.mark.seen("D8")
@pytest.mark.parametrize("door", DOORS)
async def test_a_key_kept_by_an_earlier_release_is_still_replayed_and_still_guarded(
    door: str,
) -> None:
    changes, fingerprint = FIRST_FORM[door]
    application = ApplicationUnderTest(*ANSWER)
    async with application.client() as client:
        first = await send(client, door, **changes)
        ((digest, (key, claim)),) = application.claims.kept.items()
        assert claim.fingerprint != fingerprint
        application.claims.kept[digest] = (key, replace(claim, fingerprint=fingerprint))
        again = await send(client, door, **changes)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["X-Interaction-Id"] == first.headers["X-Interaction-Id"]
        other = await send(client, door, **{**changes, "temperature": 0.5})
        assert other.status_code in (400, 422)
        assert "used with another request" in other.text
    assert len(application.llm.asked) == 1


class LaterChatRequest(ChatRequest):
    """What a later release may make of the body."""

    verbosity: str = Field(default="medium")
    annotations: list[str] = Field(default=[])


class LaterCompletionRequest(ChatCompletionRequest):
    """What a later release may make of the body."""

    verbosity: str | None = Field(default=None)
    parallel_tool_calls: bool = Field(default=True)


class RequestTo:
    """As much of a request as a fingerprint needs."""

    def __init__(self, path: str) -> None:
        route = type("Route", (), {"path": path})
        self.scope = {"route": route}
        self.headers = type("Headers", (), {"getlist": lambda _self, _name: ["k"]})()


def fingerprint(body: ChatRequest | ChatCompletionRequest, door: str) -> str:
    request: Any = RequestTo(door)
    sent = idempotent_request(
        "k", request, body, names_user={"user_id", "user", "safety_identifier"}
    )
    assert sent is not None
    return sent.fingerprint.current


@pytest.mark.seen("D8")
@pytest.mark.parametrize(
    ("door", "now", "later"),
    [
        (NATIVE, ChatRequest, LaterChatRequest),
        (OPENAI, ChatCompletionRequest, LaterCompletionRequest),
    ],
)
def test_a_field_with_a_default_that_is_added_changes_no_fingerprint(
    door: str, now: type[ChatRequest], later: type[ChatRequest]
) -> None:
    for changes in ({}, {"temperature": 0.5}, {"stream": True}):
        sent = json.dumps(body_of(door, **changes))
        made = fingerprint(now.model_validate_json(sent), door)
        assert made == fingerprint(later.model_validate_json(sent), door)
        using = json.dumps(body_of(door, **changes, verbosity="high"))
        assert made != fingerprint(later.model_validate_json(using), door)


@pytest.mark.seen("D8")
async def test_a_body_with_a_field_that_an_earlier_release_did_not_know_is_not_what_it_was_asked() -> (
    None
):
    body = LaterChatRequest.model_validate_json(json.dumps(body_of(NATIVE, verbosity="high")))
    request: Any = RequestTo(NATIVE)
    sent = idempotent_request("k", request, body, names_user={"user_id"})
    assert sent is not None
    plain = ChatRequest.model_validate_json(json.dumps(body_of(NATIVE)))
    kept = hashlib.sha256(plain.model_dump_json(exclude={"user_id"}).encode()).hexdigest()
    assert not sent.fingerprint.matches(kept)


@pytest.mark.seen("D8")
def test_order_spelling_and_spelled_out_defaults_make_no_difference() -> None:
    bodies = [
        '{"userId":"ana","userPrompt":"Ça va?","temperature":1}',
        '{ "temperature": 1.0,\n "userPrompt": "\\u00c7a va?" }',
        '{"userPrompt":"Ça va?","temperature":1e0,"stream":false,"systemPrompt":"","model":null}',
    ]
    made = {fingerprint(ChatRequest.model_validate_json(body), NATIVE) for body in bodies}
    assert len(made) == 1
    assert made.pop().startswith("2:")


@pytest.mark.seen("D12")
@pytest.mark.parametrize("door", DOORS)
async def test_keys_whose_store_closes_under_a_request_are_a_503(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: str
) -> None:
    store = SqliteIdempotency(tmp_path / "idempotency.db", SystemClock())
    application = ApplicationUnderTest(*ANSWER)
    monkeypatch.setattr(application.claims, "claim", store.claim)
    monkeypatch.setattr(application.claims, "replace", store.replace)
    monkeypatch.setattr(application.claims, "release", store.release)
    async with application.client() as client:
        assert (await send(client, door)).status_code == 200
        await store.close()
        response = await send(client, door)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert "idempotency" in response.text
        assert (await client.post(door, json=body_of(door))).status_code == 200
    with pytest.raises(IdempotencyUnavailable):
        await store.forget_interaction("ana", "x")
