"""Two users: whatever the one sends, nothing of the other comes back and nothing of the other changes."""

import inspect
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.history_query import HistoryQuery
from domain.entities.statistics import StatisticsQuery
from domain.interfaces.history import HistoryRepository
from domain.interfaces.idempotency import IdempotencyStore
from infra.selftest.provider import FaultProvider
from tests.fakes.issuer import issuer_in_thread, token
from tests.http.access import bearer, jwt_settings, make_key, send_raw, without_request_id
from tests.http.route_table import OF_A_USER, WITH_A_BODY, asked, calls_of_a_user, served
from tests.support.service import Service, running_service

QUERIES = (HistoryQuery, ConversationQuery, StatisticsQuery)
BOBS = "canary-of-bob"
ASKED_BY_BOTH = {"userPrompt": "What did I say?", "conversationId": "shared"}
BODIES = {"PATCH": {"title": "mine"}}
"""By verb, a body that the route takes, so that what is refused is the user."""
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"]


@dataclass(frozen=True)
class Neighbours:
    """Ana and bob, each with a history, a key and a token."""

    service: Service
    ana: list[str]
    bob: str
    bobs_ids: list[str]

    def client(self, credentials: str) -> httpx2.Client:
        return self.service.client(headers=bearer(credentials))


@pytest.fixture(scope="module")
def neighbours(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    data_dir = tmp_path_factory.mktemp("neighbours") / "data"
    _, ana_key = make_key(data_dir, user="ana")
    _, bob_key = make_key(data_dir, user="bob")
    limits = {"CALLER_REQUESTS_PER_MINUTE": "1000000"}
    with (
        issuer_in_thread() as issuer,
        running_service(data_dir, {**settings, **jwt_settings(issuer), **limits}) as service,
    ):
        ids = []
        with service.client(headers=bearer(bob_key)) as client:
            bodies = [{**ASKED_BY_BOTH, "userPrompt": f"{BOBS} {number}"} for number in range(3)]
            for body in [*bodies, ASKED_BY_BOTH]:
                headers = {"Idempotency-Key": f"bobs-{len(ids)}"}
                answer = client.post("/v1/chat", json=body, headers=headers)
                assert answer.status_code == 200
                ids.append(answer.json()["id"])
        ana_token = token(sub="ana", exp=int(time.time()) + 3600).decode()
        yield Neighbours(service, [ana_key, ana_token], bob_key, ids)


@pytest.fixture(autouse=True)
def bob_is_as_he_was(neighbours: Neighbours) -> Iterator[None]:
    yield
    with neighbours.client(neighbours.bob) as client:
        history = client.get("/v1/history/bob").json()["history"]
    assert [item["id"] for item in history] == neighbours.bobs_ids[::-1]


SPELLINGS = [
    "bob",
    "%62ob",
    "%62%6F%62",
    "bo%62",
    "%2562ob",
    "BOB",
    "Bob",
    "bob/",
    "bob//",
    "/bob",
    "bob%2f",
    "bob%2F",
    "./bob",
    "%2e/bob",
    "ana/../bob",
    "ana/%2e%2e/bob",
    "ana%2f..%2fbob",
    "ana%2f%2e%2e%2fbob",
    "ana/..%2fbob",
    "..%2f..%2fv1%2fhistory%2fbob",
    "ana;/../bob",
    "ana%00bob",
    "bob%00",
    "bob%20",
    "%20bob",
    "bob%0d%0a",
    "bob%09",
    "bob;x=1",
    "bob?userId=ana",
    "ana?userId=bob",
    "ana?userId=bob&userId=ana",
    "bob?userId=bob&userId=ana",
    "ana,bob",
    "ana|bob",
    "*",
    "%25",
    "$ne",
    "%7b%22$ne%22:null%7d",
    "ana'%20OR%20'1'='1",
    "bob%ef%bc%8f",
    "%c0%afbob",
    "b%c3%b6b",
    "bo%e2%80%8bb",
]


def targets(ids: list[str], spelling: str) -> Iterator[str]:
    """Every route of a user, asked for in this spelling."""
    user, _, query = spelling.partition("?")
    for path in {route.path for route in served() if OF_A_USER in route.path}:
        for interaction_id in ids if "{interactionId" in path else [""]:
            target = asked(path, user, interaction_id)
            yield f"{target}?{query}" if query else target


@pytest.mark.slow
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_path_shows_or_changes_anothers_history(
    neighbours: Neighbours, spelling: str
) -> None:
    ids = [neighbours.bobs_ids[0], neighbours.bobs_ids[1].upper()]
    port = neighbours.service.port
    for credentials, verb in itertools.product(neighbours.ana, VERBS):
        if verb == "DELETE" and spelling.startswith("ana?"):
            continue  # that is ana erasing her own
        for target in targets(ids, spelling):
            answer = send_raw(port, verb, target, bearer(credentials))
            told = (verb, target, answer)
            assert BOBS not in answer.text, told
            assert BOBS not in str(answer.headers), told
            assert 200 <= answer.status < 500, told
            if answer.status < 300:
                assert re.match(r"ana(\?|$)", spelling), told


QUESTIONS = [
    "q=canary",
    f"q={BOBS}",
    "conversationId=shared",
    "model=gem-healthy",
    "provider=gem",
    "status=completed&status=blocked",
    "by=model",
    "by=day&from=2020-01-01T00:00:00Z",
    "format=csv",
    "format=jsonl",
    "userId=bob",
    "user=bob&userId=bob",
]


@pytest.mark.parametrize("query", QUESTIONS)
def test_no_question_about_ones_own_history_tells_of_anothers(
    neighbours: Neighbours, query: str
) -> None:
    """What a route does not know it refuses, so every route is asked everything."""
    port = neighbours.service.port
    for credentials, target in itertools.product(
        neighbours.ana, targets(neighbours.bobs_ids, f"ana?{query}")
    ):
        answer = send_raw(port, "GET", target, bearer(credentials))
        assert answer.status in (200, 404, 405, 422), (target, answer)
        for told in (BOBS, *neighbours.bobs_ids):
            assert told not in answer.text.replace(query, ""), (target, answer)


def spellings_of(path: str) -> list[str]:
    """A path as it is, and in ways that routers and proxies may take for it."""
    first, last = path.rsplit("/", 1)
    return [
        path,
        f"{first}/%{ord(last[0]):02x}{last[1:]}",
        f"{path}?userId=bob",
        f"{path}?user=ana&user=bob",
        f"{path}/",
        f"{path}%2f",
        f"{path};bob",
        f"{path}%00",
        path.upper(),
        f"/{path}",
        f"{first}//{last}",
        f"{first}/./{last}",
        f"{first}/x/../{last}",
        f"{first}/x/%2e%2e/{last}",
        f"/v1/history/bob/../../..{path}",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_A_BODY)
def test_no_way_to_ask_files_anything_under_anothers_name(
    neighbours: Neighbours, path: str
) -> None:
    port = neighbours.service.port
    for credentials, verb, target, body in itertools.product(
        neighbours.ana, VERBS, spellings_of(path), WITH_A_BODY[path]
    ):
        headers = {**bearer(credentials), "Content-Type": "application/json"}
        answer = send_raw(port, verb, target, headers, json.dumps(body).encode())
        told = (verb, target, body, answer)
        assert BOBS not in answer.text, told
        assert 200 <= answer.status < 500, told
        if answer.status == 200:  # OpenAI's door takes the credentials' user whatever is named
            if "x-interaction-id" not in answer.headers:
                made = f"/v1/conversations/{json.loads(answer.text)['id']}"
                assert send_raw(port, "GET", made, bearer(credentials)).status == 200, told
                continue
            one_id = answer.headers["x-interaction-id"]
            kept = send_raw(port, "GET", f"/v1/history/ana/{one_id}", bearer(credentials))
            assert json.loads(kept.text)["userId"] == "ana", told


def test_the_same_403_whether_the_other_exists_or_not(neighbours: Neighbours) -> None:
    calls = list(calls_of_a_user())
    assert len(calls) >= 5
    seen = []
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            for user in ("bob", f"nobody-{uuid.uuid4()}"):
                for one_id in (neighbours.bobs_ids[0], str(uuid.uuid4())):
                    for response in (
                        *(
                            client.request(verb, asked(path, user, one_id), json=BODIES.get(verb))
                            for verb, path in calls
                        ),
                        client.post("/v1/chat", json={"userId": user, "userPrompt": "hi"}),
                    ):
                        assert response.status_code == 403, response.request.url
                        headers = {
                            name: value
                            for name, value in response.headers.items()
                            if name not in ("x-request-id", "date", "ratelimit", "content-length")
                        }
                        seen.append((without_request_id(response), headers))
    assert all(one == seen[0] for one in seen)


def test_what_is_public_tells_of_nobody(neighbours: Neighbours) -> None:
    for route in served():
        if route.is_public:
            answer = send_raw(neighbours.service.port, "GET", route.path, {})
            assert answer.status < 500, route.path
            for told in (BOBS, *neighbours.bobs_ids, '"bob"'):
                assert told not in answer.text, route.path


def test_anothers_interaction_under_ones_own_name_is_not_found(neighbours: Neighbours) -> None:
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            for one_id in neighbours.bobs_ids:
                assert client.get(f"/v1/history/ana/{one_id}").status_code == 404
                assert client.delete(f"/v1/history/ana/{one_id}").status_code == 204
                params = {"afterId": one_id, "wait": 0}
                page = client.get("/v1/history/ana", params=params)
                assert page.json()["complete"] is False


def test_anothers_cursor_is_refused(neighbours: Neighbours) -> None:
    with neighbours.client(neighbours.bob) as client:
        page = client.get("/v1/history/bob", params={"limit": 1}).json()
        listed = client.get("/v1/history/bob/conversations", params={"limit": 1})
        assert listed.status_code == 200
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            for path in ("/v1/history/ana", "/v1/history/ana/conversations"):
                params = {"limit": 1, "cursor": page["nextCursor"]}
                response = client.get(path, params=params)
                assert response.status_code == 400, response.text
                assert BOBS not in response.text


def test_anothers_conversation_of_the_same_name_is_not_sent_along(
    neighbours: Neighbours, provider: FaultProvider
) -> None:
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            assert client.post("/v1/chat", json=ASKED_BY_BOTH).status_code == 200
            assert BOBS not in str(provider.calls[-1].body)
            openai = {
                "messages": [{"role": "user", "content": "What did I say?"}],
                "metadata": {"conversation_id": "shared"},
                "user": "bob",
            }
            assert client.post("/v1/chat/completions", json=openai).status_code == 200
            assert BOBS not in str(provider.calls[-1].body)
            assert BOBS not in client.get("/v1/history/ana/conversations").text


def test_anothers_idempotency_key_leads_to_nothing(neighbours: Neighbours) -> None:
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            for _ in range(2):
                key = {"Idempotency-Key": "bobs-3"}
                answer = client.post("/v1/chat", json=ASKED_BY_BOTH, headers=key)
                assert answer.status_code == 200
                assert answer.json()["userId"] == "ana"
                assert answer.json()["id"] not in neighbours.bobs_ids


@pytest.mark.parametrize(
    "body",
    [
        b'{"userId":"bob","userPrompt":"hi"}',
        b'{"userId":"ana","userId":"bob","userPrompt":"hi"}',
        b'{"user_id":"bob","userPrompt":"hi"}',
        b'{"userid":"bob","userPrompt":"hi"}',
        b'{"userId":["ana","bob"],"userPrompt":"hi"}',
        b'{"userId":{"$in":["ana","bob"]},"userPrompt":"hi"}',
        b'{"userId":"\\u0062ob","userPrompt":"hi"}',
        b'{"userId":"bob ","userPrompt":"hi"}',
        b'{"userId":"bob\\u0000","userPrompt":"hi"}',
    ],
)
def test_no_body_files_anything_under_anothers_name(neighbours: Neighbours, body: bytes) -> None:
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            response = client.post(
                "/v1/chat", content=body, headers={"Content-Type": "application/json"}
            )
            assert response.status_code in (400, 403, 422), response.text


def test_no_store_can_be_asked_without_a_user() -> None:
    """Every look-up and every erasure carries the user by its very signature."""
    for port, writing in (
        (HistoryRepository, {"admit", "begin", "append", "append_many"}),
        (IdempotencyStore, {"claim", "replace", "release"}),
    ):
        for name, method in inspect.getmembers(port, inspect.isfunction):
            if name.startswith("_") or name in writing:
                continue
            parameters = list(inspect.signature(method).parameters.values())[1:]
            first = parameters[0]
            assert first.default is inspect.Parameter.empty, (port, name)
            assert first.name == "user_id" or first.annotation in QUERIES
    for query in QUERIES:
        assert inspect.signature(query).parameters["user_id"].default is inspect.Parameter.empty
