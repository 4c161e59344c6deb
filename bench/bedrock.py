"""Measures the cost of a call of Amazon Bedrock, with this service's client and with the AWS driver's.

    python -m bench.bedrock

Signs a request in both ways, then reads the same streamed answer from a server on loopback, in another process, in both
ways. It also measures the lookup of a valid access token of Vertex AI. Prints the CPU time of this process in µs: medians
over rounds, alternating. Signing, credentials included, has a budget of 100, and so has the token.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from yarl import URL

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.prompt import Prompt
from infra.clock import SystemClock
from infra.llm.credentials.access_tokens import AccessToken, AccessTokens
from infra.llm.providers.bedrock.client import BedrockClient
from infra.llm.providers.bedrock.credentials import sts_config
from infra.llm.providers.bedrock.identity import AwsIdentity, default_url
from infra.llm.providers.bedrock.signer import BedrockSigner
from infra.llm.transport.http_stream import provider_session
from infra.selftest.event_stream import event

BUDGET_MICROSECONDS = 100.0

_REGION = "us-east-1"
_MODEL = "us.anthropic.claude-sonnet-4-6"
_KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
_TOKEN = "t" * 900  # the length of a role's
_QUESTION = "How are you? " * 40
_PIECES = 8
_JSON = "application/json"
_SIGNING = "signing, with credentials"
_VERTEX = "access token of Vertex AI"

Call = Callable[[], Awaitable[None]]


def _answer() -> bytes:
    deltas = [
        {"contentBlockIndex": 0, "delta": {"text": f"piece {number} "}, "p": "abcdefghijklmno"}
        for number in range(_PIECES)
    ]
    usage = {"inputTokens": 120, "outputTokens": 310, "totalTokens": 430}
    events = [
        event("messageStart", {"role": "assistant"}),
        *[event("contentBlockDelta", delta) for delta in deltas],
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "end_turn"}),
        event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in events]
    return head + b"".join(chunks) + b"0\r\n\r\n"


async def _serve() -> None:
    """Answer every request with the same bytes, and print the port."""
    answer = _answer()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            writer.write(answer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _context() -> ChatRequestContext:
    now = time.monotonic()
    by = Deadline(now + 60.0)
    return ChatRequestContext(
        id="019aabb1-0000-7000-8000-000000000000",
        user_id="bench",
        model=_MODEL,
        started_seconds=now,
        first_text_deadline=by,
        answer_deadline=by,
    )


def _identity() -> AwsIdentity:
    key, secret = _KEYS
    return AwsIdentity(
        region=_REGION, access_key_id=key, secret_access_key=secret, session_token=_TOKEN
    )


def _our_call(session: aiohttp.ClientSession, signer: BedrockSigner, url: str) -> Call:
    client = BedrockClient(
        session,
        provider="bedrock",
        model=_MODEL,
        upstream=_MODEL,
        base_url=url,
        authorization=signer,
        max_answer_bytes=1 << 20,
        cost=lambda usage: usage,
    )
    prompt = Prompt.from_text(_QUESTION, system="Be short.", max_output_tokens=1000)

    async def call() -> None:
        async for _ in client.stream(prompt, _context()):
            pass

    return call


def _drivers_call(client: Any) -> Call:
    parameters = {
        "modelId": _MODEL,
        "messages": [{"role": "user", "content": [{"text": _QUESTION}]}],
        "system": [{"text": "Be short."}],
        "inferenceConfig": {"maxTokens": 1000},
    }

    async def call() -> None:
        response = await client.converse_stream(**parameters)
        async for _ in response["stream"]:
            pass

    return call


def _signings(signer: BedrockSigner) -> dict[str, Call]:
    url = f"{default_url(_REGION)}/model/{_MODEL}/converse-stream"
    parsed = URL(url, encoded=True)
    body = _QUESTION.encode()
    key, secret = _KEYS
    drivers = SigV4Auth(ReadOnlyCredentials(key, secret, _TOKEN, None), "bedrock", _REGION)

    async def ours() -> None:
        await signer.headers(parsed, _JSON, body)

    async def driver() -> None:
        request = AWSRequest("POST", url, headers={"Content-Type": _JSON}, data=body)
        drivers.add_auth(request)

    return {_SIGNING: ours, "signing, the driver's": driver}


def _token_call() -> Call:
    token = AccessToken(headers={"Authorization": f"Bearer {_TOKEN}"}, lifetime_seconds=3600.0)
    tokens = AccessTokens(lambda: token, provider="vertex", clock=SystemClock())
    url = URL("https://aiplatform.googleapis.com/")

    async def call() -> None:
        await tokens.headers(url, _JSON, b"{}")

    return call


async def _microseconds(call: Call, calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - started) / calls * 1e6


async def _sts_milliseconds() -> tuple[float, float]:
    """Return the CPU time of creating the client that assumes a role: for the first time, and again."""
    session = AioSession()
    session.set_credentials(*_KEYS)
    times = []
    for _ in range(2):
        started = time.process_time()
        async with session.create_client("sts", _REGION, config=sts_config()):
            times.append((time.process_time() - started) * 1e3)
    return times[0], times[1]


async def _measure(url: str, *, rounds: int, calls: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(provider_session(2.0))
        signer = BedrockSigner(_identity(), provider="bedrock")
        stack.push_async_callback(signer.close)
        key, secret = _KEYS
        driver = await stack.enter_async_context(
            AioSession().create_client(
                "bedrock-runtime",
                region_name=_REGION,
                endpoint_url=url,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                aws_session_token=_TOKEN,
                config=AioConfig(retries={"total_max_attempts": 1}),
            )
        )
        ways = {
            **_signings(signer),
            _VERTEX: _token_call(),
            "whole call": _our_call(session, signer, url),
            "whole call, the driver's client": _drivers_call(driver),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for call in ways.values():
            await _microseconds(call, calls // 10 + 1)
        for _ in range(rounds):
            for name, call in ways.items():
                found[name].append(await _microseconds(call, calls))
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> int:
    """Run as a program; 1 if signing or the token is above the budget."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.bedrock", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve())
        return 0
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.bedrock", "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        measured = asyncio.run(_measure(url, rounds=options.rounds, calls=options.calls))
        first, again = asyncio.run(_sts_milliseconds())
    finally:
        server.kill()
        server.wait()
    for name, microseconds in measured.items():
        print(f"{name:<34}{microseconds:8.1f} µs")
    print(f"{'client that assumes a role, first':<34}{first:8.0f} ms")
    print(f"{'client that assumes a role, again':<34}{again:8.0f} ms")
    return int(max(measured[_SIGNING], measured[_VERTEX]) > BUDGET_MICROSECONDS)


if __name__ == "__main__":
    sys.exit(main())
