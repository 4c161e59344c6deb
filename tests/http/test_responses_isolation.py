"""Ids of responses, items and conversations of another user, and altered ones, lead to nothing on any route."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from domain.entities.caller import Scope
from infra.selftest.provider import FaultProvider
from tests.fakes.issuer import issuer_in_thread, token
from tests.http.access import bearer, jwt_settings, make_key
from tests.http.openai_door import is_error
from tests.http.route_table import OF_AN_ID, served
from tests.support.service import Service, running_service

BOBS = "canary-of-bob"
ROUTES = sorted(
    (method, route.path)
    for route in served()
    if OF_AN_ID in route.path
    for method in {*route.methods, *({"HEAD"} if "GET" in route.methods else ())}
)


@dataclass(frozen=True)
class Neighbours:
    """Ana and bob, and a backend that acts for any user.

    Attributes:
        ana: A key and a token.
        backends: Two keys that are not bound to a user.
        limited: Keys of bob's that may only chat, and only read.
        response: A response of bob's.
    """

    service: Service
    ana: list[str]
    bob: str
    backends: list[str]
    limited: list[str]
    response: dict[str, Any]

    def client(self, credentials: str) -> httpx2.Client:
        return self.service.client(headers=bearer(credentials))


@pytest.fixture(scope="module")
def neighbours(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    data_dir = tmp_path_factory.mktemp("neighbours") / "data"
    _, ana = make_key(data_dir, user="ana")
    _, bob = make_key(data_dir, user="bob")
    backends = [make_key(data_dir)[1] for _ in range(2)]
    limited = [
        make_key(data_dir, user="bob", scopes=[scope])[1]
        for scope in (Scope.CHAT_WRITE, Scope.HISTORY_READ)
    ]
    limits = {"CALLER_REQUESTS_PER_MINUTE": "1000000"}
    with (
        issuer_in_thread() as issuer,
        running_service(data_dir, {**settings, **jwt_settings(issuer), **limits}) as service,
    ):
        with service.client(headers=bearer(bob)) as client:
            body = {"input": BOBS, "conversation": "of-bob"}
            response = client.post("/v1/responses", json=body)
            assert response.status_code == 200, response.text
        ana_token = token(sub="ana", exp=int(time.time()) + 3600).decode()
        yield Neighbours(service, [ana, ana_token], bob, backends, limited, response.json())


@pytest.fixture(autouse=True)
def bob_is_as_he_was(neighbours: Neighbours) -> Iterator[None]:
    yield
    with neighbours.client(neighbours.bob) as client:
        kept = client.get(f"/v1/responses/{neighbours.response['id']}")
        assert kept.json() == neighbours.response


def altered(identifier: str) -> Iterator[str]:
    """Ids like `identifier`, with another time, another user or without one."""
    head, sealed = identifier[:37], identifier[37:]
    yield head
    yield f"{head}{sealed[:-1]}{'A' if sealed[-1] != 'A' else 'B'}"
    yield f"{head}{'A' if sealed[0] != 'A' else 'B'}{sealed[1:]}"
    yield f"{head[:-1]}{'0' if head[-1] != '0' else '1'}{sealed}"
    yield f"{identifier}A"
    yield f"{identifier}="
    yield identifier.replace("resp_", "conv_")
    yield identifier.upper()
    yield "resp_"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_response_of_another_user_is_not_found(
    neighbours: Neighbours, method: str, path: str
) -> None:
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            response = client.request(method, path.replace(OF_AN_ID, neighbours.response["id"]))
            assert response.status_code == 404, response.text
            assert BOBS not in response.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_altered_id_is_not_found_with_any_credentials(
    neighbours: Neighbours, method: str, path: str
) -> None:
    for credentials in (*neighbours.ana, neighbours.bob, *neighbours.backends):
        with neighbours.client(credentials) as client:
            for identifier in altered(neighbours.response["id"]):
                response = client.request(method, path.replace(OF_AN_ID, identifier))
                assert response.status_code == 404, (identifier, response.text)
                assert BOBS not in response.text


def test_nothing_of_another_user_can_be_continued_or_referred_to(
    neighbours: Neighbours, provider: FaultProvider
) -> None:
    response = neighbours.response
    (item,) = response["output"]
    conversation = response["conversation"]["id"]
    reference = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": item["id"]}]
    for credentials in neighbours.ana:
        with neighbours.client(credentials) as client:
            for identifier in (response["id"], *altered(response["id"])):
                body = {"input": "Hi", "previous_response_id": identifier, "user": "bob"}
                refusal = client.post("/v1/responses", json=body)
                is_error(refusal, 404, "previous_response_not_found")
            for named in (conversation, {"id": conversation}, conversation[:-1], "conv_of-bob"):
                refusal = client.post("/v1/responses", json={"input": "Hi", "conversation": named})
                is_error(refusal, 404, "not_found")
            is_error(client.post("/v1/responses", json={"input": reference}), 404, "item_not_found")
            own = client.post("/v1/responses", json={"input": "Hi", "conversation": "of-bob"})
            assert own.status_code == 200
            assert BOBS not in str(provider.calls[-1].body)


def test_a_backend_that_acts_for_many_users_names_none(neighbours: Neighbours) -> None:
    for credentials in neighbours.backends:
        with neighbours.client(credentials) as client:
            body = {"input": "Hi", "user": "carl"}
            first = client.post("/v1/responses", json=body).json()
            body = {"input": "And?", "previous_response_id": first["id"]}
            second = client.post("/v1/responses", json=body).json()
            assert client.get(f"/v1/responses/{second['id']}").json() == second
            page = client.get("/v1/history/carl").json()["history"]
            assert [turn["userPrompt"] for turn in page[:2]] == ["And?", "Hi"]
            other = {**body, "user": "dora"}
            is_error(client.post("/v1/responses", json=other), 404, "previous_response_not_found")


def test_a_key_without_a_permission_is_refused(neighbours: Neighbours) -> None:
    writer, reader = neighbours.limited
    path = f"/v1/responses/{neighbours.response['id']}"
    with neighbours.client(writer) as client:
        is_error(client.get(path), 403, "forbidden")
        is_error(client.delete(path), 403, "forbidden")
    with neighbours.client(reader) as client:
        assert client.get(path).status_code == 200
        is_error(client.delete(path), 403, "forbidden")
        body = {"input": "Hi", "previous_response_id": neighbours.response["id"]}
        is_error(client.post("/v1/responses", json=body), 403, "forbidden")
