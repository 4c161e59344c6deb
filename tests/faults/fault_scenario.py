"""The service with a provider that misbehaves, called over HTTP."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from infra.selftest.fault import FIRST_TEXT, WHOLE_TEXT
from infra.selftest.provider import Call, FaultProvider
from tests.fakes.provider import provider_in_thread
from tests.faults.pace import SCALED, Pace
from tests.faults.routes import write_catalogue
from tests.support.service import Service, plain_client, running_service

HANG_UP_SECONDS = 1.0
WHOLE_ANSWERS = (
    WHOLE_TEXT,
    f"{WHOLE_TEXT} Ça va.\U0001f642",
    FIRST_TEXT + WHOLE_TEXT,  # of two models, the second going on
    FIRST_TEXT + FIRST_TEXT + WHOLE_TEXT,  # of three calls
)
_PATIENCE_SECONDS = 90.0
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class ChatResult:
    """The response to one chat, with what history and the provider recorded of it.

    Attributes:
        slug: Of the problem; empty when there was none.
        is_done: A 200 that is whole: a plain one, or a stream that ended with `done`.
        kept: The interaction as history shows it.
        calls: What reached the provider.
    """

    status: int
    slug: str
    text: str
    is_done: bool
    seconds: float
    first_text_seconds: float | None
    retry_after_seconds: int | None
    attempts: Sequence[Mapping[str, Any]]
    kept: Mapping[str, Any]
    calls: Sequence[Call]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Provider and outcome of each attempt."""
        return [(one["provider"], one["outcome"]) for one in self.attempts]

    @property
    def gaps_seconds(self) -> list[float]:
        """From each call's end to the next one's start, as the provider saw it."""
        return [
            later.at_seconds - (earlier.ended_seconds or 0.0)
            for earlier, later in itertools.pairwise(self.calls)
        ]


