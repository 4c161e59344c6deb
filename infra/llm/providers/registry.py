"""The kinds of providers: a new kind is a client, a format and a row of this table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from domain.entities.reply import Usage
from domain.entities.tools import OF_CHATS, Capability
from domain.interfaces.embedding_client import EmbeddingClient
from domain.interfaces.llm_client import LLMClient
from infra.llm.providers.anthropic.client import AnthropicClient
from infra.llm.providers.bedrock.identity import AwsIdentity, Guardrail, default_url
from infra.llm.providers.demo import DemoLLM
from infra.llm.providers.demo_embeddings import DemoEmbeddings
from infra.llm.providers.gemini.client import GeminiClient
from infra.llm.providers.gemini.embeddings import GeminiEmbeddings
from infra.llm.providers.openai.client import OpenAICompatibleClient, default_dialect
from infra.llm.providers.openai.embeddings import OpenAIEmbeddings
from infra.llm.transport.authorization import Authorization
from infra.llm.transport.dialect import Dialect

_HTTP_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Everything that the client of one model may need.

    Attributes:
        session: Shared by all providers.
        provider: The provider's name in the catalogue.
        model: The model's id in the catalogue.
        upstream: The provider's name for the model.
        base_url: Without a slash at its end.
        api_key: None sends none.
        api_key_header: Of the key; None: the usual one of the kind.
        dialect: As the models file states it; None: the default of the base URL.
        max_answer_bytes: Longer answers are cut.
        idle_seconds: The limit on silence within an answer.
        cost: Adds the cost to a usage.
        family: Models that accept the metadata in each other's answers.
        max_output_tokens: The model's limit on output; None where unknown.
        cache_points: Whether the model accepts points of the prompt cache; None: as known by its id.
        guardrail: Checks requests and answers; None: without one.
        authorization: Shared by the provider's models; None where a key authorises the requests, or nothing does.
    """

    session: aiohttp.ClientSession
    provider: str
    model: str
    upstream: str
    base_url: str
    api_key: str | None
    dialect: Dialect | None
    max_answer_bytes: int
    idle_seconds: float
    cost: Callable[[Usage], Usage]
    family: str = ""
    max_output_tokens: int | None = None
    authorization: Authorization | None = None
    api_key_header: str | None = None
    cache_points: bool | None = None
    guardrail: Guardrail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsApi:
    """The API of one kind of provider for embeddings.

    Attributes:
        open_client: Returns the client of one model.
        takes_tokens: Inputs may be lists of tokens.
    """

    open_client: Callable[[ClientOptions], EmbeddingClient]
    takes_tokens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """One API that providers offer.

    Attributes:
        name: Of the kind, in a models file.
        open_client: Returns the client of one model that chats.
        embeddings: How its models compute embeddings; None: they do not.
        success_status: HTTP status of an answered call; None where the client does not use HTTP.
        default_dialect: Returns the dialect of the server at a base URL, which a models file may change; None: it
            may not.
        names_key_header: A models file may state `api_key_header` for its providers.
        takes_google_tokens: A models file may state `auth = "google"` for its providers.
        shares_metadata: All models of one provider accept the metadata in each other's answers.
        capabilities: What its models that chat usually can do beyond text; a models file may say otherwise.
        default_url: Returns the base URL in a region; None: there are no regions, and a models file states the URL.
        open_signer: Returns what signs the requests of a provider with a name; None: a key authorises them.
        is_demo: Built in, used only while no real provider is configured; not for models files.
    """

    name: str
    open_client: Callable[[ClientOptions], LLMClient]
    embeddings: EmbeddingsApi | None = None
    success_status: int | None = _HTTP_OK
    default_dialect: Callable[[str], Dialect] | None = None
    names_key_header: bool = False
    takes_google_tokens: bool = False
    shares_metadata: bool = False
    capabilities: frozenset[Capability] = frozenset()
    default_url: Callable[[str], str] | None = None
    open_signer: Callable[[AwsIdentity, str], Authorization] | None = None
    is_demo: bool = False


_OF_EACH_CLIENT = ("provider", "model", "upstream", "base_url", "api_key", "cost")
_OF_CHAT_CLIENTS = (*_OF_EACH_CLIENT, "max_answer_bytes", "family", "idle_seconds")
"""Names of the options that the clients of all kinds take."""


def _chats(client: Callable[..., LLMClient], *own: str) -> Callable[[ClientOptions], LLMClient]:
    """Return a function that opens `client` with the options of all kinds, and with those of its `own`."""
    return lambda options: client(options.session, **_named(options, *_OF_CHAT_CLIENTS, *own))


def _embeds(
    client: Callable[..., EmbeddingClient], *own: str, takes_tokens: bool = False
) -> EmbeddingsApi:
    def opened(options: ClientOptions) -> EmbeddingClient:
        return client(options.session, **_named(options, *_OF_EACH_CLIENT, *own))

    return EmbeddingsApi(open_client=opened, takes_tokens=takes_tokens)


def _named(options: ClientOptions, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def _bedrock_client(session: aiohttp.ClientSession, **options: Any) -> LLMClient:
    # imported here, since it imports the driver of AWS, which most services do not need
    from infra.llm.providers.bedrock.client import BedrockClient

    return BedrockClient(session, **options)


def _bedrock_signer(identity: AwsIdentity, provider: str) -> Authorization:
    from infra.llm.providers.bedrock.signer import BedrockSigner

    return BedrockSigner(identity, provider=provider)


GEMINI = ProviderKind(
    name="gemini",
    open_client=_chats(GeminiClient, "authorization"),
    embeddings=_embeds(GeminiEmbeddings),
    takes_google_tokens=True,
    shares_metadata=True,
    capabilities=OF_CHATS,
)
OPENAI = ProviderKind(
    name="openai",
    open_client=_chats(OpenAICompatibleClient, "dialect", "api_key_header"),
    embeddings=_embeds(OpenAIEmbeddings, "api_key_header", takes_tokens=True),
    names_key_header=True,
    default_dialect=default_dialect,
    capabilities=OF_CHATS - {Capability.AUDIO},
)
ANTHROPIC = ProviderKind(
    name="anthropic",
    open_client=_chats(AnthropicClient, "max_output_tokens"),
    capabilities=OF_CHATS - {Capability.AUDIO},
)
BEDROCK = ProviderKind(
    name="bedrock",
    open_client=_chats(
        _bedrock_client, "authorization", "max_output_tokens", "cache_points", "guardrail"
    ),
    default_url=default_url,
    open_signer=_bedrock_signer,
    capabilities=OF_CHATS - {Capability.AUDIO},
)
DEMO = ProviderKind(
    name="demo",
    open_client=lambda options: DemoLLM(),
    embeddings=EmbeddingsApi(
        open_client=lambda options: DemoEmbeddings(options.model), takes_tokens=True
    ),
    success_status=None,
    capabilities=OF_CHATS - {Capability.REASONING},
    is_demo=True,
)

PROVIDER_KINDS = {kind.name: kind for kind in (GEMINI, OPENAI, ANTHROPIC, BEDROCK, DEMO)}
"""By name."""
