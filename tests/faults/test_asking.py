"""Servers that take less than they are asked, over HTTP: asked again at once, and rightly from then on."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import WHOLE_TEXT, Fault
from infra.selftest.provider import Call, FaultProvider
from tests.fakes.provider import provider_in_thread
from tests.faults.fault_scenario import until
from tests.support.service import Service, running_service

Refusal = tuple[int, Any]
DOORS = ["native", "openai"]
WAYS = [(door, is_streamed) for door in DOORS for is_streamed in (False, True)]

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a caller was told at either door.

    Attributes:
        code: Of the error, as the native door spells it; empty for an answer.
        kept: The interaction as history shows it.
        calls: What reached the provider.
    """

    status: int
    text: str
    code: str
    kept: dict[str, Any]
    calls: list[Call]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(one["model"], one["outcome"]) for one in self.kept["attempts"]]


@dataclass
class FaultScenario:
    service: Service
    provider: FaultProvider
    client: httpx2.Client

    def ask(
        self,
        model: str,
        way: tuple[str, bool] = ("native", False),
        *,
        system: str = "",
        limit: int | None = None,
        **more: Any,
    ) -> Answer:
        door, is_streamed = way
        number = next(_numbers)
        user, question = f"asks-{number}", f"question {number}"
        path, body = "/v1/chat", {"userId": user, "userPrompt": question, "systemPrompt": system}
        if door == "openai":
            result = [{"role": "system", "content": system}] if system else []
            messages = [*result, {"role": "user", "content": question}]
            path, body = "/v1/chat/completions", {"user": user, "messages": messages}
        if limit is not None:
            body["maxOutputTokens" if door == "native" else "max_tokens"] = limit
        body |= {"model": model, "stream": is_streamed, **more}
        response = self.client.post(path, json=body)
        statuses = ["completed", "truncated", "blocked", "failed"]
        page = self.client.get(f"/v1/history/{user}", params={"status": statuses}).json()
        (kept,) = page["history"]
        text, code = _read(response, is_streamed)
        calls = [call for call in list(self.provider.calls) if question in json.dumps(call.body)]
        return Answer(status=response.status_code, text=text, code=code, kept=kept, calls=calls)

    def degraded(self) -> dict[str, str]:
        parts = self.client.get("/health/ready").json()["degraded"]
        return {part["component"].split(" ")[-1]: part["reason"] for part in parts}

    def learnt(self, model: str) -> list[str]:
        lines = [line for line in self.service.log if f" {model} are sent " in line]
        return [json.loads(line)["message"].partition(" are sent ")[2] for line in lines]


def _read(response: httpx2.Response, is_streamed: bool) -> tuple[str, str]:
    if response.status_code != 200:
        body = response.json()
        code = body["error"]["code"] if "error" in body else body["type"].removeprefix("/problems/")
        return "", code.replace("_", "-")
    if not is_streamed:
        body = response.json()
        return (body["response"] if "response" in body else body["choices"][0]["message"]["content"]), ""  # fmt: skip
    text = ""
    for line in response.text.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            text += event.get("text", "")
            for choice in event.get("choices", []):
                text += choice["delta"].get("content") or ""
    return text, ""


def picky(*refuses: Callable[[Any], Refusal | None]) -> Fault:
    """A server that refuses some requests and answers the others as asked: whole, or event by event."""

    async def answer(exchange: Exchange) -> None:
        for refuse in refuses:
            if (refusal := refuse(exchange.body)) is not None:
                status, document = refusal
                if isinstance(document, str):
                    await exchange.document(document.encode(), "text/plain", status=status)
                else:
                    await exchange.status(status, document)
                return
        if exchange.wire is Wire.OPENAI and not exchange.body["stream"]:
            message = {"role": "assistant", "content": WHOLE_TEXT}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await exchange.status(200, {"object": "chat.completion", "choices": [choice]})
        else:
            await exchange.answer(WHOLE_TEXT)

    return answer


def error(message: str, code: str | None = None, param: str | None = None) -> Any:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusing(field: str, status: int, document: Any) -> Callable[[Any], Refusal | None]:
    return lambda body: (status, document) if field in body else None


