"""GET /v1/history/{userId}/conversations."""

from typing import Any

import httpx2

from tests.http.openai_door import complete


def chat(client: httpx2.Client, user: str, conversation: str | None, prompt: str) -> dict[str, str]:
    body = {"userId": user, "userPrompt": prompt, "model": "alt-healthy"}
    response = client.post("/v1/chat", json={**body, "conversationId": conversation})
    assert response.status_code == 200, response.text
    return dict(response.json())


def listed(client: httpx2.Client, user: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/v1/history/{user}/conversations", params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_conversations_are_listed_last_active_first(client: httpx2.Client, user: str) -> None:
    first = chat(client, user, "c-1", "\n  What is an event loop?\nAnd why?")
    other = chat(client, user, "c-2", "x" * 100)
    chat(client, user, None, "in no conversation")
    last = chat(client, user, "c-1", "more")
    assert listed(client, user) == {
        "conversations": [
            {
                "id": "c-1",
                "turns": 2,
                "firstAt": first["timestamp"],
                "lastAt": last["timestamp"],
                "title": "What is an event loop?",
            },
            {
                "id": "c-2",
                "turns": 1,
                "firstAt": other["timestamp"],
                "lastAt": other["timestamp"],
                "title": "x" * 80,
            },
        ],
        "nextCursor": None,
    }


def test_turns_of_both_doors_are_one_conversation(client: httpx2.Client, user: str) -> None:
    chat(client, user, "c-1", "native")
    complete(client, user, model="alt-healthy", metadata={"conversation_id": "c-1"})
    (found,) = listed(client, user)["conversations"]
    assert (found["turns"], found["title"]) == (2, "native")


def test_a_cursor_walks_all_of_them_and_fits_nothing_else(client: httpx2.Client, user: str) -> None:
    for number in range(5):
        chat(client, user, f"c-{number}", "hi")
    walked: list[str] = []
    page = listed(client, user, limit=2)
    cursor = page["nextCursor"]
    walked += [one["id"] for one in page["conversations"]]
    while page["nextCursor"] is not None:
        page = listed(client, user, limit=2, cursor=page["nextCursor"])
        walked += [one["id"] for one in page["conversations"]]
    assert walked == ["c-4", "c-3", "c-2", "c-1", "c-0"]
    for path in (
        f"/v1/history/{user}-other/conversations",
        f"/v1/history/{user}",
    ):
        response = client.get(path, params={"cursor": str(cursor)})
        assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-cursor")


def test_who_has_none_has_an_empty_list(client: httpx2.Client, user: str) -> None:
    chat(client, f"{user}-other", "c-1", "somebody else's")
    assert listed(client, user) == {"conversations": [], "nextCursor": None}


def test_what_is_erased_is_not_listed(client: httpx2.Client, user: str) -> None:
    first = chat(client, user, "c-1", "one")
    chat(client, user, "c-1", "two")
    client.delete(f"/v1/history/{user}/{first['id']}")
    (found,) = listed(client, user)["conversations"]
    assert (found["turns"], found["title"]) == (1, "two")
    client.delete(f"/v1/history/{user}")
    assert listed(client, user)["conversations"] == []


def test_wrong_parameters_are_refused(client: httpx2.Client, user: str) -> None:
    for query in ("limit=0", "limit=101", "order=asc", "limit=1&limit=2"):
        response = client.get(f"/v1/history/{user}/conversations?{query}")
        assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    response = client.get(f"/v1/history/{user}/conversations?cursor=abc")
    assert response.json()["type"] == "/problems/invalid-cursor"
