"""Ids of calls in requests, in the alphabet of the provider."""

import re
from hashlib import sha256

_ROOM_FOR_NUMBER = 8


class RequestCallIds:
    """The ids of the calls of one request: in the provider's alphabet, and each used once.

    Args:
        valid: Matches a complete id.
        longest: Longest id, in characters.
    """

    def __init__(self, valid: re.Pattern[str], *, longest: int) -> None:
        self._valid = valid
        self._longest = longest
        self._current: dict[str, str] = {}
        self._used: set[str] = set()

    def of_call(self, call_id: str) -> str:
        """Return the id of the next call, which ends the use of the same id by an earlier one."""
        written = call_id
        if not self._valid.fullmatch(call_id):
            written = sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:32]
        number = 1
        distinct = written
        while distinct in self._used:
            number += 1
            distinct = f"{written[: self._longest - _ROOM_FOR_NUMBER]}_{number}"
        self._used.add(distinct)
        self._current[call_id] = distinct
        return distinct

    def of_result(self, call_id: str) -> str:
        """Return the id of the last call with this id."""
        return self._current.get(call_id) or self.of_call(call_id)
