"""The available models and their providers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.entities.model import Model
from domain.exceptions import RetiredModel, UnknownModel
from domain.interfaces.clock import Clock
from domain.interfaces.model_catalogue import ModelCatalogue
from infra.llm.providers.bedrock.identity import AwsIdentity, Guardrail
from infra.llm.providers.registry import ProviderKind
from infra.llm.transport.dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of models.

    Attributes:
        base_url: Without a slash at its end; empty for the demo.
        api_key: None sends none.
        api_key_header: Of the key; None: the usual one of the kind.
        has_google_auth: Calls are authorised by Google's application default credentials.
        allow_http: Allows plain http in production.
        price_url: The base URL by which prices are looked up; stays the same behind a proxy.
        dialect: As the models file states it; None: the default of the base URL.
        identity: Signs the requests; None where a key authorises them.
        enabled_by: Name of the setting that enables it; None if the models file alone does.
    """

    name: str
    kind: ProviderKind
    base_url: str
    api_key: str | None
    allow_http: bool
    price_url: str
    dialect: Dialect | None = None
    identity: AwsIdentity | None = None
    enabled_by: str | None = None
    api_key_header: str | None = None
    has_google_auth: bool = False

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.kind.name!r}, {self.base_url!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """A model with everything that the chain needs.

    Attributes:
        model: The part that callers may see.
        upstream: The provider's name for the model.
        fallbacks: Catalogue ids of the fallbacks, in order.
        spread: Catalogue ids of the routes that share its requests, its own first; empty: it has no such routes.
        weight: Its share where it is one of the routes of a spread.
        first_token_seconds: None: the default of the settings.
        continues: The model continues a partial answer that is the last message.
        successor: Catalogue id of the model that replaces it after its shutdown date.
        shared_family: The models file's name of the models that accept the metadata in each other's answers.
        usd_per_million: Prices of input and output tokens from the models file.
        cached_input_usd_per_million: Price of input tokens read from a cache; None: that of other input.
        cache_write_usd_per_million: Price of input tokens written to a cache; None: that of other input.
        cache_points: At Amazon Bedrock: whether it accepts points of the prompt cache; None: as known by its id.
        guardrail: At Amazon Bedrock: what checks its requests and answers.
    """

    model: Model
    provider: Provider
    upstream: str
    fallbacks: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()
    weight: float = 1.0
    first_token_seconds: float | None = None
    continues: bool = False
    successor: str | None = None
    shared_family: str | None = None
    usd_per_million: tuple[float, float] | None = None
    cached_input_usd_per_million: float | None = None
    cache_write_usd_per_million: float | None = None
    cache_points: bool | None = None
    guardrail: Guardrail | None = None

    @property
    def family(self) -> str:
        """Models that accept the metadata in each other's answers."""
        if self.shared_family is not None:
            return self.shared_family
        return self.provider.name if self.provider.kind.shares_metadata else self.id

    @property
    def id(self) -> str:
        """The catalogue id."""
        return self.model.id


class Catalogue(ModelCatalogue):
    """A fixed list of models; while the service runs, only shutdown dates pass."""

    def __init__(self, entries: Sequence[CatalogueModel], *, clock: Clock) -> None:
        """List models.

        Args:
            entries: The default model first; at least one.
            clock: For shutdown dates.
        """
        self.entries = tuple(entries)
        self._clock = clock
        self._by_id = {entry.id: entry for entry in self.entries}
        self._by_alias = {alias: entry for entry in self.entries for alias in entry.model.aliases}

    def models(self) -> Sequence[Model]:
        return [entry.model for entry in self.entries if not self._is_shut_down(entry)]

    def resolve(self, name: str | None) -> Model:
        if name is None:
            return self._default()
        entry = self._by_id.get(name)
        if entry is None or self._is_shut_down(entry):
            entry = self._by_alias.get(name, entry)
        if entry is None:
            raise UnknownModel(self._known())
        if self._is_shut_down(entry):
            raise RetiredModel(self._known(), self._successor(entry))
        return entry.model

    def entry(self, model: str) -> CatalogueModel:
        """Return the entry with this catalogue id."""
        return self._by_id[model]

    def is_demo_only(self) -> bool:
        """Return whether no real provider is configured."""
        return all(entry.provider.kind.is_demo for entry in self.entries)

    def plain_http_providers(self) -> list[str]:
        """Return the names of providers with a plain http URL that do not allow it."""
        return sorted(
            {
                entry.provider.name
                for entry in self.entries
                if entry.provider.base_url.lower().startswith("http:")
                and not entry.provider.allow_http
            }
        )

    def _default(self) -> Model:
        """Return the default model, or its successor after its shutdown date, or else any model that chats."""
        entry: CatalogueModel | None = self.entries[0]
        for _ in self.entries:
            if entry is None or not self._is_shut_down(entry):
                break
            entry = self._by_id.get(entry.successor or "")
        if entry is None or self._is_shut_down(entry):
            left = [e for e in self.entries if not self._is_shut_down(e)]
            left.sort(key=lambda e: e.model.computes_embeddings)
            entry = left[0] if left else None
        if entry is None:
            raise RetiredModel((), None)
        return entry.model

    def _is_shut_down(self, entry: CatalogueModel) -> bool:
        shutdown_date = entry.model.shutdown_date
        if shutdown_date is None:
            return False
        today = datetime.fromtimestamp(self._clock.now_milliseconds() / 1000, UTC).date()
        return today > shutdown_date

    def _successor(self, entry: CatalogueModel) -> str | None:
        return entry.successor if entry.successor in self._by_id else None

    def _known(self) -> tuple[str, ...]:
        return tuple(model.id for model in self.models())