def _no_system(body: Any) -> bool:
    return all(message["role"] != "system" for message in body["messages"])


EXTRA = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted", "input": {}}]  # fmt: skip
AXUM = "Failed to deserialize the JSON body into the target type: unknown field `stream_options`, expected one of `model`, `messages`, `max_tokens`, `stream`, `seed` at line 1 column 9"
STREAM_OPTIONS: dict[str, Refusal] = {
    "as OpenAI says it": (400, error("Unknown parameter: 'stream_options'.", "unknown_parameter", "stream_options")),
    "by its words alone": (400, error("Unrecognized request argument supplied: stream_options")),
    "as Azure says it": (400, {"detail": "Extra parameters ['stream_options'] are not allowed when extra-parameters is not set"}),
    "as FastAPI says it": (422, {"detail": EXTRA}),
    "as Mistral says it": (422, {"object": "error", "message": {"detail": EXTRA}}),
    "as Rust says it": (422, AXUM),
    "as Go says it": (400, {"error": 'json: unknown field "stream_options"'}),
    "as Python says it": (500, error("create() got an unexpected keyword argument 'stream_options'")),
    "as Google says it": (400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "stream_options": Cannot find field.', "status": "INVALID_ARGUMENT"}}]),
}  # fmt: skip
LIMITS: dict[str, Refusal] = {
    "as OpenAI says it": (400, error("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "unsupported_parameter", "max_tokens")),
    "by its words alone": (400, {"message": "max_tokens is not supported, use max_completion_tokens"}),
    "as FastAPI says it": (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted", "input": 7}]}),
}  # fmt: skip
STREAMS: dict[str, Refusal] = {
    "unverified": (400, error("Your organization must be verified to stream this model. Please go to: https://…", "unsupported_value", "stream")),
    "behind OpenRouter": (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps(error("Your organization must be verified to stream this model.", "unsupported_value", "stream"))}}}),
    "not with this model": (400, error("Unsupported value: 'stream' does not support true with this model.", "unsupported_value", "stream")),
    "not at all": (400, {"error": "streaming is not supported"}),
    "not implemented": (501, {"detail": "this server does not support streaming yet"}),
}  # fmt: skip
SYSTEMS: dict[str, Refusal] = {
    "as a template says it": (400, error("System role not supported")),
    "as a template says it at 500": (500, "Internal Server Error: System role not supported"),
    "as OpenAI says it": (400, error("Unsupported value: 'messages[0].role' does not support 'system' with this model.", "unsupported_value", "messages[0].role")),
    "by the roles it knows": (400, error("Only user, assistant and tool roles are supported, got system.")),
    "by the order it wants": (400, error("Conversation roles must alternate user/assistant/user/assistant/...")),
    "as Anthropic says it": (400, error("role 'system' is not supported on this model")),
}  # fmt: skip
GEMMA = (400, {"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3-27b-it", "status": "INVALID_ARGUMENT"}})  # fmt: skip


def slug(*parts: object) -> str:
    return "-".join(str(part) for part in parts).lower().replace(" ", "-").replace(",", "")


PICKY: dict[str, Fault] = {}
for _name, _refusal in STREAM_OPTIONS.items():
    PICKY[slug("options", _name)] = picky(refusing("stream_options", *_refusal))
for _name, _refusal in LIMITS.items():
    PICKY[slug("limit", _name)] = picky(refusing("max_tokens", *_refusal))
for _name, _refusal in STREAMS.items():
    PICKY[slug("stream", _name)] = picky(
        lambda body, refusal=_refusal: refusal if body["stream"] else None
    )
for _name, _refusal in SYSTEMS.items():
    PICKY[slug("system", _name)] = picky(
        lambda body, refusal=_refusal: None if _no_system(body) else refusal
    )
