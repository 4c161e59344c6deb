"""A user's interactions as a file: JSON lines or CSV."""

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import orjson

from app.dto.interaction import wire_document
from domain.entities.interaction import Interaction

_FORMULA_STARTS = ("=", "+", "-", "@")
"""A spreadsheet takes a cell that begins so for a formula, whoever wrote it."""

_COLUMNS = (
    *("id", "userId", "conversationId", "timestamp", "userPrompt", "systemPrompt", "temperature"),
    *("response", "model", "requestedModel", "provider", "status", "finishReason", "fallbackUsed"),
    *("llmResponseSeconds", "timeToFirstTokenSeconds"),
    *("inputTokens", "outputTokens", "reasoningTokens", "totalTokens", "costUsd"),
    *("attempts", "error"),
)


class ExportFormat(StrEnum):
    """What the file is."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES = {
    ExportFormat.JSONL: "application/x-ndjson",
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
}


def head_of(file: ExportFormat) -> bytes:
    """Return what stands before the first interaction."""
    return _csv([_COLUMNS]) if file is ExportFormat.CSV else b""


def lines_of(file: ExportFormat, interactions: Sequence[Interaction]) -> bytes:
    """Return the interactions as lines of the file."""
    documents = [wire_document(one) for one in interactions]
    if file is ExportFormat.CSV:
        return _csv([_row(document) for document in documents])
    return b"".join(
        [orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents]
    )


def _row(document: dict[str, Any]) -> list[str]:
    attempts = orjson.dumps(document["attempts"]).decode()
    flat = {**document, **document["usage"], "attempts": attempts}
    return [_cell(flat[name]) for name in _COLUMNS]


def _cell(value: object) -> str:
    """Return a value as text: null is empty, and no text is a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return str(value)


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
