"""Compressed request bodies, at every route that takes a body."""

import gzip
import json
import zlib
from typing import Any

import httpx2
import pytest
import zstandard

from app.requests.content_encoding import (
    Coding,
    DecompressedBodyTooLarge,
    InvalidCompressedBody,
    decompress,
)
from tests.http.openai_door import QUESTION
from tests.support.problems import is_problem

NATIVE, OPENAI = "/v1/chat", "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
LIMIT_BYTES = 256 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


def body_of(path: str, user: str, *, is_streamed: bool = False) -> bytes:
    asked: dict[str, Any] = {"stream": is_streamed}
    if path == NATIVE:
        asked |= {"userId": user, "userPrompt": QUESTION["content"]}
    else:
        asked |= {"user": user, "messages": [QUESTION]}
    return json.dumps(asked).encode()


def halves(compress: Any, body: bytes) -> bytes:
    return bytes(compress(body[:10]) + compress(body[10:]))


CODED = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "gzip in two members": ("GZip", lambda body: halves(gzip.compress, body)),
    "zstd": ("zstd", zstd),
    "zstd in two frames": ("Zstd", lambda body: halves(zstd, body)),
    "identity": ("identity", bytes),
    "empty": ("", bytes),
}


@pytest.mark.seen("C4")
@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("name", "compress"), CODED.values(), ids=CODED.keys())
def test_a_compressed_body_is_read(
    client: httpx2.Client, user: str, path: str, is_streamed: bool, name: str, compress: Any
) -> None:
    sent = compress(body_of(path, user, is_streamed=is_streamed))
    response = client.post(path, content=sent, headers={**JSON, "Content-Encoding": name})
    assert response.status_code == 200, response.text
    (kept,) = client.get(f"/v1/history/{user}").json()["history"]
    assert kept["userPrompt"] == QUESTION["content"]


@pytest.mark.seen("C4")
@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize(
    "names", [["br"], ["deflate"], ["gzip, gzip"], ["gzip", "gzip"], ["gzip, zstd"], ["gzip;q=1"]]
)
def test_another_or_a_second_coding_is_refused_and_those_that_are_read_are_named(
    client: httpx2.Client, user: str, path: str, names: list[str]
) -> None:
    headers = [*JSON.items(), *(("Content-Encoding", name) for name in names)]
    response = client.post(path, content=gzip.compress(body_of(path, user)), headers=headers)
    assert response.status_code == 415
    assert response.headers["Accept-Encoding"] == "gzip, zstd, identity"
    assert "content" in response.text
    if path == NATIVE:
        is_problem(response, 415, "unsupported-content-encoding")
    else:
        assert response.json()["error"]["code"] == "unsupported_content_encoding"
    assert client.get(f"/v1/history/{user}").json()["history"] == []


@pytest.mark.seen("C4")
@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_is_not_what_it_says_or_is_cut_off_is_malformed(
    client: httpx2.Client, user: str, path: str, name: str
) -> None:
    plain = body_of(path, user)
    whole = gzip.compress(plain) if name == "gzip" else zstd(plain)
    for sent in (plain, whole[:-1], whole[:-5], whole + b"more", whole + whole[:8], b"\0"):
        headers = {**JSON, "Content-Encoding": name}
        response = client.post(path, content=sent, headers=headers)
        assert response.status_code == 400, sent
        assert "malformed" in response.text


@pytest.mark.slow
@pytest.mark.seen("C4")
@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize("compress", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_the_limit_counts_after_inflating(
    client: httpx2.Client, user: str, path: str, compress: Any
) -> None:
    name = "gzip" if compress is gzip.compress else "zstd"
    plain = body_of(path, user)
    headers = {**JSON, "Content-Encoding": name}
    most = plain + b" " * (MAX_BODY_BYTES - len(plain))
    assert client.post(path, content=compress(most), headers=headers).status_code == 200
    assert client.post(path, content=compress(most + b" "), headers=headers).status_code == 413


def bombs() -> dict[str, tuple[Coding, bytes]]:
    """Small bodies that would inflate to 200 MB, or cost much time."""
    zeros = bytes(10_000_000)
    gzipping = zlib.compressobj(9, zlib.DEFLATED, 31)
    zstding = zstandard.ZstdCompressor().compressobj()
    return {
        "gzip": (
            Coding.GZIP,
            b"".join([gzipping.compress(zeros) for _ in range(20)]) + gzipping.flush(),
        ),
        "zstd": (
            Coding.ZSTD,
            b"".join([zstding.compress(zeros) for _ in range(20)]) + zstding.flush(),
        ),
    }


@pytest.mark.slow
@pytest.mark.seen("C4")
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_is_given_up_when_the_limit_is_reached(name: str) -> None:
    import tracemalloc

    coding, bomb = bombs()[name]
    tracemalloc.start()
    try:
        with pytest.raises(DecompressedBodyTooLarge):
            decompress(coding, bomb, limit_bytes=LIMIT_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("coding", "compress"),
    [(Coding.GZIP, gzip.compress), (Coding.ZSTD, zstd)],
    ids=["gzip", "zstd"],
)
def test_a_body_of_very_many_empty_members_is_malformed(coding: Coding, compress: Any) -> None:
    with pytest.raises(InvalidCompressedBody):
        decompress(coding, compress(b"") * 5000, limit_bytes=LIMIT_BYTES)


def test_a_zstd_frame_that_asks_for_more_memory_than_the_rfc_allows_is_malformed() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressing = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    greedy = compressing.compress(b"x") + compressing.flush()
    with pytest.raises(InvalidCompressedBody):
        decompress(Coding.ZSTD, greedy, limit_bytes=LIMIT_BYTES)


def test_a_key_makes_a_compressed_and_a_plain_body_the_same_request(
    client: httpx2.Client, user: str
) -> None:
    plain = body_of(NATIVE, user)
    once = {**JSON, "Idempotency-Key": f"coded-{user}"}
    first = client.post(NATIVE, content=plain, headers=once)
    headers = {**once, "Content-Encoding": "gzip"}
    again = client.post(NATIVE, content=gzip.compress(plain), headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