PICKY["limit-other-way"] = picky(
    refusing("max_completion_tokens", 400, error("Unknown parameter: 'max_completion_tokens'.", "unknown_parameter", "max_completion_tokens"))
)  # fmt: skip
PICKY["everything"] = picky(
    refusing("stream_options", *STREAM_OPTIONS["as OpenAI says it"]),
    refusing("max_tokens", *LIMITS["as OpenAI says it"]),
    lambda body: None if _no_system(body) else SYSTEMS["as a template says it"],
    lambda body: STREAMS["unverified"] if body["stream"] else None,
)
PICKY["neither-limit"] = picky(
    refusing("max_tokens", *LIMITS["as OpenAI says it"]),
    refusing("max_completion_tokens", 400, error("Unknown parameter: 'max_completion_tokens'.", "unknown_parameter", "max_completion_tokens")),
)  # fmt: skip
PICKY["never"] = picky(lambda body: STREAM_OPTIONS["as OpenAI says it"])
PICKY["whole-only-in-200"] = picky(
    lambda body: (200, STREAM_OPTIONS["by its words alone"][1]) if "stream_options" in body else None
)  # fmt: skip
PICKY["unverified"] = picky(
    lambda body: (400, error("Your organization must be verified to stream this model." if body["stream"] else "Your organization must be verified to use the model `x`."))
)  # fmt: skip
PICKY["mute-on-seeds"] = picky(refusing("seed", 400, error("Unknown parameter: 'seed'.", "unknown_parameter", "seed")))  # fmt: skip
PICKY["small-seeds"] = picky(
    lambda body: (422, {"detail": [{"loc": ["body", "seed"], "msg": "Input should be less than or equal to 2147483647"}]}) if not 0 <= body.get("seed", 0) < 2**31 else None
)  # fmt: skip
SMALL = 8_192
PICKY["down"] = picky(lambda body: (503, error("down")))
PICKY["gives-8192"] = picky(
    lambda body: (400, error("max_tokens is too large")) if body.get("max_tokens", 0) > SMALL else None
)  # fmt: skip
REFUSED: dict[str, tuple[str, Refusal]] = {
    "tpm": ("rate_limited", (413, error("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 14368", "rate_limit_exceeded"))),
    "no-such-model": ("misconfigured", (400, {"error": {"code": 400, "message": "x/y is not a valid model ID"}})),
    "wrong-key": ("misconfigured", (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: ba***na."})),
    "no-quota": ("misconfigured", (429, error("You exceeded your current quota", "insufficient_quota"))),
}  # fmt: skip
for _name, (_, _refusal) in REFUSED.items():
    PICKY[_name] = picky(lambda body, refusal=_refusal: refusal)
LONG: dict[str, Refusal] = {
    "long-500": (500, {"error": {"code": 500, "message": "the request exceeds the available context size. try increasing the context size", "type": "server_error"}}),
    "long-400": (400, error("Your input exceeds the context window of this model.")),
    "long-413": (413, error("prompt is too long: 213462 tokens > 200000 maximum")),
}  # fmt: skip
for _name, _refusal in LONG.items():
    PICKY[_name] = picky(lambda body, refusal=_refusal: refusal)


async def _gemma(exchange: Exchange) -> None:
    if "systemInstruction" in exchange.body:
        await exchange.status(*GEMMA)
    else:
        await exchange.answer(WHOLE_TEXT)


async def _int32(exchange: Exchange) -> None:
    seed = exchange.body.get("generationConfig", {}).get("seed", 0)
    if -(2**31) <= seed < 2**31:
        await exchange.answer(WHOLE_TEXT)
    else:
        message = "Invalid value at 'generation_config.seed' (TYPE_INT32)"
        await exchange.status(400, exchange.error(400, "INVALID_ARGUMENT", message))


def cut_then(first: str, *rest: str) -> Fault:
    """A server that breaks off after `first`, and goes on from there if it is sent without white space at its end."""

    async def answer(exchange: Exchange) -> None:
        prefill = _prefill(exchange)
        if prefill is None:
            await exchange.begin()
            await exchange.text(first)
            exchange.reset()
        elif prefill != prefill.rstrip():
            message = "messages: final assistant content cannot end with trailing whitespace"
            await exchange.status(400, exchange.error(400, "invalid_request_error", message))
        else:
            await exchange.answer(*rest)

    return answer


def _prefill(exchange: Exchange) -> str | None:
    if exchange.wire is Wire.GEMINI:
        last = exchange.body["contents"][-1]
        return str(last["parts"][0]["text"]) if last["role"] == "model" else None
    last = exchange.body["messages"][-1]
    return str(last["content"]) if last["role"] == "assistant" else None


CUTS: dict[str, tuple[Fault, str]] = {
    "space-again": (cut_then("Once ", " upon", " a time"), "Once upon a time"),
    "space-left-out": (cut_then("Once ", "upon", " a time"), "Once upon a time"),
    "space-by-itself": (cut_then("Once ", " ", "upon"), "Once upon"),
    "lines-again": (cut_then("1.\n\n", "\n", "\n", "2."), "1.\n\n2."),
    "lines-and-more": (cut_then("f():\n", "\n    return"), "f():\n    return"),
    "fewer-lines": (cut_then("1.\n\n", "\n2."), "1.\n\n2."),
    "none": (cut_then("Once", " upon"), "Once upon"),
}


def _tables(url: str) -> Iterator[str]:
    yield 'default = "alt-healthy"'
    yield f'[providers.gem]\nkind = "gemini"\nbase_url = "{url}"\napi_key_env = "GEM_KEY"'
    yield f'[providers.alt]\nkind = "openai"\nbase_url = "{url}/v1"'
    yield f'[providers.new]\nkind = "openai"\nbase_url = "{url}/v1"\nlimit_field = "max_completion_tokens"'
    yield (
        f'[providers.stated]\nkind = "openai"\nbase_url = "{url}/v1"\nstream = false\n'
        'stream_options = false\nsystem_role = false\nlimit_field = "max_completion_tokens"'
    )
    yield '[models.alt-healthy]\nprovider = "alt"\nupstream = "healthy@alt"'
    for name in PICKY:
        provider = "new" if name == "limit-other-way" else "alt"
        for way in range(len(WAYS)):
            yield f'[models.{name}-{way}]\nprovider = "{provider}"'
        yield f'[models.{name}-safe]\nprovider = "{provider}"\nfallbacks = ["alt-healthy"]'
    for way in range(len(WAYS)):
        yield f'[models.gemma-{way}]\nprovider = "gem"'
    yield '[models.int32]\nprovider = "gem"'
    yield '[models.all-stated]\nprovider = "stated"\nupstream = "everything-0"'
    yield '[models.down-64000]\nprovider = "alt"\nfallbacks = ["small"]\nmax_output_tokens = 64000'
    yield f'[models.small]\nprovider = "alt"\nmax_output_tokens = {SMALL}\ncontext_tokens = 32768'
    for name in LONG:
        yield f'[models.{name}-larger]\nprovider = "alt"\ncontext_tokens = 1000\nfallbacks = ["equal", "larger"]'
        yield f'[models.{name}-alone]\nprovider = "alt"\ncontext_tokens = 1000\nfallbacks = ["equal"]'
    for wire, name in itertools.product(("gem", "alt"), CUTS):
        yield f'[models.cut-{name}-{wire}]\nprovider = "{wire}"\ncontinues = true'
    yield '[models.equal]\nprovider = "alt"\nupstream = "healthy@equal"\ncontext_tokens = 1000'
    yield '[models.larger]\nprovider = "alt"\nupstream = "healthy@larger"\ncontext_tokens = 2000'


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultScenario]:
    folder = tmp_path_factory.mktemp("asking")
    with provider_in_thread() as provider:
        tables = "\n\n".join(_tables(provider.url))
        (folder / "models.toml").write_text(tables, encoding="utf-8")
        for name, fault in PICKY.items():
            ends = [*range(len(WAYS)), "safe", "larger", "alone"]
            provider.override |= {f"{name}-{end}": fault for end in ends}
        provider.override |= {f"gemma-{way}": _gemma for way in range(len(WAYS))}
        provider.override |= {"int32": _int32, "down-64000": PICKY["down"]}
        provider.override |= {"small": PICKY["gives-8192"]}
        for name, (fault, _) in CUTS.items():
            provider.override |= {f"cut-{name}-{wire}": fault for wire in ("gem", "alt")}
        settings = {
            "MODELS_FILE": str(folder / "models.toml"),
            "GEM_KEY": "k",
            "PRICE_LOOKUP_ENABLED": "false",
            "RETRY_BASE_SECONDS": "0.01",
        }
        with (
            running_service(folder / "data", settings) as service,
            service.client() as client,
        ):
            yield FaultScenario(service, provider, client)


def adapts(
    scenario: FaultScenario, name: str, way: int, says: list[str], **asked: Any
) -> list[Answer]:
    """Ask twice: the first call is refused and made again, the second is right at once; nobody notices."""
    model = f"{name}-{way}"
    first, second = (scenario.ask(model, WAYS[way], **asked) for _ in range(2))
    for answer in (first, second):
        assert (answer.status, answer.text, answer.code) == (200, WHOLE_TEXT, "")
        assert answer.outcomes == [(model, "ok")]
    assert len(first.calls) == 1 + len(says)
    assert len(second.calls) == 1
    until(lambda: scenario.learnt(model) == [f"{one} from now on" for one in says], 5)
    assert model not in scenario.degraded()
    return [first, second]


@pytest.mark.seen("B1")
@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("wording", STREAM_OPTIONS)
def test_a_server_that_does_not_know_stream_options_is_asked_without(
    scenario: FaultScenario, wording: str, way: int
) -> None:
    adapts(scenario, slug("options", wording), way, ["without stream_options"])


@pytest.mark.seen("B1")
def test_a_refusal_inside_a_200_teaches_as_well(scenario: FaultScenario) -> None:
    adapts(scenario, "whole-only-in-200", 0, ["without stream_options"])


@pytest.mark.seen("B2")
@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("wording", LIMITS)
def test_the_bound_on_output_is_renamed_for_a_server_that_wants_the_newer_name(
    scenario: FaultScenario, wording: str, way: int
) -> None:
    first, second = adapts(
        scenario, slug("limit", wording), way, ["with max_completion_tokens"], limit=7
    )
    for call in (first.calls[-1], second.calls[0]):
        assert (call.body["max_completion_tokens"], call.body.get("max_tokens")) == (7, None)


@pytest.mark.seen("B2")
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_the_bound_on_output_is_renamed_the_other_way_round_too(
    scenario: FaultScenario, way: int
) -> None:
    _, second = adapts(scenario, "limit-other-way", way, ["with max_tokens"], limit=7)
    assert second.calls[0].body["max_tokens"] == 7


@pytest.mark.seen("B3")
@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("wording", STREAMS)
def test_a_server_that_does_not_stream_to_us_is_asked_for_whole_answers(
    scenario: FaultScenario, wording: str, way: int
) -> None:
    adapts(scenario, slug("stream", wording), way, ["without stream"])


@pytest.mark.seen("B3")
@pytest.mark.parametrize("way", WAYS)
def test_an_organisation_that_may_not_use_the_model_at_all_is_our_fault(
    scenario: FaultScenario, way: tuple[str, bool]
) -> None:
    answer = scenario.ask("unverified-safe", way)
    assert (answer.status, answer.text) == (200, WHOLE_TEXT)
    assert answer.outcomes[-1] == ("alt-healthy", "ok")
    assert scenario.degraded()["unverified-safe"] == "misconfigured"
    assert scenario.learnt("unverified-safe") == []


@pytest.mark.seen("B4")
@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("wording", SYSTEMS)
def test_instructions_are_folded_into_the_first_message_where_they_have_no_role(
    scenario: FaultScenario, wording: str, way: int
) -> None:
    answers = adapts(
        scenario,
        slug("system", wording),
        way,
        ["with instructions in the first message of the user"],
        system="Be short.",
    )
    for answer in answers:
        (message,) = answer.calls[-1].body["messages"]
        assert message["role"] == "user"
        assert message["content"] == f"Be short.\n\n{answer.kept['userPrompt']}"
        assert answer.kept["systemPrompt"] == "Be short."


@pytest.mark.seen("B4")
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_gemini_s_models_without_instructions_get_them_in_the_first_message(
    scenario: FaultScenario, way: int
) -> None:
    says = ["with instructions in the first message of the user"]
    _, second = adapts(scenario, "gemma", way, says, system="Be short.")
    (content,) = second.calls[0].body["contents"]
    assert content["parts"][0]["text"].startswith("Be short.\n\nquestion ")


@pytest.mark.seen("B1")
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_a_server_that_knows_nothing_is_asked_until_it_answers(
    scenario: FaultScenario, way: int
) -> None:
    says = [
        "without stream_options",
        "with max_completion_tokens",
        "with instructions in the first message of the user",
        "without stream",
    ]
    adapts(scenario, "everything", way, says, limit=7, system="Be short.")


@pytest.mark.seen("B1")
@pytest.mark.parametrize("way", WAYS)
def test_what_the_models_file_says_beforehand_needs_no_second_call(
    scenario: FaultScenario, way: tuple[str, bool]
) -> None:
    answer = scenario.ask("all-stated", way, limit=7, system="Be short.")
    assert (answer.status, answer.text, len(answer.calls)) == (200, WHOLE_TEXT, 1)
    body = answer.calls[0].body
    assert (body["stream"], "stream_options" in body, body["max_completion_tokens"]) == (
        False,
        False,
        7,
    )


@pytest.mark.seen("B2")
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_a_server_that_takes_neither_name_is_asked_twice_and_refuses_the_caller(
    scenario: FaultScenario, way: int
) -> None:
    answer = scenario.ask(f"neither-limit-{way}", WAYS[way], limit=7)
    assert (answer.status, answer.code, len(answer.calls)) == (422, "provider-rejected", 2)
    assert scenario.ask(f"neither-limit-{way}", WAYS[way]).text == WHOLE_TEXT
    assert scenario.learnt(f"neither-limit-{way}") == []


@pytest.mark.seen("B1")
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_a_server_that_refuses_whatever_it_is_asked_teaches_nothing(
    scenario: FaultScenario, way: int
) -> None:
    for _ in range(2):
        answer = scenario.ask(f"never-{way}", WAYS[way])
        assert (answer.status, answer.code, len(answer.calls)) == (422, "provider-rejected", 2)
        assert answer.outcomes == [(f"never-{way}", "rejected")]
    assert scenario.learnt(f"never-{way}") == []
    assert f"never-{way}" not in scenario.degraded()


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize(
    ("line", "name"),
    [
        pytest.param(line, name, marks=pytest.mark.seen(line))
        for line, name in (
            ("B5", "tpm"),
            ("B7", "no-such-model"),
            ("B8", "wrong-key"),
            ("B9", "no-quota"),
        )
    ],
)
def test_what_is_no_fault_of_the_caller_s_goes_to_the_fallback(
    scenario: FaultScenario, line: str, name: str, way: int
) -> None:
    outcome, _ = REFUSED[name]
    answer = scenario.ask(f"{name}-safe", WAYS[way])
    assert (answer.status, answer.text) == (200, WHOLE_TEXT)
    assert answer.outcomes[-1] == ("alt-healthy", "ok")
    alone = scenario.ask(f"{name}-{way}", WAYS[way])
    expected = {
        "misconfigured": (503, "provider-misconfigured", 1),
        "rate_limited": (503, "providers-unavailable", 2),  # the route is cooling by then
    }
    assert (alone.status, alone.code, len(alone.calls)) == expected[outcome]
    assert alone.outcomes[0][1] == outcome
    if outcome == "misconfigured":
        assert scenario.degraded()[f"{name}-{way}"] == "misconfigured"


@pytest.mark.seen("B6")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LONG)
def test_too_long_asks_a_larger_window_and_opens_no_breaker(
    scenario: FaultScenario, name: str, way: tuple[str, bool]
) -> None:
    answer = scenario.ask(f"{name}-larger", way)
    assert (answer.status, answer.text) == (200, WHOLE_TEXT)
    assert answer.outcomes == [(f"{name}-larger", "context_too_long"), ("larger", "ok")]
    for _ in range(6):
        alone = scenario.ask(f"{name}-alone", way)
        code = "context-length-exceeded" if way[0] == "openai" else "context-too-long"
        assert (alone.status, alone.code) == (400 if way[0] == "openai" else 422, code)
        assert len(alone.calls) == 1
    assert f"{name}-alone" not in scenario.degraded()


