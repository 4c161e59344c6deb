"""A catalogue in which every fault can be asked for, in both formats, alone or with somebody behind it."""

import socket
from collections.abc import Iterable
from pathlib import Path

from infra.selftest.provider import FaultProvider

WIRES = ("gem", "alt")
REFUSED = "refused"
"""The fault of a provider at whose address nobody listens."""

_BEHIND = {"gem": "alt", "alt": "gem"}


def behind(wire: str) -> str:
    """The provider that answers when `wire` cannot: the one of the other format."""
    return _BEHIND[wire]


def write_catalogue(path: Path, provider: FaultProvider, faults: Iterable[str]) -> Path:
    """Write a models file.

    Of each fault there are, for `gem` (Gemini's format) and `alt` (OpenAI's):

        gem-<fault>            nobody else to ask
        gem-<fault>-safe       a healthy model of the other provider behind it
        gem-<fault>-goes-on    the same, and both take up a partial answer
        gem-<fault>-both       a model of the other provider behind it that has the same fault

    Each has an upstream name of its own, so that the provider counts it by itself.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    tables = ['default = "gem-healthy"']
    for name, url in (("", provider.url), ("-nobody", nobody)):
        tables += [
            f'[providers.gem{name}]\nkind = "gemini"\nbase_url = "{url}"\napi_key_env = "GEM_KEY"',
            f'[providers.alt{name}]\nkind = "openai"\nbase_url = "{url}/v1"',
        ]
    for wire in WIRES:
        for fault in dict.fromkeys(("healthy", *faults)):
            other = behind(wire)
            name = f"{wire}-{fault}"
            tables += [
                _model(name, wire, fault),
                _model(f"{name}-safe", wire, fault, behind=f"{other}-healthy"),
                _model(f"{name}-goes-on", wire, fault, behind=f"{other}-standby", goes_on=True),
                _model(f"{name}-both", wire, fault, behind=f"{other}-{fault}-standby"),
                _model(f"{name}-standby", wire, fault),
            ]
        tables.append(_model(f"{wire}-standby", wire, "healthy", goes_on=True))
    path.write_text("\n\n".join(tables), encoding="utf-8")
    return path


def upstream(model: str, fault: str) -> str:
    """What the provider knows a model of this catalogue by."""
    return f"{fault}@{model}"


def _model(name: str, wire: str, fault: str, *, behind: str = "", goes_on: bool = False) -> str:
    provider = f"{wire}-nobody" if fault == REFUSED else wire
    lines = [
        f'[models."{name}"]',
        f'provider = "{provider}"',
        f'upstream = "{upstream(name, fault)}"',
        "context_tokens = 100000",
        "max_output_tokens = 1000",
    ]
    if behind:
        lines.append(f'fallbacks = ["{behind}"]')
    if goes_on:
        lines.append("continues = true")
    return "\n".join(lines)
