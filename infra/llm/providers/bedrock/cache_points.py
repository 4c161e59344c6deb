"""What a caller says about the provider's prompt cache, as points in requests of the Converse API."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.entities.prompt import CacheMark, Prompt, Role

Block = dict[str, object]

CACHE_POINT = "cachePoint"

_KNOW_POINTS = re.compile(
    r"\banthropic\.claude-(?:3-5-haiku|3-7|[a-z]+-\d)|\bamazon\.nova-(?:2-)?(?:micro|lite|pro|premier)"
)
_HAVE_NONE_AFTER_TOOLS = re.compile(r"\bamazon\.nova-")
_MOST_POINTS = 4  # of a request


def knows_cache_points(upstream: str) -> bool:
    """Return whether a model is known by its id to accept points; others refuse requests with points."""
    return _KNOW_POINTS.search(upstream) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePoints:
    """Where the points of one request are.

    Attributes:
        system: In the instructions, by the number of characters after them.
        tools: After tools, by name.
        in_messages: Whether the marks of messages become points.
        end: After the last message; None: without one.
    """

    system: tuple[CacheMark, ...] = ()
    tools: Mapping[str, CacheMark] = field(default_factory=dict)
    in_messages: bool = False
    end: CacheMark | None = None


NO_POINTS = CachePoints()


def cache_points_of(prompt: Prompt, upstream: str) -> CachePoints:
    """Return the points of a request to a model that accepts some.

    A caller who marks the whole request or names a key leaves the places to the provider, and this API chooses none:
    they are the end of the instructions and the end of the request.
    """
    in_messages = sum(len(message.cache_marks) for message in prompt.messages)
    caching = prompt.caching
    if caching is None:
        return CachePoints(in_messages=True) if in_messages else NO_POINTS
    system = caching.system if prompt.system else ()
    tools = {}
    if _HAVE_NONE_AFTER_TOOLS.search(upstream) is None:
        tools = {prompt.tools[mark.position - 1].name: mark for mark in caching.tools}
    end = None
    left = _MOST_POINTS - in_messages - len(system) - len(tools)
    if caching.whole is not None or caching.key is not None:
        mark = caching.whole or CacheMark(position=0)
        if left > 0 and prompt.messages[-1].role is Role.USER:
            end = mark
            left -= 1
        if left > 0 and prompt.system and not system:
            system = (CacheMark(position=0, ttl=mark.ttl),)
    return CachePoints(system=system, tools=tools, in_messages=True, end=end)


def cache_point(mark: CacheMark) -> Block:
    """Return the block of a mark."""
    return {CACHE_POINT: {"type": "default", "ttl": mark.ttl} if mark.ttl else {"type": "default"}}


def texts_and_points(text: str, marks: Iterable[CacheMark]) -> list[Block]:
    """Return a text as blocks, with a point after each part that a mark ends; blank parts have no blocks.

    Args:
        text: The text.
        marks: By the number of characters before them.
    """
    blocks: list[Block] = []
    start = 0
    for mark in sorted(marks, key=lambda mark: mark.position):
        if text[start : mark.position].strip():
            blocks += [{"text": text[start : mark.position]}, cache_point(mark)]
            start = mark.position
    if text[start:].strip():
        blocks.append({"text": text[start:]})
    return blocks
