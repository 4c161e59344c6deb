"""A conversation sees its own past, through either door."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from domain.entities.reply import FinishReason, ProviderSelected, Reply
from infra.selftest.provider import FaultProvider
from tests.fakes.application import ApplicationUnderTest
from tests.fakes.interactions import an_interaction
from tests.support.service import Service, running_service

ANSWER = "All is well."
WHO = ProviderSelected(provider="p", model="m")
END = Reply(finish_reason=FinishReason.STOP)


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose circuits no other test has opened."""
    with running_service(tmp_path_factory.mktemp("service") / "data", settings) as service:
        yield service


def native(client: httpx2.Client, user: str, question: str, conversation: str | None) -> None:
    body = {"userId": user, "userPrompt": question, "model": "alt-healthy"}
    if conversation is not None:
        body["conversationId"] = conversation
    response = client.post("/v1/chat", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["conversationId"] == conversation


def openai(
    client: httpx2.Client,
    user: str,
    question: str,
    conversation: str | None,
    *before: dict[str, str],
) -> None:
    body: dict[str, Any] = {"user": user, "model": "alt-healthy"}
    body["messages"] = [*before, {"role": "user", "content": question}]
    if conversation is not None:
        body["metadata"] = {"conversation_id": conversation}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text


Door = Callable[[httpx2.Client, str, str, str | None], None]


def sent(provider: FaultProvider) -> list[str]:
    """The texts of the messages of the last call."""
    return [message["content"] for message in provider.calls[-1].body["messages"]]


@pytest.mark.parametrize("doors", [(native,), (openai,), (native, openai)])
def test_twenty_turns_see_all_their_past_at_once(
    client: httpx2.Client, user: str, provider: FaultProvider, doors: tuple[Door, ...]
) -> None:
    expected: list[str] = []
    for turn in range(20):
        doors[turn % len(doors)](client, user, f"question {turn}", "c-1")
        expected.append(f"question {turn}")
        assert sent(provider) == expected
        expected.append(ANSWER)


@pytest.mark.parametrize("door", [native, openai])
def test_nothing_goes_along_without_a_conversation(
    client: httpx2.Client, user: str, provider: FaultProvider, door: Door
) -> None:
    door(client, user, "one", "c-1")
    door(client, user, "two", None)
    assert sent(provider) == ["two"]
    door(client, user, "three", "c-2")
    assert sent(provider) == ["three"]
    door(client, user, "four", "c-1")
    assert sent(provider) == ["one", ANSWER, "four"]


@pytest.mark.parametrize("door", [native, openai])
def test_another_users_conversation_of_the_same_name_stays_theirs(
    client: httpx2.Client, user: str, provider: FaultProvider, door: Door
) -> None:
    door(client, f"{user}-other", "a secret", "c-1")
    door(client, user, "mine", "c-1")
    assert sent(provider) == ["mine"]


def test_a_list_with_its_own_context_is_filed_and_not_doubled(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    native(client, user, "one", "c-1")
    before = ({"role": "user", "content": "one"}, {"role": "assistant", "content": "edited"})
    openai(client, user, "two", "c-1", *before)
    assert sent(provider) == ["one", "edited", "two"]
    openai(client, user, "three", "c-1", {"role": "user", "content": "a question before"})
    assert sent(provider) == ["a question before", "three"]
    openai(client, user, "four", "c-1", {"role": "system", "content": "Be short."})
    assert sent(provider) == [
        *("Be short.", "one", ANSWER, "two", ANSWER),
        *("a question before\n\nthree", ANSWER, "four"),
    ]
    page = client.get(f"/v1/history/{user}", params={"conversationId": "c-1"}).json()
    assert [one["userPrompt"] for one in page["history"]] == [
        "four",
        "a question before\n\nthree",
        "two",
        "one",
    ]


def test_what_was_broken_off_is_remembered_and_what_failed_is_not(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    for model, status in (("gem-cut", 502), ("gem-empty", 502), ("gem-blocked-mid-stream", 200)):
        body = {"userId": user, "userPrompt": model, "model": model, "conversationId": "c-1"}
        assert client.post("/v1/chat", json=body).status_code == status
    native(client, user, "now", "c-1")
    assert sent(provider) == ["gem-cut", "All ", "now"]


def test_turns_sent_at_once_do_not_corrupt_each_other(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    native(client, user, "first", "c-1")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: native(client, user, f"at once {n}", "c-1"), range(8)))
    native(client, user, "last", "c-1")
    texts = sent(provider)
    assert texts[:2] == ["first", ANSWER]
    assert sorted(texts[2:-1:2]) == [f"at once {n}" for n in range(8)]
    assert set(texts[3:-1:2]) == {ANSWER}
    assert texts[-1] == "last"


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """What a record says, but for ids, times and durations."""
    left_out = {"id", "timestamp", "llmResponseSeconds", "timeToFirstTokenSeconds"}
    told = {name: value for name, value in record.items() if name not in left_out}
    told["attempts"] = [{**attempt, "seconds": None} for attempt in record["attempts"]]
    return told


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("gem-healthy", "completed"),
        ("alt-healthy", "completed"),
        ("gem-blocked", "blocked"),
        ("gem-blocked-mid-stream", "blocked"),
        ("alt-empty", "failed"),
        ("gem-context-too-long", "failed"),
        ("alt-rejected", "failed"),
        ("alt-huge-answer", "truncated"),
        ("safe-empty", "completed"),
    ],
)
def test_streamed_and_plain_through_either_door_leave_the_same_record(
    client: httpx2.Client, user: str, model: str, status: str
) -> None:
    for stream in (False, True):
        common = {"model": model, "stream": stream, "temperature": 0.5}
        native_body = {"userId": user, "userPrompt": "hi", "systemPrompt": "be", **common}
        client.post("/v1/chat", json=native_body)
        messages = [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}]
        openai_body = {"user": user, "messages": messages, **common}
        client.post("/v1/chat/completions", json=openai_body)
    statuses = {"status": ["completed", "truncated", "blocked", "failed"]}
    records = client.get(f"/v1/history/{user}", params=statuses).json()["history"]
    assert [record["status"] for record in records] == [status] * 4
    assert all(_told(record) == _told(records[0]) for record in records[1:])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_past_that_cannot_be_read_is_a_503_before_anybody_is_asked(stream: bool) -> None:
    application = ApplicationUnderTest(WHO, "hi", END)
    application.history.is_unreadable = True
    ask = {"userId": "ana", "userPrompt": "hi", "stream": stream}
    async with application.client() as client:
        response = await client.post("/v1/chat", json={**ask, "conversationId": "c"})
        assert response.status_code == 503
        assert response.json()["type"] == "/problems/history-store-unavailable"
        assert response.headers["Retry-After"] == "5"
        assert application.llm.asked == []
        assert application.history.kept == {}
        assert (await client.post("/v1/chat", json=ask)).status_code == 200


