"""What a provider is to do with a request, in no provider's words."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from domain.entities.reply import FinishReason, Usage


@dataclass(frozen=True)
class Thinks:
    """A piece of reasoning."""

    text: str


@dataclass(frozen=True)
class Calls:
    """A tool call.

    Attributes:
        arguments: JSON text.
        id: Empty: the provider sends none.
        signature: Gemini's; the fake checks that it comes back with this call.
        in_fragments: The arguments come in parts: pieces of text, or Vertex's `partialArgs`.
    """

    name: str
    arguments: str = "{}"
    id: str = ""
    signature: str = ""
    in_fragments: bool = False


Piece = str | asyncio.Event | Thinks | Calls
"""What to send, or an event to wait for before going on."""

USAGE = Usage(input_tokens=15, output_tokens=73, reasoning_tokens=72, total_tokens=88)


@dataclass(frozen=True)
class Says:
    """Answers with these pieces, each written to the network by itself, and ends for this reason."""

    pieces: Sequence[Piece]
    finish: FinishReason = FinishReason.STOP
    usage: Usage = USAGE


@dataclass(frozen=True)
class Blocks:
    """Refuses for safety: after these pieces, or the prompt itself if there are none."""

    pieces: Sequence[Piece] = ()


@dataclass(frozen=True)
class Refuses:
    """Answers with an error status in the provider's own format."""

    status: int
    retry_after_seconds: int | None = None
    reason: Literal["status", "bad key", "too long", "rate limit", "no model"] = "status"


@dataclass(frozen=True)
class Breaks:
    """Cuts the connection after these pieces, in the middle of the body."""

    pieces: Sequence[Piece] = ()


@dataclass(frozen=True)
class Hangs:
    """Says nothing more after these pieces, and keeps the connection."""

    pieces: Sequence[Piece] = ()


class Cut:
    """A step of `Raw`: the connection ends here, without the end of the body."""


@dataclass(frozen=True)
class Raw:
    """Exactly this answer: for what no well-behaved provider would say.

    Attributes:
        steps: Bytes to write, each by itself; events to wait for; `Cut`.
        whole: The body has a length and comes at once, instead of chunk by chunk.
    """

    steps: Sequence[bytes | asyncio.Event | Cut]
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


Behaviour = Says | Blocks | Refuses | Breaks | Hangs | Raw
