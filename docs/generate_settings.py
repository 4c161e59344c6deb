"""Writes `docs/settings.md` and `.env.example` from the settings classes: `make settings-docs`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from infra.settings import GROUPS, Settings, allowed_numbers
from infra.settings.group import SettingsGroup

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "settings.md"
EXAMPLE = ROOT / ".env.example"

TABLE_HEAD = """\
# Settings

All settings, with their defaults. They are read once at start, from the environment and from `.env` in the working directory; the environment
takes precedence. An empty value counts as not set. Names that end in `_SECONDS`, `_BYTES` and `_DAYS` contain their unit. A value that is not valid ends the start with
exit code 78 and one line that names the setting and its range (3155760000 seconds are 100 years, the upper bound of most times). [.env.example](../.env.example) is a template with the same content.

This file is written by `make settings-docs` from [infra/settings](../infra/settings); change the descriptions there.
"""
EXAMPLE_HEAD = """\
# Copy this file to .env and uncomment what you change. The environment takes precedence over .env. The values are the defaults;
# an empty value counts as not set. Names that end in _SECONDS, _BYTES and _DAYS contain their unit. docs/settings.md has the ranges.
# This file is written by `make settings-docs`.
"""


def own_fields(group: type[SettingsGroup]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the settings that a group declares itself."""
    for name, field in Settings.model_fields.items():
        if name in group.__annotations__:
            yield name.upper(), field


def default_text(field: FieldInfo) -> str:
    """Return a setting's default as it is written in an environment; empty where it is not set."""
    default: Any = field.default
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return str(default)


def allowed_values(field: FieldInfo) -> str:
    """Return in words which values a setting may have."""
    annotation: Any = field.annotation
    kinds = {annotation, *get_args(annotation)}
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if bool in kinds:
        return "`true`, `false`"
    if (numbers := allowed_numbers(field)) is not None:
        return numbers
    if SecretStr in kinds:
        return "a secret"
    if get_origin(annotation) is tuple:
        return "a list, separated by commas"
    return "a path" if Path in kinds else "text"


def table() -> str:
    """Return the text of `docs/settings.md`."""
    parts = [TABLE_HEAD]
    for group in GROUPS:
        rows = [
            f"| `{name}` | {f'`{default}`' if (default := default_text(field)) else ''} "
            f"| {allowed_values(field)} | {field.description} |"
            for name, field in own_fields(group)
        ]
        head = [
            f"## {group.title}",
            "",
            "| setting | default | values | meaning |",
            "|---|---|---|---|",
        ]
        parts.append("\n".join([*head, *rows, ""]))
    return "\n".join(parts)


def example() -> str:
    """Return the text of `.env.example`."""
    parts = [EXAMPLE_HEAD]
    for group in GROUPS:
        parts.append(f"## {group.title}\n")
        parts += [
            f"# {field.description}\n#{name}={default_text(field)}\n"
            for name, field in own_fields(group)
        ]
    return "\n".join(parts)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")
