"""Several routes behind each other: each is reached before one of them is asked again."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from infra.selftest.provider import FaultProvider
from tests.fakes.provider import provider_in_thread
from tests.faults.pace import SCALED
from tests.support.service import running_service

# The time limits of the service are scaled down to about a second; a call that a busy machine delays exceeds them.
pytestmark = pytest.mark.realtime

QUESTIONS = 20
LIMITED = ("rate-limited", "rate-limited-30s")
PATHS = ("/v1/chat", "/v1/chat/completions")


def catalogue(path: Path, url: str) -> Path:
    """Write models that each have two others behind them: `a-…` in Gemini's format, `b-…` and `c-…` in OpenAI's."""
    parts = [
        'default = "c-healthy"',
        f'[providers.gem]\nkind = "gemini"\nbase_url = "{url}"\napi_key_env = "GEM_KEY"',
        f'[providers.alt]\nkind = "openai"\nbase_url = "{url}/v1"',
    ]

    def add(name: str, provider: str, fault: str, *behind: str) -> None:
        names = ", ".join(f'"{one}"' for one in behind)
        parts.append(
            f'[models."{name}"]\nprovider = "{provider}"\nupstream = "{fault}@{name}"\n'
            f"context_tokens = 100000\nmax_output_tokens = 1000\nfallbacks = [{names}]"
        )

    add("c-healthy", "alt", "healthy")
    for fault in LIMITED:
        for number in range(4):
            add(f"a-{fault}-{number}", "gem", fault, f"b-{fault}-{number}", "c-healthy")
            add(f"b-{fault}-{number}", "alt", fault)
    path.write_text("\n\n".join(parts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[httpx2.Client, FaultProvider]]:
    folder = tmp_path_factory.mktemp("routes")
    with provider_in_thread() as provider:
        environment = {
            "MODELS_FILE": str(catalogue(folder / "models.toml", provider.url)),
            "GEM_KEY": "k",
            "PRICE_LOOKUP_ENABLED": "false",
            **SCALED.environment(),
        }
        with (
            running_service(folder / "data", environment) as service,
            service.client() as client,
        ):
            yield client, provider


@pytest.mark.seen("B15")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", LIMITED)
def test_a_healthy_third_route_answers_for_two_that_limit_the_rate(
    asking: tuple[httpx2.Client, FaultProvider], fault: str, path: str, is_streamed: bool
) -> None:
    client, provider = asking
    number = 2 * PATHS.index(path) + is_streamed
    model = f"a-{fault}-{number}"
    for _ in range(QUESTIONS):
        body = {
            "model": model,
            "stream": is_streamed,
            **(
                {"userId": "ana", "userPrompt": "?"}
                if path == "/v1/chat"
                else {"user": "ana", "messages": [{"role": "user", "content": "?"}]}
            ),
        }
        response = client.post(path, json=body)
        assert response.status_code == 200
        kept = client.get(f"/v1/history/ana/{response.headers['X-Interaction-Id']}").json()
        asked = [attempt["model"] for attempt in kept["attempts"]]
        assert (kept["status"], asked[-1]) == ("completed", "c-healthy")
        assert len(asked) == len(set(asked))
    # they rest between the questions, instead of being asked with each of them
    for name in (model, f"b-{fault}-{number}"):
        assert provider.count(f"{fault}@{name}") <= QUESTIONS // 2
