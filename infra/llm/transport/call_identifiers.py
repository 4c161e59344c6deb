"""Ids of calls and names of tools in requests, in the alphabet of the provider."""

import re
from collections.abc import Mapping
from hashlib import sha256

from domain.entities.prompt import Prompt

_ROOM_FOR_NUMBER = 8
_NOT_IN_TOOL_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_PREFIX = 46
_DIGEST_DIGITS = 16


class ToolNames:
    """The names of tools in requests to one kind of provider.

    Args:
        valid: Matches a complete name. It accepts letters, digits, `_` and `-`, and up to 64 of them, but may demand
            that a letter or `_` is the first.
    """

    def __init__(self, valid: str) -> None:
        self._valid = re.compile(valid)

    def sent(self, name: str) -> str:
        """Return the name under which a tool is sent: the same for the same tool, and different for another."""
        if self._valid.fullmatch(name):
            return name
        prefix = _NOT_IN_TOOL_NAMES.sub("_", name)[:_LONGEST_PREFIX]
        digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
        written = f"{prefix}_{digest}"
        return written if self._valid.fullmatch(written) else f"_{written}"

    def originals(self, prompt: Prompt) -> Mapping[str, str]:
        """Return the names of tools by the names that they are sent with, for those whose names are replaced."""
        return {
            self.sent(tool.name): tool.name
            for tool in prompt.tools
            if not self._valid.fullmatch(tool.name)
        }


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