async def test_requests_without_a_conversation_never_read_history() -> None:
    application = ApplicationUnderTest(WHO, "hi", END)
    await application.history.append(an_interaction(conversation_id="c"))
    question = {"role": "user", "content": "hi"}
    answer = {"role": "assistant", "content": "ho"}
    async with application.client() as client:
        await client.post("/v1/chat", json={"userId": "ana", "userPrompt": "hi"})
        await client.post("/v1/chat/completions", json={"messages": [question]})
        body = {"messages": [question, answer, question], "metadata": {"conversation_id": "c"}}
        await client.post("/v1/chat/completions", json=body)
    assert len(application.llm.asked) == 3
    assert application.history.searches == 0


@pytest.mark.seen("C12")
@pytest.mark.parametrize("door", [native, openai])
@pytest.mark.parametrize("leaving", ["/v1/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("before_the_first_word", [False, True])
def test_a_stream_that_was_stopped_is_part_of_what_was_said(
    client: httpx2.Client,
    service: Service,
    user: str,
    provider: FaultProvider,
    door: Door,
    leaving: str,
    before_the_first_word: bool,
) -> None:
    native(client, user, "one", "c-1")
    body: dict[str, Any] = {"stream": True, "model": "gem-stall"}
    if before_the_first_word:
        body["model"] = "gem-silent"
    if leaving == "/v1/chat":
        body |= {"userId": user, "userPrompt": "stopped", "conversationId": "c-1"}
    else:
        body |= {"user": user, "messages": [{"role": "user", "content": "stopped"}]}
        body["metadata"] = {"conversation_id": "c-1"}
    if before_the_first_word:
        calls = len(provider.calls)
        with service.client() as stopping, ThreadPoolExecutor(1) as pool:
            asked = pool.submit(_cut_off, stopping, leaving, body)
            deadline = time.monotonic() + 120
            while len(provider.calls) == calls:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            asked.result()
    else:
        with (
            service.client() as stopping,
            stopping.stream("POST", leaving, json=body) as response,
        ):
            seen = b""
            for part in response.iter_bytes():
                seen += part
                if b"All" in seen:
                    break
    _until_cancelled(client, user)
    door(client, user, "now", "c-1")
    if before_the_first_word:
        assert sent(provider) == ["one", ANSWER, "stopped\n\nnow"]
    else:
        assert sent(provider) == ["one", ANSWER, "stopped", "All ", "now"]
    (newest, *_) = client.get(f"/v1/history/{user}").json()["history"]
    assert newest["userPrompt"] == "now"


def _cut_off(client: httpx2.Client, door: str, body: dict[str, Any]) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        client.post(door, json=body, timeout=1.0)


def _until_cancelled(client: httpx2.Client, user: str) -> None:
    deadline = time.monotonic() + 120
    query = {"status": "client_cancelled"}
    while not client.get(f"/v1/history/{user}", params=query).json()["history"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
