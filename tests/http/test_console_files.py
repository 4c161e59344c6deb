"""The console's files: who gets them, with what, and how much they are."""

import gzip
import re
from functools import cache
from pathlib import Path

import httpx2
import pytest

from app.console.files import STATIC
from app.middleware.access_gate import GateRules
from tests.fakes.application import ApplicationUnderTest

FILES = sorted(path.name for path in STATIC.iterdir())
FIRST_LOAD_BYTES = 150 * 1024


def address_of(file: str) -> str:
    return "/" if file == "index.html" else f"/console/{file}"


@cache
def application() -> ApplicationUnderTest:
    """One for all tests of files, which change nothing."""
    return ApplicationUnderTest()


async def fetched(address: str, method: str = "GET", **headers: str) -> httpx2.Response:
    async with application().client() as client:
        client.headers["Accept-Encoding"] = "identity"
        return await client.request(method, address, headers=headers)


@pytest.mark.parametrize("file", FILES)
async def test_each_file_is_as_it_is_on_the_disk(file: str) -> None:
    response = await fetched(address_of(file))
    assert response.status_code == 200
    assert response.content == (STATIC / file).read_bytes()
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize(
    ("file", "media_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_each_file_says_what_it_is_and_that_nothing_else_belongs_to_it(
    file: str, media_type: str
) -> None:
    headers = (await fetched(address_of(file))).headers
    assert headers["Content-Type"] == media_type
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = dict(
        directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob:"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("br, deflate", False),
        ("gzip; q=0, br", False),
        ("", False),
    ],
)
async def test_a_file_is_compressed_for_whoever_takes_that(
    accepted: str, is_compressed: bool
) -> None:
    async with ApplicationUnderTest().client() as client:
        request = client.build_request("GET", "/", headers={"Accept-Encoding": accepted})
        response = await client.send(request, stream=True)
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers.get("Content-Encoding") == ("gzip" if is_compressed else None)
    assert int(response.headers["Content-Length"]) == len(body)
    plain = gzip.decompress(body) if is_compressed else body
    assert plain == (STATIC / "index.html").read_bytes()


async def test_what_a_browser_has_already_is_not_sent_again() -> None:
    first = await fetched("/console/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    for known in (tag, f'"other", {tag}', "*"):
        again = await fetched("/console/main.js", **{"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
    assert (await fetched("/", **{"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize("address", ["/", "/console/main.js"])
async def test_a_file_is_read_and_nothing_else(address: str) -> None:
    head = await fetched(address, "HEAD")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == (await fetched(address)).headers["Content-Length"]
    refused = await fetched(address, "POST")
    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "address", ["/console/", "/console/none.js", "/console/index.html", "/console/..%2ffiles.py"]
)
async def test_what_is_no_file_of_the_console_is_not_found(address: str) -> None:
    assert (await fetched(address)).status_code == 404


async def test_the_console_can_be_turned_off() -> None:
    async with ApplicationUnderTest(console_enabled=False).client() as client:
        for address in ("/", "/console/main.js"):
            assert (await client.get(address)).status_code == 404


async def test_the_console_is_public_where_callers_have_to_say_who_they_are() -> None:
    rules = GateRules.with_authentication(allowed_hosts=())
    async with ApplicationUnderTest(rules=rules).client("192.168.1.7") as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/console/main.js")).status_code == 200


async def test_without_authentication_only_this_machine_has_the_console() -> None:
    async with ApplicationUnderTest().client("192.168.1.7") as client:
        assert (await client.get("/")).status_code == 403
    async with ApplicationUnderTest().client() as client:
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 403


async def test_the_console_is_no_part_of_the_described_api() -> None:
    paths = (await fetched("/openapi.json")).json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/console")]


def test_the_page_names_every_file_and_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert named == {f"console/{file}" for file in FILES} - {"console/index.html"}


@pytest.mark.parametrize("file", [name for name in FILES if name.endswith(".js")])
def test_no_script_makes_text_into_html_or_code(file: str) -> None:
    script = (STATIC / file).read_text(encoding="utf-8")
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert not re.search(ways, script)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w", script)


def test_a_first_load_is_small() -> None:
    sizes = [len(gzip.compress(Path(STATIC / file).read_bytes(), mtime=0)) for file in FILES]
    assert sum(sizes) <= FIRST_LOAD_BYTES
