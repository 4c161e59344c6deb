"""Who a user is: names of any alphabet, `me`, and every place that looks at a user id."""

import base64
import hashlib
import json
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from domain.entities.caller import is_user_id, to_user_id
from tests.fakes.issuer import token
from tests.http.access import bearer
from tests.http.openai_door import QUESTION, complete
from tests.support.guarded_service import Guarded, chat
from tests.support.problems import is_problem
from tests.support.service import command, running_service

VALID = [
    "ana",
    "_leading",
    "-leading",
    "a=b",
    "a~b",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ=",
    "user+tag@example.org",
    "x" * 128,
]
OTHERS = [
    "a/b",
    "https://issuer.example/users/7",
    "=leading",
    ".",
    "..",
    "has a blank",
    "line\nbreak",
    "ana\n",
    "Zoë",
    "日本語",
    "😀",
    "x" * 129,
    "x" * 5000,
]


def derived(name: str) -> str:
    digest = hashlib.sha256(name.encode()).digest()
    return "sub-" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.seen("C2")
@pytest.mark.parametrize("name", VALID)
def test_a_name_of_the_alphabet_is_the_user_id(name: str) -> None:
    assert is_user_id(name)
    assert to_user_id(name) == name


@pytest.mark.seen("C2")
@pytest.mark.parametrize("name", OTHERS)
def test_any_other_name_becomes_one_of_the_alphabet(name: str) -> None:
    assert not is_user_id(name)
    assert to_user_id(name) == derived(name)
    assert is_user_id(to_user_id(name))


@pytest.mark.seen("C2")
@pytest.mark.parametrize("subject", [*VALID, *OTHERS])
def test_a_token_is_let_in_whatever_its_subject_is_called(guarded: Guarded, subject: str) -> None:
    user = to_user_id(subject)
    with guarded.client(token(sub=subject)) as client:
        answer = chat(client, None)
        assert answer.status_code == 200, answer.text
        assert answer.json()["userId"] == user
        assert chat(client, user).status_code == 200
        openai = client.post("/v1/chat/completions", json={"messages": [QUESTION]})
        assert openai.status_code == 200
        page = client.get(f"/v1/history/{quote(user, safe='')}").json()["history"]
        assert {one["userId"] for one in page} == {user}
        assert client.get("/v1/history/me").json()["history"] == page


@pytest.mark.seen("C2")
def test_no_subject_can_be_chosen_so_that_it_gets_the_id_of_another(guarded: Guarded) -> None:
    with guarded.client(token(sub=derived("a/b"))) as client:
        user = chat(client, None).json()["userId"]
    assert user == derived(derived("a/b"))


@pytest.mark.parametrize("subject", ["", None, 7])
def test_a_token_that_names_no_user_is_refused(guarded: Guarded, subject: object) -> None:
    with guarded.client(token(sub=subject)) as client:
        assert client.get("/v1/models").status_code == 401


@pytest.mark.seen("C2")
@pytest.mark.parametrize("field", ["user", "safety_identifier"])
@pytest.mark.parametrize("name", ["a/b", "has a blank", "ana\n", "日本語", "x" * 129, "_a=~"])
def test_a_user_of_any_alphabet_is_taken_at_the_openai_door(
    client: httpx2.Client, field: str, name: str
) -> None:
    response = client.post("/v1/chat/completions", json={"messages": [QUESTION], field: name})
    assert response.status_code == 200, response.text
    page = client.get(f"/v1/history/{quote(to_user_id(name), safe='')}").json()["history"]
    assert page[0]["userId"] == to_user_id(name)
    again = complete(client, to_user_id(name))
    assert again.status_code == 200
    assert len(client.get(f"/v1/history/{quote(to_user_id(name), safe='')}").json()["history"]) > 1


@pytest.mark.seen("C2")
def test_the_credentials_go_before_user_and_that_before_safety_identifier(
    guarded: Guarded,
) -> None:
    named = {"user": "other/one", "safety_identifier": "third"}
    key_id = guarded.backend_key.split("_")[1]
    cases = [
        (token(sub="tok/en"), named, to_user_id("tok/en")),
        (guarded.ana_key, named, "ana"),
        (guarded.backend_key, named, to_user_id("other/one")),
        (guarded.backend_key, {"user": "", "safety_identifier": "th/ird"}, to_user_id("th/ird")),
        (guarded.backend_key, {"user": None}, f"key:{key_id}"),
    ]
    for credentials, fields, expected in cases:
        with guarded.client(credentials) as client:
            sent = {"messages": [QUESTION], **fields}
            answer = client.post("/v1/chat/completions", json=sent)
            interaction = answer.headers["X-Interaction-Id"]
        with guarded.client(guarded.backend_key) as client:
            path = f"/v1/history/{quote(expected, safe='')}/{interaction}"
            assert client.get(path).status_code == 200, expected


