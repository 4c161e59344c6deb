"""The service below a path of a proxy: a real nginx, with and without the path in what it hands on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from app.middleware.access_gate import GateRules
from app.middleware.client_address import TrustedProxies
from infra.settings import Settings
from tests.e2e.openai_client import ASKING, Counted
from tests.fakes.application import ApplicationUnderTest
from tests.http.nginx import nginx_before
from tests.support.problems import is_problem
from tests.support.service import Service, plain_client, running_service

TRUSTING = {"TRUSTED_PROXIES": "127.0.0.1"}
WAYS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "path taken off, nothing said": (TRUSTING, {"keeps_prefix": False}, "."),
    "path taken off, ROOT_PATH set": (
        {**TRUSTING, "ROOT_PATH": "/ai/"},
        {"keeps_prefix": False},
        "/ai",
    ),
    "path taken off, X-Forwarded-Prefix": (
        TRUSTING,
        {"keeps_prefix": False, "more": "proxy_set_header X-Forwarded-Prefix /ai;"},
        "/ai",
    ),
    "path kept, ROOT_PATH set": ({**TRUSTING, "ROOT_PATH": "/ai"}, {"keeps_prefix": True}, "/ai"),
}


@contextmanager
def shown(
    folder: Path, settings: dict[str, str], way: str
) -> Iterator[tuple[Service, httpx2.Client, str]]:
    """A service behind nginx, a client to that, and the URL its description gives."""
    ours, options, server = WAYS[way]
    with (
        running_service(folder / "data", {**settings, **ours}) as service,
        nginx_before(service.port, folder, **options) as url,
        plain_client(url) as client,
    ):
        yield service, client, server


@pytest.fixture(scope="module", params=WAYS)
def behind(
    request: pytest.FixtureRequest,
    settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, httpx2.Client, str]]:
    with shown(tmp_path_factory.mktemp("nginx"), settings, request.param) as parts:
        yield parts


Behind = tuple[Service, httpx2.Client, str]


def linked(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"#]+)"', page)


@pytest.mark.slow
@pytest.mark.seen("C6")
def test_every_file_of_the_console_is_found_from_its_page(behind: Behind) -> None:
    _, client, _ = behind
    page = client.get("/ai/")
    assert page.status_code == 200
    links = linked(page.text)
    assert len(links) > 20
    for link in links:
        assert client.get(urljoin("/ai/", link)).status_code == 200, link
    script = client.get("/ai/console/api.js").text
    assert not re.findall(r'["`]/(?:v1|health|console)', script)


@pytest.mark.seen("C6")
def test_the_path_without_its_slash_leads_to_the_console(behind: Behind) -> None:
    _, client, _ = behind
    moved = client.get("/ai")
    assert moved.status_code in (301, 308)
    assert urljoin("/ai", moved.headers["Location"]).endswith("/ai/")


@pytest.mark.slow
@pytest.mark.seen("C6")
def test_the_documentation_finds_its_files_and_describes_where_the_api_is(behind: Behind) -> None:
    _, client, server = behind
    page = client.get("/ai/docs").text
    for link in linked(page):
        assert client.get(urljoin("/ai/docs", link)).status_code == 200, link
    (described,) = re.findall(r"url: '([^']+)'", page)
    address = urljoin("/ai/docs", described)
    description = client.get(address).json()
    assert description["servers"] == [{"url": server}]
    base = urljoin(address, description["servers"][0]["url"]).rstrip("/")
    assert client.get(f"{base}/v1/models").status_code == 200
    assert client.get(f"{base}/health/live").status_code == 200


@pytest.mark.seen("C6")
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
def test_both_doors_answer_below_the_path(behind: Behind, is_streamed: bool) -> None:
    _, client, _ = behind
    asked = {"userId": "ana", "userPrompt": "hi", "stream": is_streamed}
    answer = client.post("/ai/v1/chat", json=asked)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"].startswith(("no-store", "no-cache"))
    made = answer.headers["X-Interaction-Id"]
    assert client.get(f"/ai/v1/history/ana/{made}").status_code == 200
    with Counted(f"{client.base_url!s}".rstrip("/") + "/ai") as openai:
        completion = openai.chat.completions.create(model="gem-healthy", messages=ASKING)
        assert completion.choices[0].message.content
    problem = is_problem(client.post("/ai/v1/chat", json={}), 422, "invalid-request")
    assert problem["type"] == "/problems/invalid-request"  # a name, which is the same everywhere
    assert client.get("/ai/v1/models/nothing").json()["error"]["code"] == "model_not_found"


@pytest.mark.seen("C6")
def test_what_goes_past_the_proxy_still_works(behind: Behind) -> None:
    service, _, _ = behind
    with service.client() as client:
        for path in ("/health/live", "/docs", "/", "/v1/models"):
            assert client.get(path).status_code == 200


@cache
def application(**options: str) -> ApplicationUnderTest:
    """An application that trusts one proxy; it makes its description once, which takes a third of a second."""
    rules = GateRules(
        any_client=True, hosts=frozenset(), proxies=TrustedProxies.from_names(("10.0.0.1",))
    )
    return ApplicationUnderTest(rules=rules, **options)


async def described(headers: list[tuple[str, str]], peer: str, **options: str) -> str:
    async with application(**options).client(peer) as client:
        answer = await client.get("/openapi.json", headers=headers)
    return str(answer.json()["servers"][0]["url"])


@pytest.mark.slow
@pytest.mark.seen("C6")
@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (["/ai"], "/ai"),
        (["/ai/"], "/ai"),
        (["/a", "/b"], "/a/b"),
        (["/a, /b"], "/a/b"),
        (["//evil.example"], "."),
        (["https://evil.example"], "."),
        (["/a/../b"], "."),
        (["/a?b"], "."),
        (['/"><script>'], "."),
        (["ai"], "."),
        ([""], "."),
    ],
)
async def test_only_a_trusted_proxy_says_a_prefix_and_only_a_plain_one(
    prefixes: list[str], expected: str
) -> None:
    headers = [("X-Forwarded-Prefix", prefix) for prefix in prefixes]
    assert await described(headers, "10.0.0.1") == expected
    assert await described(headers, "10.0.0.2") == "."
    assert await described(headers, "10.0.0.1", root_path="/own") == "/own"


@pytest.mark.seen("C6")
async def test_a_prefix_that_a_client_made_up_opens_no_other_path() -> None:
    rules = GateRules(
        any_client=True,
        hosts=frozenset(),
        needs_credentials=True,
        proxies=TrustedProxies.from_names(("10.0.0.1",)),
    )
    async with ApplicationUnderTest(rules=rules).client("10.0.0.1") as client:
        headers = {"X-Forwarded-Prefix": "/health"}
        assert (await client.get("/health/v1/models", headers=headers)).status_code == 404
        assert (await client.get("/v1/models", headers=headers)).status_code == 503


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", ""), ("/", ""), ("/ai", "/ai"), ("/ai/", "/ai"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f")],
)
def test_a_root_path_is_a_plain_path(path: str, expected: str) -> None:
    assert Settings(_env_file=None, root_path=path).root_path == expected


@pytest.mark.parametrize(
    "path", ["ai", "//ai", "/a//b", "/../a", "/a/..", "/a b", "/a?b", "/é", "/v1", "/docs/x"]
)
def test_another_root_path_is_no_setting(path: str) -> None:
    with pytest.raises(ValueError, match="root_path"):
        Settings(_env_file=None, root_path=path)
