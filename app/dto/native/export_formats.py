"""A user's interactions as a file: JSON lines or CSV."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import orjson

from app.dto.native.interaction import interaction_document
from app.dto.native.item_details import details_document
from domain.entities.interaction import Interaction

_FORMULA = re.compile(
    r"[\t\r\n]|[\s\x00-\x1f\ufeff]*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    r"\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}]"
)
"""Matches the start of a cell that some spreadsheet evaluates as a formula.

White space, control characters and a byte order mark are skipped first: depending on program, version and import
settings they are dropped before the cell is read. Full-width forms count as the plain ones where the system's language
is Chinese, Japanese or Korean.
"""

_COLUMNS = (
    *("id", "userId", "conversationId", "timestamp", "userPrompt", "systemPrompt", "temperature"),
    *("response", "model", "requestedModel", "provider", "status", "finishReason", "fallbackUsed"),
    *("llmResponseSeconds", "timeToFirstTokenSeconds"),
    *("inputTokens", "outputTokens", "reasoningTokens", "totalTokens", "costUsd"),
    *("attempts", "error"),
)


class ExportFormat(StrEnum):
    """File format of an export."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES = {
    ExportFormat.JSONL: "application/x-ndjson",
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
}


def encode_header(export_format: ExportFormat, *, with_bom: bool = False) -> bytes:
    """Return the bytes that precede the first interaction; empty for JSON lines.

    Args:
        export_format: Format of the file.
        with_bom: Whether a CSV file begins with a byte order mark, without which Excel does not read it as UTF-8.
    """
    if export_format is not ExportFormat.CSV:
        return b""
    return (codecs.BOM_UTF8 if with_bom else b"") + _csv([_COLUMNS])


def encode_interactions(export_format: ExportFormat, interactions: Sequence[Interaction]) -> bytes:
    """Return the interactions as lines of a file in `export_format`."""
    if export_format is ExportFormat.CSV:
        return _csv([_row(interaction_document(interaction)) for interaction in interactions])
    return b"".join([_line(interaction) for interaction in interactions])


def _line(interaction: Interaction) -> bytes:
    document = interaction_document(interaction)
    if details := details_document(interaction):
        document["details"] = details
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _row(document: dict[str, Any]) -> list[str]:
    attempts = orjson.dumps(document["attempts"]).decode()
    flat = {**document, **document["usage"], "attempts": attempts}
    return [_cell(flat[name]) for name in _COLUMNS]


def _cell(value: object) -> str:
    """Return the text of a cell: empty for null; a text that could be evaluated as a formula gets a leading `'`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    return str(value)


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