@pytest.mark.seen("B10")
@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_is_asked_for_no_more_than_its_own_limit(
    scenario: FaultScenario, way: tuple[str, bool]
) -> None:
    answer = scenario.ask("down-64000", way, limit=20_000)
    assert (answer.status, answer.text) == (200, WHOLE_TEXT)
    assert answer.outcomes[-1] == ("small", "ok")
    asked = {call.model: call.body["max_tokens"] for call in answer.calls}
    assert asked.pop("small") == SMALL
    assert set(asked.values()) <= {20_000}


@pytest.mark.seen("B11")
@pytest.mark.parametrize("way", WAYS)
def test_a_limit_that_nobody_stated_is_the_provider_s_to_judge(
    scenario: FaultScenario, way: tuple[str, bool]
) -> None:
    answer = scenario.ask("alt-healthy", way, limit=65_536)
    assert (answer.status, answer.calls[0].body["max_tokens"]) == (200, 65_536)


@pytest.mark.seen("B11")
def test_a_conversation_with_a_model_of_unknown_limits_keeps_its_turns(
    scenario: FaultScenario,
) -> None:
    body = {"userId": "limitless", "conversationId": "c", "maxOutputTokens": 500_000}
    for question in ("first", "second"):
        response = scenario.client.post("/v1/chat", json={**body, "userPrompt": question})
        assert response.status_code == 200
    sent = [call.body["messages"] for call in scenario.provider.calls if call.question == "second"]
    assert [message["content"] for message in sent[-1]] == ["first", WHOLE_TEXT, "second"]
    models = scenario.client.get("/v1/models").json()["data"]
    assert "alt-healthy" in {model["id"] for model in models}


