"""A client that leaves, or is sent away, in the middle of its body is no failure of ours."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.server_fixtures.client import WAIT_SECONDS, Client
from tests.support.service import Service

HEAD = "POST /v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\r\n\r\n"


def leave(client: Client) -> None:
    client.send(HEAD.format("Content-Length: 100").encode() + b'{"user')
    with Client(client.socket.getpeername()[1]) as other:  # once it is answered, the first was read
        other.get("/health/live")
        assert other.receive().status == 200
    client.reset()


def be_sent_away(client: Client) -> None:
    client.send(HEAD.format("Transfer-Encoding: chunked").encode() + b"nonsense\r\n")
    assert client.receive().status == 400
    assert client.is_closed()


@pytest.mark.parametrize("behave", [leave, be_sent_away])
def test_an_unfinished_body_is_not_logged_as_a_failure_of_ours(
    service: Service, behave: Callable[[Client], None]
) -> None:
    before = len(service.log)
    with Client(service.port) as client:
        behave(client)
    assert wait_for_line(service, before)["http"]["response"]["status_code"] == 400


def wait_for_line(service: Service, first: int) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        for line in service.lines()[first:]:
            if line["log"]["logger"] == "app.access" and line["url"]["path"] == "/v1/chat":
                return line
        assert time.monotonic() < deadline, "no line came"
        time.sleep(0.01)
