"""Ids of tool calls whose provider sent none.

They are made from the id of their interaction, so that the interaction of a call can be found by its id: a client that
speaks a stateless format sends back the id alone, not the metadata that the provider wants with it.
"""

import re

_INTERACTION_DIGITS = 30
_MADE_HERE = re.compile(r"call_([0-9a-f]{32})")


def call_id(interaction_id: str, number: int) -> str:
    """Return `call_` and 32 hexadecimal digits: the interaction's id with its last two digits replaced.

    Args:
        interaction_id: A UUIDv7.
        number: 0 to 255, different for each call of the interaction.
    """
    digits = interaction_id.replace("-", "")[:_INTERACTION_DIGITS]
    return f"call_{digits}{number:02x}"


def interaction_ids_of(call: str) -> tuple[str, str] | None:
    """Return the smallest and the largest possible id of the interaction that a call belongs to; None if unknown."""
    match = _MADE_HERE.fullmatch(call)
    if match is None:
        return None
    digits = match[1][:_INTERACTION_DIGITS]
    return _as_uuid(digits + "00"), _as_uuid(digits + "ff")


def _as_uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
