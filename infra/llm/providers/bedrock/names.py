"""Names of tools and documents in requests of the Converse API, which restricts their alphabets."""

import re
from collections.abc import Mapping
from hashlib import sha256

from domain.entities.items import tool_calls
from domain.entities.prompt import Prompt

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_TOOL_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_PREFIX = 47
_DIGEST_DIGITS = 16

_NOT_IN_DOCUMENT_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_LONGEST_DOCUMENT_NAME = 180
_NAMELESS = "document"


def tool_name(name: str) -> str:
    """Return the name under which a tool is sent: the same for the same tool, and different for another."""
    if _TOOL_NAME.fullmatch(name):
        return name
    prefix = _NOT_IN_TOOL_NAMES.sub("_", name)[:_LONGEST_PREFIX]
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
    return f"{prefix}_{digest}"


def names_by_sent_name(prompt: Prompt) -> Mapping[str, str]:
    """Return the original names of tools by the names that they are sent with, for those whose names are replaced."""
    names = [tool.name for tool in prompt.tools]
    if not names:
        return {}
    return {tool_name(name): name for name in names if not _TOOL_NAME.fullmatch(name)}


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
