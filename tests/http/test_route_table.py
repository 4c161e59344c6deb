"""What the service answers to is what its description says, and what tests of access know of."""

from pathlib import Path

import pytest

from tests.http.route_table import (
    HIDDEN,
    OF_A_CONVERSATION,
    OF_A_USER,
    OF_AN_ID,
    OF_NOBODY,
    WITH_A_BODY,
    Served,
    served,
)
from tests.support.service import Service, running_service


def is_known(route: Served) -> bool:
    """Whether a test sends it whatever one user may send to get at another's."""
    return (
        route.is_public
        or OF_A_USER in route.path
        or OF_AN_ID in route.path
        or route.path.startswith(OF_A_CONVERSATION)
        or route.path in WITH_A_BODY
        or route.path in OF_NOBODY
    )


@pytest.mark.parametrize("route", served(), ids=lambda route: route.path)
def test_no_route_is_without_a_test_of_who_may_use_it(route: Served) -> None:
    assert is_known(route), "say in route_table.py how it names a user"


def test_the_description_and_the_routes_are_the_same(service: Service) -> None:
    with service.client() as client:
        described = client.get("/openapi.json").json()["paths"]
    shown = {
        (method.upper(), path) for path, operations in described.items() for method in operations
    }
    there = {
        (method, route.path.replace(":interaction", "").replace(":path", ""))
        for route in served()
        if route.is_described
        for method in route.methods
    }
    assert shown == there
    assert {route.path for route in served() if not route.is_described} == HIDDEN


def test_the_docs_can_be_turned_off(tmp_path: Path) -> None:
    off = {"DOCS_ENABLED": "false"}
    with running_service(tmp_path / "data", off) as service, service.client() as client:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            assert client.get(path).status_code == 404
