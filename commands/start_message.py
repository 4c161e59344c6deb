"""The message that `serve` shows at a terminal once it listens: its addresses, and which model answers."""

import sys
from collections.abc import Iterator
from contextlib import suppress

from domain.exceptions import RetiredModel
from infra.llm.catalogue.catalogue import Catalogue
from infra.logging.configuration import is_pretty
from infra.settings import Settings

_WILDCARDS = {"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"}
"""Addresses that are listened on, and those that a browser on this machine opens instead."""


class StartMessage:
    """Writes to stdout, and only if the log format is `pretty`, so that JSON logs stay JSON."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: tuple[str, ...] = ()

    def note_catalogue(self, catalogue: Catalogue) -> None:
        """Store the models for the message."""
        self._model = tuple(_about_model(catalogue))

    def show(self, url: str) -> None:
        """Write the message; `url` is the address that the service listens on."""
        if is_pretty(self._settings.log_format):
            # A closed terminal must not stop the service.
            with suppress(OSError, ValueError):
                sys.stdout.buffer.write(self._text(url).encode())
                sys.stdout.buffer.flush()

    def _text(self, url: str) -> str:
        for listened, opened in _WILDCARDS.items():
            url = url.replace(listened, opened)
        rows = [("API", f"{url}/v1")]
        if self._settings.console_enabled:
            rows.append(("Console", f"{url}/"))
        if self._settings.docs_enabled:
            rows.append(("Docs", f"{url}/docs"))
        rows += zip(("Model", *[""] * len(self._model)), self._model, strict=False)
        rows.append(("Stop", "Ctrl-C"))
        lines = [f"  {name:9}{value}" for name, value in rows]
        return "\n".join(["", *lines, "", ""])


def _about_model(catalogue: Catalogue) -> Iterator[str]:
    try:
        default = catalogue.resolve(None)
    except RetiredModel:
        yield "none: all models of the models file are past their shutdown dates"
        return
    if catalogue.is_demo_only():
        yield f"{default.id}: scripted answers without an LLM, since no provider is configured"
        yield "For real answers set GEMINI_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY, or for a model on"
        yield "this machine OPENAI_BASE_URL and OPENAI_MODEL, in the environment or .env, and start again."
        return
    entry = next(entry for entry in catalogue.entries if entry.id == default.id)
    enabled_by = entry.provider.enabled_by
    reason = f"{enabled_by} is set" if enabled_by else "the models file has it"
    yield f"{entry.id} of {entry.provider.name}, since {reason}"
    if entry.fallbacks:
        yield f"If it fails: {', '.join(entry.fallbacks)}"
    others = len(catalogue.models()) - 1
    if others:
        yield f"Requests can name {others} more: GET /v1/models"
