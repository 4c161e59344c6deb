"""Read back what was asked."""

import httpx2
import pytest

UNKNOWN_ID = "01a20389-ce6f-7000-920f-5a0c1137e7a7"


def ask(client: httpx2.Client, user: str, **body: object) -> dict[str, object]:
    response = client.post("/v1/chat", json={"userId": user, "userPrompt": "hi", **body})
    return dict(response.json())


def ids(page: dict[str, object]) -> list[object]:
    history = page["history"]
    assert isinstance(history, list)
    return [item["id"] for item in history]


def test_an_unknown_user_has_an_empty_history(client: httpx2.Client) -> None:
    response = client.get("/v1/history/nobody-yet")
    assert response.status_code == 200
    assert response.json() == {"history": [], "nextCursor": None, "complete": True}


def test_a_history_walks_by_cursor_both_ways(client: httpx2.Client, user: str) -> None:
    asked = [ask(client, user)["id"] for _ in range(7)]
    for order, expected in (("desc", asked[::-1]), ("asc", asked)):
        seen: list[object] = []
        cursor: str | None = None
        while True:
            parameters = {"limit": "3", "order": order, **({"cursor": cursor} if cursor else {})}
            page = client.get(f"/v1/history/{user}", params=parameters).json()
            seen += ids(page)
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert seen == expected


def test_filters_narrow_the_page(client: httpx2.Client, user: str) -> None:
    first = ask(client, user, model="gem-healthy", conversationId="c1")
    second = ask(client, user, model="alt-healthy")
    ask(client, user, model="gem-rejected")
    blocked = ask(client, user, model="gem-blocked-mid-stream")

    def found(**parameters: str) -> list[object]:
        response = client.get(f"/v1/history/{user}", params=parameters)
        assert response.status_code == 200, response.text
        return ids(response.json())

    assert found() == [blocked["id"], second["id"], first["id"]]  # the failed one has no answer
    assert found(model="alt-healthy") == [second["id"]]
    assert found(provider="alt") == [second["id"]]
    assert found(conversationId="c1") == [first["id"]]
    assert found(status="blocked") == [blocked["id"]]
    assert len(found(status="failed")) == 1
    response = client.get(f"/v1/history/{user}?status=blocked&status=failed")
    assert len(response.json()["history"]) == 2
    second_time = str(second["timestamp"])
    assert first["id"] not in found(**{"from": second_time})
    assert second["id"] in found(**{"from": second_time})
    assert second["id"] not in found(to=second_time)
    assert found(model="nobody") == []


@pytest.mark.parametrize("change", ["user", "filter", "order", "bit", "garbage"])
def test_a_cursor_is_good_for_its_own_walk_only(
    client: httpx2.Client, user: str, change: str
) -> None:
    for _ in range(2):
        ask(client, user)
    cursor = client.get(f"/v1/history/{user}?limit=1").json()["nextCursor"]
    path, parameters = f"/v1/history/{user}", {"cursor": cursor, "limit": "5"}
    assert client.get(path, params=parameters).status_code == 200
    if change == "user":
        path += "x"
    elif change == "filter":
        parameters["provider"] = "gem"
    elif change == "order":
        parameters["order"] = "asc"
    elif change == "bit":
        parameters["cursor"] = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    else:
        parameters["cursor"] = "%%%"
    response = client.get(path, params=parameters)
    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-cursor")


def test_one_is_read_and_erased_by_its_user_only(client: httpx2.Client, user: str) -> None:
    asked = ask(client, user)["id"]
    assert client.get(f"/v1/history/other-{user}/{asked}").status_code == 404
    assert client.delete(f"/v1/history/other-{user}/{asked}").status_code == 204
    assert client.get(f"/v1/history/{user}/{str(asked).upper()}").status_code == 200
    response = client.delete(f"/v1/history/{user}/{asked}")
    assert (response.status_code, response.content) == (204, b"")
    assert client.get(f"/v1/history/{user}/{asked}").status_code == 404
    assert client.delete(f"/v1/history/{user}/{asked}").status_code == 204
    assert client.delete(f"/v1/history/{user}/{UNKNOWN_ID}").status_code == 204


def test_all_of_a_users_history_is_erased(client: httpx2.Client, user: str) -> None:
    for model in ("gem-healthy", "gem-rejected", "alt-healthy"):
        ask(client, user, model=model)
    other = f"other-{user}"
    kept = ask(client, other)["id"]
    assert client.delete(f"/v1/history/{user}").json() == {"deleted": 3}
    assert client.delete(f"/v1/history/{user}").json() == {"deleted": 0}
    assert client.get(f"/v1/history/{user}").json()["history"] == []
    assert ids(client.get(f"/v1/history/{other}").json()) == [kept]
    again = ask(client, user)["id"]
    assert ids(client.get(f"/v1/history/{user}").json()) == [again]


def test_who_must_know_waits_for_an_interaction(client: httpx2.Client, user: str) -> None:
    asked = str(ask(client, user)["id"])
    page = client.get(f"/v1/history/{user}", params={"afterId": asked, "wait": "5"}).json()
    assert (page["complete"], ids(page)) == (True, [asked])
    page = client.get(f"/v1/history/{user}", params={"afterId": UNKNOWN_ID, "wait": "0.1"}).json()
    assert (page["complete"], ids(page)) == (False, [asked])
