"""Large bodies: those of attachments and long texts are read, those of many small values are refused."""

from typing import Any

import orjson
import pytest
from starlette.types import Message

from app.problems.problem_table import BODY_TOO_LARGE
from app.problems.request_body_error import RequestBodyError
from app.requests.json_body import read_json
from app.requests.large_bodies import LARGE_FROM_BYTES, HeldBody, LargeBodies


async def read(body: bytes) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return await read_json(
        receive,
        content_type="application/json",
        content_encodings=(),
        limit_bytes=4 * 1024 * 1024,
        max_depth=64,
        held_body=HeldBody(LargeBodies()),
    )


@pytest.mark.parametrize("value", [b"0", b"[]", b"{}", b"null", b'""', b'"\\""'])
async def test_a_large_body_of_many_small_values_is_refused(value: bytes) -> None:
    with pytest.raises(RequestBodyError) as refused:
        await read(b"[" + b",".join([value] * 300_000) + b"]")
    assert refused.value.kind is BODY_TOO_LARGE


@pytest.mark.parametrize("text", ["[1,2],{3}," * 100_000, '\\",[\\\\' * 100_000, "\\\\" * 300_000])
async def test_a_large_body_of_a_long_text_is_read_whatever_the_text_contains(text: str) -> None:
    document = {"text": text, "list": [1, 2]}
    assert await read(orjson.dumps(document)) == document


async def test_a_small_body_may_have_as_many_values_as_fit() -> None:
    zeros = LARGE_FROM_BYTES // 2 - 1
    assert await read(b"[" + b",".join([b"0"] * zeros) + b"]") == [0] * zeros
