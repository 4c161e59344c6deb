"""GET /v1/history/{userId}?q=…"""

from typing import Any

import httpx2
import pytest


def ask(client: httpx2.Client, user: str, prompt: str, **body: Any) -> str:
    asked = {"userId": user, "userPrompt": prompt, "model": "alt-healthy", **body}
    response = client.post("/v1/chat", json=asked)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def page(client: httpx2.Client, user: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/v1/history/{user}", params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


def found(client: httpx2.Client, user: str, q: str, **parameters: Any) -> list[str]:
    return [one["id"] for one in page(client, user, q=q, **parameters)["history"]]


def test_whole_words_are_found_in_prompt_and_response(client: httpx2.Client, user: str) -> None:
    first = ask(client, user, "Où est le Café?")
    second = ask(client, user, "Where is the cafeteria?", conversationId="c")
    answer = page(client, user)["history"][0]["response"].split()[0]
    assert found(client, user, "CAFE") == [first]
    assert found(client, user, "cafeteria where") == [second]
    assert found(client, user, "caf") == []
    assert found(client, user, f"cafeteria {answer}") == [second]
    assert found(client, user, answer) == [second, first]
    assert found(client, user, answer, conversationId="c") == [second]
    assert found(client, user, answer, model="nobody") == []
    assert found(client, user, answer, order="asc", limit=1) == [first]
    assert found(client, f"{user}-other", "cafe") == []
    client.delete(f"/v1/history/{user}/{first}")
    assert found(client, user, "cafe") == []


def test_a_search_walks_by_a_cursor_that_fits_no_other(client: httpx2.Client, user: str) -> None:
    asked = [ask(client, user, f"needle number {n}") for n in range(5)]
    ask(client, user, "something else")
    walked: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"q": "needle", "limit": 2, **({"cursor": cursor} if cursor else {})}
        one = page(client, user, **parameters)
        walked += [item["id"] for item in one["history"]]
        if one["nextCursor"] is None:
            break
        cursor = one["nextCursor"]
    assert walked == asked[::-1]
    for other in ({"q": "number"}, {"q": "needle number"}, {}):
        response = client.get(f"/v1/history/{user}", params={"cursor": cursor, **other})
        assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-cursor")
    assert client.get(
        f"/v1/history/{user}", params={"cursor": cursor, "q": " NEEDLE! needle"}
    ).is_success, "the same words"


@pytest.mark.parametrize(
    "q", ["", " ", "%22", "*", "-", "🦩", "...", "x" * 257, "\u200b", "%00"], ids=repr
)
def test_what_holds_no_word_or_too_much_is_refused(
    client: httpx2.Client, user: str, q: str
) -> None:
    response = client.get(f"/v1/history/{user}?q={q}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert response.json()["errors"][0]["pointer"] == "query/q"
    assert client.get(f"/v1/history/{user}?q=a&q=b").status_code == 422
    assert client.get(f"/v1/history/{user}/conversations?q=a").status_code == 422


@pytest.mark.parametrize(
    "q",
    [
        '"',
        "needle*",
        "need*",
        'needle" OR "x',
        "needle NEAR x",
        "-needle x",
        "words:needle",
        "{needle}",
        "needle'; DROP TABLE said; --",
        '{"$ne": "needle"}',
        "$where needle",
        "needle\0 x",
        "a" * 256,
        "needle " * 36,
    ],
    ids=repr,
)
def test_operators_are_words_or_nothing(client: httpx2.Client, user: str, q: str) -> None:
    asked = ask(client, user, "the needle")
    words = {"".join(c if c.isalnum() else " " for c in q)}
    only_needle = {word for text in words for word in text.split()} == {"needle"}
    response = client.get(f"/v1/history/{user}", params={"q": q})
    if q == '"':
        assert response.status_code == 422
    else:
        assert response.status_code == 200
        ids = [one["id"] for one in response.json()["history"]]
        assert ids == ([asked] if only_needle else [])
