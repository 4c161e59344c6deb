"""Finds the commands in a document, and what the document says about running them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*?) -->\n+)?```(?P<language>[a-z]+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        marker: The comment before it: `run`, `not run: <why>`, `answers` (what the command before it prints) or nothing.
    """

    marker: str
    language: str
    text: str


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document of this project, in order."""
    return blocks_of((ROOT / document).read_text(encoding="utf-8"))


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a text, in order."""
    return [
        Block(marker=match["marker"] or "", language=match["language"], text=match["text"])
        for match in _BLOCK.finditer(text)
    ]


def documents() -> list[str]:
    """Return the documents of this project, by their paths from its root."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "runbook.md"]
    return sorted(file.relative_to(ROOT).as_posix() for file in files)
