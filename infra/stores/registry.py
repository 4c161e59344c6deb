"""The table of stores. A new store is one module of this package and one entry here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.configuration import ConfigurationError
from infra.stores.dynamodb import DYNAMODB
from infra.stores.mongodb import MONGODB
from infra.stores.sqlite import SQLITE
from infra.stores.store import Store

if TYPE_CHECKING:
    from infra.settings.history import HistorySettings

STORES: tuple[Store, ...] = (SQLITE, MONGODB, DYNAMODB)
"""Every store that can be configured; the first one is used when no other is."""


def store_names() -> Sequence[str]:
    """Return the names that `store_named` accepts."""
    return [store.name for store in STORES]


def store_named(name: str) -> Store:
    """Return the store of that name.

    Raises:
        KeyError: No store has it.
    """
    return {store.name: store for store in STORES}[name]


def configured_store(settings: "HistorySettings") -> Store:
    """Return the store that the settings select; without a selection, the embedded one.

    Raises:
        ConfigurationError: The settings select more than one.
    """
    default, *others = STORES
    configured = [store for store in others if store.missing(settings) is None]
    if len(configured) > 1:
        selected = " and ".join(store.setting for store in configured)
        raise ConfigurationError(f"{selected} are both set: choose one store")
    return configured[0] if configured else default


def remote_store_settings() -> str:
    """Return the environment variables that select a store outside this process, for error messages."""
    return " or ".join(store.setting for store in STORES if not store.is_embedded)


def unsafe_stores(settings: "HistorySettings") -> Sequence[str]:
    """Return the settings of all stores that production refuses, one phrase each."""
    return [reason for store in STORES for reason in store.unsafe_reasons(settings)]