@dataclass
class FaultScenario:
    """A service, its provider, and a client."""

    service: Service
    provider: FaultProvider
    client: httpx2.Client
    pace: Pace
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, model: str, *, is_streamed: bool = False, timeout_seconds: float | None = None
    ) -> ChatResult:
        """Send one chat, and check what holds for every outcome."""
        number = next(_numbers)
        question, user = f"question {number}", f"user-{number}"
        body = {"userId": user, "userPrompt": question, "model": model, "stream": is_streamed}
        headers = dict(self.headers)
        if timeout_seconds is not None:
            headers["X-Request-Timeout-Ms"] = str(round(timeout_seconds * 1000))
        started = time.monotonic()
        with self.client.stream("POST", "/v1/chat", json=body, headers=headers) as response:
            events, first_text_seconds = _read(response, started)
        seconds = time.monotonic() - started
        last = events[-1]
        texts = [event["text"] for event in events if set(event) == {"text"}]
        calls = [call for call in list(self.provider.calls) if call.question == question]
        result = ChatResult(
            status=response.status_code,
            slug=last.get("type", "").removeprefix("/problems/"),
            text=last.get("response", "") if not texts else "".join(texts),
            is_done="usage" in last,
            seconds=seconds,
            first_text_seconds=first_text_seconds,
            retry_after_seconds=_whole(response.headers.get("Retry-After")),
            attempts=last.get("attempts", []),
            kept=self.kept(user, response.headers["X-Interaction-Id"]),
            calls=calls,
        )
        self._check(result, is_streamed)
        return result

    def ask_at_once(self, *asks: Callable[[], ChatResult]) -> list[ChatResult]:
        """Send many chats concurrently."""
        with ThreadPoolExecutor(len(asks)) as pool:
            return [future.result() for future in [pool.submit(ask) for ask in asks]]

    def kept(self, user: str, interaction_id: str) -> Mapping[str, Any]:
        response = self.client.get(f"/v1/history/{user}/{interaction_id}")
        assert response.status_code == 200, response.text
        kept: Mapping[str, Any] = response.json()
        return kept

    def kept_of(self, user: str) -> list[Mapping[str, Any]]:
        """Return all of a user's interactions, of every status."""
        statuses = ["completed", "truncated", "blocked", "client_cancelled", "failed"]
        found: list[Mapping[str, Any]] = []
        parameters: dict[str, Any] = {"status": statuses, "limit": 100}
        while True:
            page = self.client.get(f"/v1/history/{user}", params=parameters).json()
            found += page["history"]
            if page["nextCursor"] is None:
                return found
            parameters["cursor"] = page["nextCursor"]

    def degraded(self) -> dict[str, str]:
        """Return the reason of each route that is not healthy, by model."""
        parts = self.client.get("/health/ready").json()["degraded"]
        return {part["component"].split(" ")[-1]: part["reason"] for part in parts}

    def metrics(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of this name that are not 0, by the values of their labels, in the labels' alphabetical order."""
        return {
            tuple(sample.labels[key] for key in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(self.client.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and sample.value
        }

    def _check(self, result: ChatResult, is_streamed: bool) -> None:
        kept = result.kept
        assert kept["attempts"] == result.attempts
        assert result.is_done == (not result.slug)
        if result.is_done or is_streamed:
            assert kept["response"] == result.text
        if result.is_done:
            assert result.status == 200
            assert kept["status"] in ("completed", "blocked", "truncated")
            assert kept["error"] is None
        else:
            assert kept["status"] == "blocked" or kept["status"] == (
                "truncated" if kept["response"] else "failed"
            )
            assert kept["error"] == result.slug
            assert (result.status == 200) == (result.text != "")
        if kept["status"] == "completed":
            assert kept["response"] in WHOLE_ANSWERS, "an answer that broke passes for whole"
        (line,) = self.service.lines_with(kept["id"])
        without_usage = [{k: one[k] for k in one if k != "usage"} for one in result.attempts]
        assert [_in_words_of_the_wire(one) for one in _told_in(line)] == without_usage
        reached = [one for one in result.attempts if not one["provider"].endswith("-nobody")]
        assert len(result.calls) == len(reached)
        until(lambda: all(call.ended_seconds for call in result.calls), HANG_UP_SECONDS)


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait for what has to come to pass within so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.01)


@contextmanager
def running_scenario(
    folder: Path,
    faults: Sequence[str],
    pace: Pace = SCALED,
    settings: Mapping[str, str] | None = None,
) -> Iterator[FaultScenario]:
    """A service of its own before a provider of its own."""
    with provider_in_thread() as provider:
        environment = {
            "MODELS_FILE": str(write_catalogue(folder / "models.toml", provider, faults)),
            "GEM_KEY": "k",
            "PRICE_LOOKUP_ENABLED": "false",
            **pace.environment(),
            **(settings or {}),
        }
        with (
            running_service(folder / "data", environment) as service,
            plain_client(service.url, _PATIENCE_SECONDS) as client,
        ):
            yield FaultScenario(service, provider, client, pace)


def _read(response: httpx2.Response, started: float) -> tuple[list[dict[str, Any]], float | None]:
    """The objects an answer consists of, reasoning aside, and when its first text came."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return [json.loads(response.read())], None
    events: list[dict[str, Any]] = []
    first_text_seconds = None
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name != "reasoning":
            events.append(json.loads(line.removeprefix("data: ")))
            if first_text_seconds is None and "text" in events[-1]:
                first_text_seconds = time.monotonic() - started
    return events, first_text_seconds


def _told_in(line: str) -> list[dict[str, Any]]:
    """The attempts that a request's line in the log tells of."""
    result: list[dict[str, Any]] = json.loads(line)["rt"]["attempts_detail"]
    return result


def _in_words_of_the_wire(attempt: dict[str, Any]) -> dict[str, Any]:
    return {("httpStatus" if key == "http_status" else key): attempt[key] for key in attempt}


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