SEEDS = [0, 7, -1, 2**31 - 1, 2**31, 2**40 + 5, 2**63 - 1, -(2**63)]


@pytest.mark.seen("B12")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_is_made_to_fit_and_always_the_same(
    scenario: FaultScenario, seed: int, is_streamed: bool
) -> None:
    sent: dict[str, set[int]] = {"int32": set(), "small-seeds-0": set(), "alt-healthy": set()}
    for model in [*sent] * 2:
        answer = scenario.ask(model, ("openai", is_streamed), seed=seed)
        assert (answer.status, answer.text) == (200, WHOLE_TEXT)
        body = answer.calls[-1].body
        sent[model].add(body.get("generationConfig", body)["seed"])
    assert sent["alt-healthy"] == {seed}
    assert sent["int32"] == {seed if -(2**31) <= seed < 2**31 else seed % 2**31}
    assert sent["small-seeds-0"] == {seed % 2**31}


@pytest.mark.seen("B12")
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_server_that_knows_no_seed_is_asked_without(
    scenario: FaultScenario, is_streamed: bool
) -> None:
    adapts(scenario, "mute-on-seeds", 2 + is_streamed, ["without seed"], seed=7)


@pytest.mark.seen("B13")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wire", ["gem", "alt"])
@pytest.mark.parametrize("name", CUTS)
def test_an_answer_cut_at_white_space_is_gone_on_with_and_none_is_lost_or_doubled(
    scenario: FaultScenario, name: str, wire: str, door: str
) -> None:
    model = f"cut-{name}-{wire}"
    answer = scenario.ask(model, (door, True))
    assert (answer.status, answer.text) == (200, CUTS[name][1])
    assert answer.outcomes == [(model, "unavailable"), (model, "ok")]
    assert (answer.kept["response"], answer.kept["status"]) == (answer.text, "completed")
    again = scenario.ask(model, (door, True))
    assert (again.text, len(again.calls)) == (answer.text, 2)
    assert len(scenario.learnt(model)) == (name != "none")


@pytest.mark.seen("B13")
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("wire", ["gem", "alt"])
@pytest.mark.parametrize(("prefill", "text"), [("Once ", "upon a time"), ("Once", " upon a time")])
def test_a_caller_s_own_beginning_may_end_in_white_space_too(
    scenario: FaultScenario, prefill: str, text: str, wire: str, is_streamed: bool
) -> None:
    messages = [{"role": "user", "content": "Tell."}, {"role": "assistant", "content": prefill}]
    body = {"messages": messages, "model": f"cut-space-again-{wire}", "stream": is_streamed}
    response = scenario.client.post("/v1/chat/completions", json=body)
    assert _read(response, is_streamed) == (text, "")
