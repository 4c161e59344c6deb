"""Kills a service during an answer, and shows that the next one finishes its background answers."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from infra.selftest.bench import Outcome
from infra.selftest.exchange import Exchange
from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT, healthy
from infra.selftest.provider import FaultProvider, fault_provider

_USER = "selftest"
_CONTINUES = "continues"
_BEGINS_ANEW = "begins-anew"
_MAIN = Path(__file__).parents[2] / "main.py"
_LEASE_SECONDS = 1.0
_START_SECONDS = 60.0
_FINISH_SECONDS = 20.0
_MODELS = """default = "{first}"

[providers.primary]
kind = "openai"
base_url = "{url}/v1"

[models.{first}]
provider = "primary"
upstream = "{first}"
continues = true

[models.{second}]
provider = "primary"
upstream = "{second}"
"""


class CannotRun(Exception):
    """A service does not start, or does not begin an answer; the message says which."""


@dataclass(slots=True)
class _Reader:
    """The state of an answer at a client.

    Attributes:
        number: Number of the last event; -1 before the first.
        restarts: Number of restarts.
        is_gapless: All numbers followed each other.
        end: Data of `done` or `error`; None before it.
    """

    title: str
    expected_text: str
    expected_restarts: int
    id: str = ""
    number: int = -1
    text: str = ""
    restarts: int = 0
    is_gapless: bool = True
    end: dict[str, Any] | None = None
    seconds: float = 0.0

    def take(self, event: str, number: int, data: dict[str, Any]) -> None:
        """Add an event."""
        self.is_gapless = self.is_gapless and number == self.number + 1
        self.number = number
        if event == "delta":
            self.text += data["text"]
        elif event == "restart":
            self.text = ""
            self.restarts += 1
        elif event in ("done", "error"):
            self.end = data

    def outcome(self) -> Outcome:
        """Return the line of the table."""
        end = self.end or {}
        attempts = end.get("attempts", [])
        return Outcome(
            title=self.title,
            got=end.get("provider") or end.get("type", "no end").rpartition("/")[2],
            attempts=len(attempts),
            seconds=self.seconds,
            has_passed=self.is_gapless
            and end.get("status") == "completed"
            and [attempt["outcome"] for attempt in attempts] == ["lost", "ok"]
            and (self.text, self.restarts) == (self.expected_text, self.expected_restarts),
        )


async def run(report: Callable[[Outcome], object]) -> list[Outcome]:
    """Kill a service that generates two answers, read them from the next one, and return the outcomes.

    Real processes on loopback, with a data directory of their own that is removed at the end; no key.

    Args:
        report: Called with each outcome.

    Raises:
        CannotRun: No answer could be begun.
    """
    readers = {
        _CONTINUES: _Reader("S17 process killed, model continues", FIRST_TEXT + WHOLE_TEXT, 0),
        _BEGINS_ANEW: _Reader("S17 … model begins anew", WHOLE_TEXT, 1),
    }
    with tempfile.TemporaryDirectory(prefix="rt-selftest-") as folder:
        async with fault_provider() as provider:
            environment = _environment(Path(folder), provider)
            for model in readers:
                provider.override[model] = _stall_once
            async with _service(environment) as url:
                try:
                    await _begin(url, readers)
                except (TimeoutError, aiohttp.ClientError) as error:
                    raise CannotRun(f"the service began no answer: {error!r}") from error
            killed_seconds = time.monotonic()
            async with _service(environment) as url:
                for reader in readers.values():
                    with suppress(TimeoutError, aiohttp.ClientError):
                        async with asyncio.timeout(_FINISH_SECONDS):
                            await _follow(url, reader, until="done")
                    reader.seconds = time.monotonic() - killed_seconds
                    report(reader.outcome())
    return [reader.outcome() for reader in readers.values()]


async def _stall_once(exchange: Exchange) -> None:
    """Stops after the first text; answers the next call, which comes from the next process."""
    if exchange.nth > 1:
        await healthy(exchange)
        return
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.silence()


async def _begin(url: str, readers: dict[str, _Reader]) -> None:
    """Begin the answers and read the first text of each."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(_FINISH_SECONDS):
        for model, reader in readers.items():
            body = {"userId": _USER, "userPrompt": "How are you?", "background": True}
            async with session.post(f"{url}/v1/chat", json=body | {"model": model}) as accepted:
                accepted.raise_for_status()
                reader.id = (await accepted.json())["id"]
            await _follow(url, reader, until="delta")


async def _follow(url: str, reader: _Reader, *, until: str) -> None:
    """Read on after the last known event, up to and including the first one of the name `until`, or the end."""
    address = f"{url}/v1/history/{_USER}/{reader.id}/events"
    known = {"after": str(reader.number)} if reader.number >= 0 else {}
    async with aiohttp.ClientSession() as session, session.get(address, params=known) as stream:
        stream.raise_for_status()
        fields: dict[str, str] = {}
        async for line in stream.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                reader.take(fields["event"], int(fields["id"]), orjson.loads(fields["data"]))
                if fields["event"] in (until, "done", "error"):
                    return
                fields = {}


def _environment(folder: Path, provider: FaultProvider) -> dict[str, str]:
    """Return the complete environment of the services, without this process's settings."""
    models = folder / "models.toml"
    models.write_text(
        _MODELS.format(url=provider.url, first=_CONTINUES, second=_BEGINS_ANEW), encoding="utf-8"
    )
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "DATA_DIR": str(folder / "data"),
        "MODELS_FILE": str(models),
        "PORT": "0",
        "LOG_FORMAT": "json",
        "PRICE_LOOKUP_ENABLED": "false",
        "ANSWER_LEASE_SECONDS": str(_LEASE_SECONDS),
        "ANSWER_LEASE_RENEWAL_SECONDS": str(_LEASE_SECONDS / 4),
    }


@asynccontextmanager
async def _service(environment: dict[str, str]) -> AsyncIterator[str]:
    """Start a service and yield its URL; the end of the block kills it, without any warning.

    Raises:
        CannotRun: It does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_MAIN),
        "serve",
        cwd=Path(environment["DATA_DIR"]).parent,  # no .env file is there
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        try:
            async with asyncio.timeout(_START_SECONDS):
                url = await _url_of(process.stdout)
        except TimeoutError:
            raise CannotRun("the service did not start in time") from None
        draining = asyncio.create_task(process.stdout.read())
        try:
            yield url
        finally:
            draining.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _url_of(output: asyncio.StreamReader) -> str:
    last = b""
    async for line in output:
        last = line
        if b'"listening on ' in line:
            return f"http://127.0.0.1:{orjson.loads(line)['server']['port']}"
    raise CannotRun(f"the service did not start: {last.decode(errors='replace').strip()}")