@pytest.mark.parametrize("credentials", ["token", "key"])
def test_me_is_the_authenticated_user_in_every_path(guarded: Guarded, credentials: str) -> None:
    shown: str | bytes = token(sub="ana") if credentials == "token" else guarded.ana_key
    with guarded.client(shown) as client:
        made = chat(client, None).json()["id"]
        assert client.get(f"/v1/history/me/{made}").json()["userId"] == "ana"
        for path in ("conversations", "stats", "export"):
            mine = client.get(f"/v1/history/me/{path}")
            assert mine.status_code == 200
            assert mine.content == client.get(f"/v1/history/ana/{path}").content
        assert 'filename="history-ana.jsonl"' in mine.headers["Content-Disposition"]
        first = client.get("/v1/history/me", params={"limit": 1}).json()
        if first["nextCursor"]:
            cursor = {"limit": 1, "cursor": first["nextCursor"]}
            assert client.get("/v1/history/ana", params=cursor).status_code == 200
        assert client.delete(f"/v1/history/me/{made}").status_code == 204
        assert client.get(f"/v1/history/ana/{made}").status_code == 404
        assert client.delete("/v1/history/me").status_code == 200
        assert client.get("/v1/history/ana").json()["history"] == []


def test_me_is_nobody_for_a_key_that_acts_for_any_user(guarded: Guarded) -> None:
    made = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"
    with guarded.client(guarded.backend_key) as client:
        for method, path in (
            ("GET", "me"),
            ("DELETE", "me"),
            ("GET", f"me/{made}"),
            ("DELETE", f"me/{made}"),
            ("GET", "me/conversations"),
            ("GET", "me/stats"),
            ("GET", "me/export"),
        ):
            problem = is_problem(
                client.request(method, f"/v1/history/{path}"), 422, "invalid-request"
            )
            (error,) = problem["errors"]
            assert error["pointer"] == "path/userId"
            assert "any user" in error["message"]


def test_without_authentication_me_is_a_name_like_any_other(client: httpx2.Client) -> None:
    made = client.post("/v1/chat", json={"userId": "me", "userPrompt": "hi"}).json()["id"]
    assert client.get(f"/v1/history/me/{made}").json()["userId"] == "me"


@pytest.fixture(params=["_a=b~c", "-a|b+c", "AQ=="])
def odd(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.seen("C2")
def test_every_route_and_command_copes_with_every_character_of_an_id(
    settings: dict[str, str], data_dir: Path, tmp_path: Path, odd: str
) -> None:
    made = command(data_dir, "keys", "create", f"--user={odd}")
    assert made.returncode == 0, made.stderr
    line = command(data_dir, "keys", "create", f"--user={odd}", "--line").stdout.splitlines()
    from_line = {"API_KEYS": line[-3]}
    access = {"AUTHENTICATION": "api_keys", **from_line}
    in_path = f"/v1/history/{quote(odd, safe='')}"
    with running_service(data_dir, {**settings, **access}) as service:
        for key in (made.stdout.splitlines()[-1], line[-1]):
            with service.client(headers=bearer(key)) as client:
                body = {"userPrompt": "hi", "conversationId": odd}
                assert client.post("/v1/chat", json=body).json()["userId"] == odd
        with service.client(headers=bearer(key)) as client:
            first = client.get(in_path, params={"limit": 1, "conversationId": odd}).json()
            walk = {"limit": 1, "conversationId": odd, "cursor": first["nextCursor"]}
            rest = client.get(in_path, params=walk).json()
            assert len(first["history"] + rest["history"]) == 2
            (conversation,) = client.get(f"{in_path}/conversations").json()["conversations"]
            assert conversation["id"] == odd
            assert client.get(f"{in_path}/stats").json()["groups"][0]["interactions"] == 2
            file = client.get(f"{in_path}/export")
            assert len(file.text.splitlines()) == 2
            disposition = file.headers["Content-Disposition"]
            assert set(disposition.partition('"')[2]) <= set(
                'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"'
            )
    copy = tmp_path / "copy.jsonl"
    done = command(data_dir, "export", str(copy), f"--user={odd}")
    assert done.returncode == 0, done.stderr
    lines = copy.read_text().splitlines()
    assert [json.loads(one)["userId"] for one in lines] == [odd, odd]
    (tmp_path / "second").mkdir()
    brought = command(tmp_path / "second" / "data", "import", str(copy))
    assert brought.returncode == 0, brought.stderr
