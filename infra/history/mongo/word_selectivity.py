"""The order of words in a search: MongoDB looks up the first in its index and filters by the others."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from infra.storage.mongo.client import Document

_COUNTED_WORDS = 8
_COUNTED_ROWS = 1000


async def rarest_first(
    interactions: AsyncCollection[Document],
    user_id: str,
    words: Collection[str],
    *,
    milliseconds: int,
    form_of: Callable[[str], Any] = str,
) -> Sequence[str]:
    """Return the words of a search with the rarest first, which MongoDB looks up in its index.

    Only the longest words are counted, in the index and up to a thousand; short words are mostly common. `form_of`
    returns the stored form of a word, or a condition.
    """
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    if len(longest_first) == 1:
        return longest_first
    counted = longest_first[:_COUNTED_WORDS]
    counts = await asyncio.gather(
        *(
            interactions.count_documents(
                {"userId": user_id, "words": form_of(word)},
                limit=_COUNTED_ROWS,
                maxTimeMS=milliseconds,
            )
            for word in counted
        )
    )
    _, rarest = min(zip(counts, counted, strict=True), key=lambda pair: pair[0])
    return [rarest, *(word for word in longest_first if word != rarest)]
