"""Reads the vectors of embeddings, and the usage of calls without output."""

import sys
from array import array
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite

from domain.entities.reply import Usage
from infra.llm.transport.errors.answer_errors import UnreadableAnswer

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Of one answer: 2048 vectors of 4096 numbers as text."""

_NUMBERS = frozenset({int, float})
_SINGLE_BYTES = 4


def vector_of(value: object) -> Sequence[float]:
    """Return a vector, from a list of numbers or from the base64 of little-endian numbers of 32 bits.

    Raises:
        UnreadableAnswer: It is neither, it is empty, or a number is not finite.
    """
    vector: array[float]
    if isinstance(value, str):
        vector = array("f", _bytes_of(value))
        if sys.byteorder == "big":
            vector.byteswap()
    elif isinstance(value, list) and _NUMBERS.issuperset(map(type, value)):
        vector = array("d", value)
    else:
        raise UnreadableAnswer("a vector that is not a list of numbers")
    if not vector or not isfinite(sum(vector)):
        raise UnreadableAnswer("a vector without numbers, or with numbers that are not finite")
    return vector


def matching(vectors: Sequence[Sequence[float]], inputs: int) -> tuple[Sequence[float], ...]:
    """Return the vectors of so many inputs.

    Raises:
        UnreadableAnswer: There are more or fewer, or they differ in length.
    """
    if len(vectors) != inputs or len({len(vector) for vector in vectors}) > 1:
        raise UnreadableAnswer("not one vector of the same length for each input")
    return tuple(vectors)


def usage_of_input(
    tokens: int | None, cost: Callable[[Usage], Usage], *, reported_usd: float | None = None
) -> Usage:
    """Return the usage of a call that has no output, with its price.

    Args:
        tokens: Of the input; None where the provider does not report them.
        cost: Adds the cost to a usage.
        reported_usd: The cost that the provider reports; None without one.
    """
    used = Usage(input_tokens=tokens, output_tokens=0, total_tokens=tokens, cost_usd=reported_usd)
    return replace(cost(used), output_tokens=None)


def _bytes_of(text: str) -> bytes:
    try:
        content = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError) as exc:
        raise UnreadableAnswer("a vector that is not base64") from exc
    if len(content) % _SINGLE_BYTES:
        raise UnreadableAnswer("a vector of incomplete numbers")
    return content
