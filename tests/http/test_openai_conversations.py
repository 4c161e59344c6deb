"""/v1/conversations, and the conversations of history with a title, metadata and items added by hand."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from domain.entities.caller import Scope
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from infra.selftest.provider import FaultProvider
from tests.fakes.application import ApplicationUnderTest
from tests.http.access import bearer, make_key
from tests.http.openai_door import is_error
from tests.support.problems import is_problem
from tests.support.service import Service, running_service

MODEL = "alt-healthy"
WHO = ProviderSelected(provider="p", model="m")
END = Reply(finish_reason=FinishReason.STOP)
ANSWER = "All is well."
HELLO = {"type": "message", "role": "user", "content": "Hello!"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
KNOWN: list[dict[str, Any]] = [
    HELLO,
    {"role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    CALL,
    RESULT,
    {"role": "developer", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "See"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
        ],
    },
]


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose circuits no other test has opened."""
    with running_service(tmp_path_factory.mktemp("service") / "data", settings) as service:
        yield service


def create(client: httpx2.Client, user: str, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/conversations", json={"user": user, **body})
    assert response.status_code == 200, response.text
    return dict(response.json())


def respond(client: httpx2.Client, conversation: str, text: Any, **body: Any) -> dict[str, Any]:
    request = {"model": MODEL, "conversation": conversation, "input": text, **body}
    response = client.post("/v1/responses", json=request)
    assert response.status_code == 200, response.text
    return dict(response.json())


def chat(client: httpx2.Client, user: str, conversation: str, text: str) -> dict[str, Any]:
    body = {"userId": user, "userPrompt": text, "conversationId": conversation, "model": MODEL}
    response = client.post("/v1/chat", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def items(client: httpx2.Client, conversation: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/v1/conversations/{conversation}/items", params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def texts(page: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for item in page for part in item.get("content", ()) if "text" in part]


def walked(client: httpx2.Client, conversation: str, order: str, limit: int) -> list[str]:
    """Return the ids of all items, read page by page."""
    found: list[str] = []
    parameters: dict[str, Any] = {"order": order, "limit": limit}
    while True:
        page = items(client, conversation, **parameters)
        assert len(page["data"]) <= limit
        found += [item["id"] for item in page["data"]]
        if page["data"]:
            assert (page["first_id"], page["last_id"]) == (found[-len(page["data"])], found[-1])
        if not page["has_more"]:
            return found
        parameters["after"] = page["last_id"]


def sent(provider: FaultProvider) -> list[dict[str, Any]]:
    """Return the messages of the last call of the provider."""
    return list(provider.calls[-1].body["messages"])


def test_a_conversation_is_created_read_changed_and_deleted(
    client: httpx2.Client, user: str
) -> None:
    made = create(client, user, metadata={"topic": "demo"})
    assert set(made) == {"id", "object", "created_at", "metadata"}
    assert (made["object"], made["metadata"]) == ("conversation", {"topic": "demo"})
    assert made["id"].startswith("conv_")
    path = f"/v1/conversations/{made['id']}"
    assert client.get(path).json() == made
    changed = client.post(path, json={"metadata": {"a": "b"}})
    assert changed.json() == {**made, "metadata": {"a": "b"}}
    assert client.get(path).json() == changed.json()
    assert client.post(path, json={"metadata": None}).json()["metadata"] == {}
    deleted = {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert client.delete(path).json() == deleted
    for gone in (client.get(path), client.delete(path), client.post(path, json={"metadata": {}})):
        is_error(gone, 404, "not_found")
    body = {"model": MODEL, "conversation": made["id"], "input": "hi"}
    is_error(client.post("/v1/responses", json=body), 404, "not_found")


def test_added_items_come_back(client: httpx2.Client, user: str) -> None:
    conversation = create(client, user, items=KNOWN[:2])["id"]
    path = f"/v1/conversations/{conversation}/items"
    added = client.post(path, json={"items": KNOWN[2:]}).json()
    assert [item["type"] for item in added["data"]] == [
        *["reasoning", "function_call", "function_call_output", "message", "message"]
    ]
    assert (added["object"], added["has_more"]) == ("list", False)
    assert added["first_id"] == added["data"][0]["id"]
    page = items(client, conversation, order="asc")
    assert page["data"][2:] == added["data"]
    assert texts(page["data"]) == ["Hello!", "Hi.", "Be brief.", "See"]
    assert [item["role"] for item in page["data"] if "role" in item] == [
        *["user", "assistant", "system", "user"]
    ]
    assert page["data"][3]["arguments"] == '{"a": 1}'
    assert page["data"][4]["output"] == "42"
    assert page["data"][6]["content"][1]["image_url"] == "https://example.com/a.png"
    for item in page["data"]:
        assert client.get(f"{path}/{item['id']}").json() == item
    backwards = items(client, conversation)["data"]
    assert backwards == page["data"][::-1]
    for order in ("asc", "desc"):
        for limit in (1, 2, 3, 100):
            ids = walked(client, conversation, order, limit)
            assert ids == [item["id"] for item in (page["data"], backwards)[order == "desc"]]


def test_added_items_go_to_the_model_at_their_place(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    conversation = create(client, user, items=[KNOWN[5], *KNOWN[:2]])["id"]
    path = f"/v1/conversations/{conversation}/items"
    respond(client, conversation, "One?", instructions="In French.")
    assert [(message["role"], message["content"]) for message in sent(provider)] == [
        ("system", "Be brief.\n\nIn French."),
        ("user", "Hello!"),
        ("assistant", "Hi."),
        ("user", "One?"),
    ]
    for item in (CALL, RESULT, HELLO):
        assert client.post(path, json={"items": [item]}).status_code == 200
    answer = respond(client, conversation, "Two?")
    assert [message["role"] for message in sent(provider)] == [
        *["system", "user", "assistant", "user", "assistant", "assistant", "tool", "user"]
    ]
    assert sent(provider)[-1]["content"] == "Hello!\n\nTwo?"
    assert sent(provider)[-2]["content"] == "42"
    assert answer["instructions"] is None
    page = items(client, conversation, order="asc")["data"]
    assert texts(page) == [
        *["Be brief.", "Hello!", "Hi.", "One?", ANSWER, "Hello!", "Two?", ANSWER]
    ]
    stored = client.get(f"/v1/history/{user}").json()["history"]
    assert [(turn["userPrompt"], turn["systemPrompt"]) for turn in stored] == [
        ("Two?", ""),
        ("One?", "In French."),
    ]
    for order in ("asc", "desc"):
        assert walked(client, conversation, order, 2) == walked(client, conversation, order, 100)


def test_items_of_other_formats_and_back(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    turn = chat(client, user, "loops", "What is a loop?")
    read = client.get("/v1/conversations/loops", params={"user": user}).json()
    assert read["metadata"] == {}
    assert texts(items(client, read["id"], order="asc")["data"]) == ["What is a loop?", ANSWER]
    respond(client, read["id"], "And a coil?")
    assert [message["content"] for message in sent(provider)] == [
        *["What is a loop?", ANSWER, "And a coil?"]
    ]
    path = f"/v1/conversations/{read['id']}"
    assert client.post(f"{path}/items", json={"items": [HELLO]}).status_code == 200
    chat(client, user, "loops", "And a ring?")
    assert sent(provider)[-1]["content"] == "Hello!\n\nAnd a ring?"
    assert client.get(path).json()["created_at"] == read["created_at"]
    page = client.get(f"/v1/history/{user}", params={"conversationId": "loops"}).json()
    assert len(page["history"]) == 3
    assert page["history"][-1]["id"] == turn["id"]
    made = create(client, user)
    named = client.post(
        "/v1/chat",
        json={"userId": user, "userPrompt": "x", "conversationId": made["id"].split(".")[0]},
    )
    assert named.status_code == 200
    assert texts(items(client, made["id"], order="asc")["data"])[0] == "x"


def test_a_chain_is_a_conversation_with_its_first_response(
    client: httpx2.Client, user: str
) -> None:
    body = {"model": MODEL, "user": user, "input": "One?"}
    first = client.post("/v1/responses", json=body).json()
    body |= {"input": "Two?", "previous_response_id": first["id"]}
    assert client.post("/v1/responses", json=body).status_code == 200
    newest = client.get(f"/v1/history/{user}", params={"limit": 1}).json()["history"][0]
    its_id = newest["conversationId"]
    named = {"user": user}
    assert texts(items(client, its_id, order="asc", **named)["data"]) == [
        *["One?", ANSWER, "Two?", ANSWER]
    ]
    assert len(items(client, its_id, limit=3, **named)["data"]) == 3
    erased = client.delete(f"/v1/history/{user}/conversations/{its_id}")
    assert erased.json() == {"deleted": 2}
    assert client.get(f"/v1/history/{user}").json()["history"] == []


def test_an_added_item_is_deleted_and_one_of_a_response_is_not(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    made = create(client, user, items=KNOWN[:2], metadata={"a": "b"})
    path = f"/v1/conversations/{made['id']}/items"
    respond(client, made["id"], "One?")
    hello, hi, question, answer = items(client, made["id"], order="asc")["data"]
    assert client.delete(f"{path}/{hi['id']}").json() == made
    is_error(client.delete(f"{path}/{hi['id']}"), 404, "not_found")
    for item in (question, answer):
        refused = client.delete(f"{path}/{item['id']}")
        assert is_error(refused, 400, "unsupported_parameter")["param"] == "item_id"
    assert items(client, made["id"])["data"] == [answer, question, hello]
    respond(client, made["id"], "Two?")
    assert [message["content"] for message in sent(provider)] == [
        *["Hello!\n\nOne?", ANSWER, "Two?"]
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": [{"type": "message", "role": "robot", "content": "x"}]}, "items[0].role"),
        ({"items": [HELLO, {"type": "item_reference", "id": "msg_1"}]}, "items[1].id"),
        ({"items": [{"type": "web_search_call"}]}, "items[0].type"),
        ({"items": [{"role": "user", "content": [{"type": {}}]}]}, "items[0].content[0].type"),
        (
            {
                "items": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K"}
                        ],
                    }
                ]
            },
            "items[0].content",
        ),
        ({"items": [HELLO] * 21}, "items"),
        ({"items": "x"}, "items"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"metadata": {"a": "b\0"}}, "metadata.a"),
    ],
)
def test_invalid_bodies_are_refused(
    client: httpx2.Client, user: str, body: dict[str, Any], param: str
) -> None:
    response = client.post("/v1/conversations", json={"user": user, **body})
    assert response.status_code in (400, 422), response.text
    assert response.json()["error"]["param"] == param
    conversation = create(client, user)["id"]
    path = f"/v1/conversations/{conversation}"
    response = client.post(f"{path}/items" if "items" in body else path, json=body)
    assert response.status_code in (400, 422), response.text
    assert items(client, conversation)["data"] == []


def test_a_conversation_does_not_grow_without_end(client: httpx2.Client, user: str) -> None:
    large = {"role": "user", "content": "x" * 150_000}
    conversation = create(client, user, items=[large])["id"]
    response = client.post(f"/v1/conversations/{conversation}/items", json={"items": [large]})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "items")
    assert len(items(client, conversation)["data"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "conv_",
        "conv_x",
        "conv_x.y",
        "unknown",
        "conv_019aabb17c8070008a510f1d2c3b4a59",
        "a%20b",
        "%00",
        "x" * 1025,
    ],
)
def test_unknown_conversations_are_not_found(client: httpx2.Client, path: str) -> None:
    whole = f"/v1/conversations/{path}"
    for method, suffix in (("GET", ""), ("GET", "/items"), ("DELETE", ""), ("POST", "")):
        response = client.request(
            method, whole + suffix, json={"metadata": {}} if method == "POST" else None
        )
        assert response.status_code in (404, 422), (method, response.text)


@pytest.mark.parametrize("item", ["x", "msg_x", "msg_019aabb17c8070008a510f1d2c3b4a5900"])
def test_unknown_items_are_not_found(client: httpx2.Client, user: str, item: str) -> None:
    conversation = create(client, user, items=[HELLO])["id"]
    path = f"/v1/conversations/{conversation}/items/{item}"
    is_error(client.get(path), 404, "not_found")
    is_error(client.delete(path), 404, "not_found")
    if item != "msg_019aabb17c8070008a510f1d2c3b4a5900":
        after = client.get(f"/v1/conversations/{conversation}/items", params={"after": item})
        is_error(after, 404, "not_found")


def test_a_conversation_is_renamed(client: httpx2.Client, user: str) -> None:
    chat(client, user, "loops", "What is a loop?")
    path = f"/v1/history/{user}/conversations/loops"

    def title() -> str:
        page = client.get(f"/v1/history/{user}/conversations").json()
        return str(page["conversations"][0]["title"])

    assert title() == "What is a loop?"
    renamed = client.patch(path, json={"title": "Loops é"})
    assert (renamed.status_code, renamed.json()) == (200, {"id": "loops", "title": "Loops é"})
    assert title() == "Loops é"
    assert client.patch(path, json={"title": ""}).status_code == 200
    assert title() == "What is a loop?"
    unknown = client.patch(f"/v1/history/{user}/conversations/other", json={"title": "x"})
    is_problem(unknown, 404, "not-found")
    for body in ({}, {"title": "x" * 201}, {"title": None}, {"title": "\0"}, {"name": "x"}):
        is_problem(client.patch(path, json=body), 422, "invalid-request")
    is_problem(client.patch(path, content=b"{"), 415, "unsupported-media-type")
    is_problem(client.patch(f"{path}?x=1", json={"title": "x"}), 422, "invalid-request")


def test_deleting_a_conversation_erases_its_turns_and_its_record(
    client: httpx2.Client, user: str, provider: FaultProvider
) -> None:
    headers = {"Idempotency-Key": f"key-{user}"}
    body = {"userId": user, "userPrompt": "One?", "conversationId": "loops", "model": MODEL}
    first = client.post("/v1/chat", json=body, headers=headers).json()
    chat(client, user, "loops", "Two?")
    chat(client, user, "other", "Kept?")
    client.patch(f"/v1/history/{user}/conversations/loops", json={"title": "Loops"})
    path = f"/v1/history/{user}/conversations/loops"
    erased = client.delete(path)
    assert (erased.status_code, erased.json()) == (200, {"deleted": 2})
    assert client.delete(path).json() == {"deleted": 0}
    left = client.get(f"/v1/history/{user}").json()["history"]
    assert [turn["userPrompt"] for turn in left] == ["Kept?"]
    again = client.post("/v1/chat", json=body, headers=headers).json()
    assert again["id"] != first["id"]
    assert [message["content"] for message in sent(provider)] == ["One?"]
    page = client.get(f"/v1/history/{user}/conversations").json()
    assert page["conversations"][0]["title"] == "One?"


def test_erasing_a_user_erases_the_records(client: httpx2.Client, user: str) -> None:
    made = create(client, user, items=[HELLO])
    assert client.delete(f"/v1/history/{user}").json() == {"deleted": 0}
    is_error(client.get(f"/v1/conversations/{made['id']}"), 404, "not_found")


@dataclass(frozen=True)
class Neighbours:
    """A service with keys: one of a backend, one bound to ana, one that may only read."""

    service: Service
    backend: str
    ana: str
    reader: str

    def client(self, key: str) -> httpx2.Client:
        return self.service.client(headers=bearer(key))


@pytest.fixture(scope="module")
def neighbours(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    data_dir = tmp_path_factory.mktemp("neighbours") / "data"
    _, backend = make_key(data_dir)
    _, ana = make_key(data_dir, user="ana")
    _, reader = make_key(data_dir, scopes=[Scope.HISTORY_READ])
    wanted = {**settings, "AUTHENTICATION": "api_keys"}
    with running_service(data_dir, wanted) as service:
        yield Neighbours(service, backend, ana, reader)


def test_another_user_finds_nothing(neighbours: Neighbours) -> None:
    with neighbours.client(neighbours.backend) as backend, neighbours.client(neighbours.ana) as ana:
        made = create(backend, "bob", items=[HELLO], metadata={"secret": "canary"})
        item = items(backend, made["id"])["data"][0]["id"]
        respond(backend, made["id"], "canary?")
        path = f"/v1/conversations/{made['id']}"
        own = made["id"].split(".")[0]
        edited = f"conv_{own}.{made['id'].split('.')[1][:-1]}A"
        mine = create(ana, "bob")
        mixed = f"{own}.{mine['id'].split('.')[1]}"
        for conversation in (made["id"], own, edited, mixed):
            whole = f"/v1/conversations/{conversation}"
            for call in (
                ana.get(whole),
                ana.get(whole, params={"user": "bob"}),
                ana.post(whole, json={"metadata": {}}),
                ana.delete(whole),
                ana.get(f"{whole}/items"),
                ana.post(f"{whole}/items", json={"items": [HELLO]}),
                ana.get(f"{whole}/items/{item}"),
                ana.delete(f"{whole}/items/{item}"),
            ):
                is_error(call, 404, "not_found")
                assert "canary" not in call.text
            body = {"model": MODEL, "conversation": conversation, "input": "What is the secret?"}
            is_error(ana.post("/v1/responses", json=body), 404, "not_found")
        for call in (
            ana.patch(f"/v1/history/bob/conversations/{own}", json={"title": "mine"}),
            ana.delete(f"/v1/history/bob/conversations/{own}"),
        ):
            is_problem(call, 403, "forbidden")
        assert ana.delete(f"/v1/history/me/conversations/{own}").json() == {"deleted": 0}
        assert backend.get(path).json() == made
        assert texts(items(backend, made["id"], order="asc")["data"]) == [
            *["Hello!", "canary?", ANSWER]
        ]
        assert ana.get(f"/v1/conversations/{mine['id']}").status_code == 200
        assert backend.get(f"/v1/conversations/{mine['id']}/items/{item}").status_code == 404


def test_changes_need_their_scopes(neighbours: Neighbours) -> None:
    with (
        neighbours.client(neighbours.backend) as backend,
        neighbours.client(neighbours.reader) as reader,
    ):
        made = create(backend, "carl", items=[HELLO])
        path = f"/v1/conversations/{made['id']}"
        item = items(backend, made["id"])["data"][0]["id"]
        assert reader.get(path).json() == made
        assert items(reader, made["id"])["data"][0]["id"] == item
        for call in (
            reader.post("/v1/conversations", json={}),
            reader.post(path, json={"metadata": {}}),
            reader.post(f"{path}/items", json={"items": [HELLO]}),
            reader.delete(path),
            reader.delete(f"{path}/items/{item}"),
        ):
            is_error(call, 403, "forbidden")
        native = f"/v1/history/carl/conversations/{made['id'].split('.')[0]}"
        is_problem(reader.patch(native, json={"title": "x"}), 403, "forbidden")
        is_problem(reader.delete(native), 403, "forbidden")
        assert backend.get(path).json() == made


async def test_a_store_that_is_away_is_a_503_of_its_own_for_reads_and_writes() -> None:
    app = ApplicationUnderTest(WHO, "Hi.", END)
    async with app.client() as client:
        made = (await client.post("/v1/conversations", json={"user": "ana"})).json()
        path = f"/v1/conversations/{made['id']}"
        native = f"/v1/history/ana/conversations/{made['id'].split('.')[0]}"
        app.records.is_away = True
        body = {"conversation": made["id"], "input": "Hi"}
        for call in (
            await client.get(path),
            await client.get(f"{path}/items"),
            await client.post(path, json={"metadata": {}}),
            await client.delete(path),
            await client.post("/v1/responses", json=body),
        ):
            error = is_error(call, 503, "history_store_unavailable")
            assert error["type"] == "server_error"
        created = await client.post("/v1/conversations", json={})
        is_error(created, 503, "history_unavailable")
        renamed = await client.patch(native, json={"title": "x"})
        is_problem(renamed, 503, "history-store-unavailable")
        assert app.llm.asked == []
        body = {"conversation": "loops", "input": "Hi", "user": "ana"}
        assert (await client.post("/v1/responses", json=body)).status_code == 200


async def test_items_added_at_the_same_time_are_all_kept() -> None:
    app = ApplicationUnderTest()
    async with app.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()
        path = f"/v1/conversations/{made['id']}/items"
        await asyncio.gather(*(client.post(path, json={"items": [HELLO]}) for _ in range(20)))
        page = (await client.get(path, params={"limit": 100})).json()
    assert len(page["data"]) == 20


async def test_a_conversation_has_a_limit_of_items() -> None:
    app = ApplicationUnderTest()
    async with app.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()
        path = f"/v1/conversations/{made['id']}/items"
        for _ in range(50):
            added = await client.post(path, json={"items": [HELLO] * 20})
            assert added.status_code == 200
        refused = await client.post(path, json={"items": [HELLO]})
        assert is_error(refused, 422, "invalid_request")["param"] == "items"
