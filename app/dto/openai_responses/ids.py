"""Ids of output items in OpenAI's Responses format: made from the interaction and the position of the item."""

import re

from app.services.response_ids import with_dashes
from domain.entities.interaction import is_interaction_id

_ITEM = re.compile(r"(?:msg|fc|rs)_([0-9a-f]{32})([0-9a-f]{2})(?:r[0-9]+)?")


def item_id(prefix: str, interaction_id: str, position: int, restarts: int = 0) -> str:
    """Return the id of an output item.

    Args:
        prefix: `msg`, `fc` or `rs`.
        interaction_id: Of the response.
        position: Of the item in its output, without items that are void.
        restarts: How often a streamed answer was restarted before the item; `read_item` does not need it.
    """
    suffix = f"r{restarts}" if restarts else ""
    return f"{prefix}_{interaction_id.replace('-', '')}{position:02x}{suffix}"


def read_item(identifier: str) -> tuple[str, int] | None:
    """Return the interaction's id and the position of an output item; None if the id was not made here."""
    match = _ITEM.fullmatch(identifier)
    if match is None or not is_interaction_id(interaction_id := with_dashes(match[1])):
        return None
    return interaction_id, int(match[2], 16)
