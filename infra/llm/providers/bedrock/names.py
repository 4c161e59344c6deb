"""Names of tools and documents in requests of the Converse API, which restricts their alphabets."""

import re

from domain.entities.items import tool_calls
from domain.entities.prompt import Prompt
from infra.llm.transport.call_identifiers import ToolNames

TOOL_NAMES = ToolNames(r"[A-Za-z0-9_-]{1,64}")

_NOT_IN_DOCUMENT_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_LONGEST_DOCUMENT_NAME = 180
_NAMELESS = "document"


def called_names(prompt: Prompt) -> tuple[str, ...]:
    """Return the names of the tools that the messages call, each once."""
    calls = [call for message in prompt.messages for call in tool_calls(message.items)]
    return tuple(dict.fromkeys(call.name for call in calls))


class DocumentNames:
    """The names of the documents of one request, each used once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, name: str | None) -> str:
        """Return a name for the next document, after its own."""
        written = (
            _NOT_IN_DOCUMENT_NAMES.sub(" ", name or "").strip()[:_LONGEST_DOCUMENT_NAME].strip()
        )
        written = written or _NAMELESS
        distinct = written
        number = 1
        while distinct in self._used:
            number += 1
            distinct = f"{written} ({number})"
        self._used.add(distinct)
        return distinct
