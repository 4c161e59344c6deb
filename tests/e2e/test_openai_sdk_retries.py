"""What the official `openai` package does with every row of the error table: its exception, and whether it asks again."""

from typing import ClassVar

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from app.problems.openai_errors import openai_code, openai_status
from app.problems.problem_table import NO_SUCH_OPEN_CALL, PROBLEMS, ProblemKind
from domain.entities.reply import FinishReason, ProviderSelected, Reply
from domain.exceptions import DomainError, Forbidden, NoSuchOpenCall
from tests.fakes.application import ApplicationUnderTest

WHO = ProviderSelected(provider="p", model="m")
END = Reply(finish_reason=FinishReason.STOP)
CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def raising(kind: ProblemKind) -> DomainError:
    """Return an error that is told as this row, whether the domain has one or not."""
    if kind.slug == Forbidden.code:
        return Forbidden(Forbidden.USER)
    if kind is NO_SUCH_OPEN_CALL:
        return NoSuchOpenCall("messages", ["call-1"])

    class Row(DomainError):
        code: ClassVar[str] = kind.slug

    return Row()


def a_client(http: httpx2.AsyncClient, max_retries: int) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url="http://localhost/v1", api_key="k", http_client=http, max_retries=max_retries
    )


async def ask(client: AsyncOpenAI) -> str | None:
    answer = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}]
    )
    return answer.choices[0].message.content


@pytest.mark.parametrize("kind", dict.fromkeys(PROBLEMS), ids=lambda kind: kind.slug)
async def test_every_row_is_an_exception_of_its_class(kind: ProblemKind) -> None:
    application = ApplicationUnderTest(raising(kind))
    status = openai_status(kind)
    expected = CLASSES.get(status, openai.APIStatusError)
    if status >= 500:
        expected = openai.InternalServerError
    async with application.client() as http:
        with pytest.raises(expected) as raised:
            await ask(a_client(http, 0))
    error = raised.value
    assert (error.status_code, error.code) == (status, openai_code(kind))
    kind_of_error = "server_error" if status >= 500 else "invalid_request_error"
    assert error.type == TYPES.get(status, kind_of_error)
    assert error.response.headers["x-should-retry"] == str(kind.retryable).lower()
    assert error.request_id


@pytest.mark.parametrize(
    "slug",
    ["idempotency-in-progress", "overloaded", "rate-limited", "history-not-durable"],
)
async def test_it_asks_again_after_the_delay_we_name(slug: str) -> None:
    """The rows with a delay of a second, so that the test takes no longer."""
    (kind,) = [kind for kind in PROBLEMS if kind.slug == slug]
    application = ApplicationUnderTest()
    application.llm.in_turn = [(raising(kind),), (WHO, "at last", END)]
    async with application.client() as http:
        assert await ask(a_client(http, 1)) == "at last"
    assert len(application.llm.asked) == 2


@pytest.mark.parametrize("slug", ["internal", "idempotency-mismatch", "content-blocked"])
async def test_it_does_not_ask_again_where_that_would_cost_and_not_help(slug: str) -> None:
    (kind,) = [kind for kind in PROBLEMS if kind.slug == slug]
    application = ApplicationUnderTest(raising(kind))
    async with application.client() as http:
        with pytest.raises(openai.APIStatusError):
            await ask(a_client(http, 2))
    assert len(application.llm.asked) == 1
