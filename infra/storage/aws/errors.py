"""Translates errors of the AWS driver into domain exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from domain.exceptions import HistoryError


@contextmanager
def translate_errors(error: type[HistoryError], service: str) -> Iterator[None]:
    """Raise the driver's errors and an elapsed `asyncio.timeout` as `error`."""
    try:
        yield
    except (BotoCoreError, ClientError, TimeoutError) as exc:
        raise error(f"{service} does not answer as it should") from exc


def code_of(error: ClientError) -> str:
    """Return the AWS error code."""
    details: dict[str, Any] = error.response.get("Error", {})
    return str(details.get("Code", ""))
