"""Requests that are adapted if a provider does not support a part of them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from domain.entities.items import Attachment
from domain.entities.prompt import Prompt
from infra.llm.transport.dialect import Adaptation, Dialect, in_dialect, prefill_of
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.response_parser import Received

logger = logging.getLogger(__name__)

_MOST_ADAPTATIONS = 5  # of one call; known providers need at most three
_NAMES_OF_FIELDS = frozenset({"limit_field", "reasoning_field"})

Write = Callable[[Prompt, Dialect], bytes]
TakeChunk = Callable[[bytes], Received]


class RouteDialect:
    """The dialect of one provider and model, in this process.

    Attributes:
        current: The dialect of new requests.
    """

    def __init__(
        self,
        stated: Dialect,
        adaptations: Sequence[Adaptation],
        write: Write,
        *,
        provider: str,
        model: str,
    ) -> None:
        """Begin with the configured dialect.

        Args:
            stated: The dialect of the kind of provider and the models file.
            adaptations: The adaptations that refusals may ask for.
            write: Returns the body of a request.
            provider: The provider's name in the catalogue.
            model: The model's id in the catalogue.
        """
        self.current = stated
        self.adaptations = adaptations
        self.write = write
        self._route = f"{provider} {model}"

    def learn(self, adaptation: Adaptation) -> None:
        """Adapt all later requests; idempotent."""
        adapted = replace(self.current, **adaptation.changes)  # type: ignore[arg-type]
        if adapted != self.current:
            self.current = adapted
            logger.info(
                "requests to %s are sent %s from now on", self._route, adaptation.description
            )


class AdaptableRequest:
    """One request of a route.

    An adaptation is stored for the route only once an adapted request has been answered, so that a refusal for another
    reason, which merely mentions a field, does not affect other calls.
    """

    __slots__ = ("_adaptations", "_body", "_dialect", "_prompt", "_route")

    def __init__(self, route: RouteDialect, prompt: Prompt) -> None:
        self._route = route
        self._prompt = prompt
        self._dialect = route.current
        self._adaptations: list[Adaptation] = []
        self._body: bytes | None = None

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is requested as a stream."""
        return self._dialect.stream

    async def body(self) -> bytes:
        """Return the body to post; one with attachments is written in a thread."""
        if self._body is None:
            if _has_content(self._prompt):
                self._body = await asyncio.to_thread(self._written)
            else:
                self._body = self._written()
        return self._body

    def _written(self) -> bytes:
        return self._route.write(in_dialect(self._prompt, self._dialect), self._dialect)

    def adapt(self, error: WireError) -> bool:
        """Adapt the request to a refusal; return whether it changed and may be sent again.

        Each adaptation is made once, so that a provider that contradicts itself causes no endless loop.
        """
        if len(self._adaptations) == _MOST_ADAPTATIONS:
            return False
        for adaptation in self._route.adaptations:
            if adaptation in self._adaptations or self._has_changed(adaptation):
                continue
            if adaptation.applies(error, self._prompt, self._dialect):
                self._adaptations.append(adaptation)
                self._dialect = replace(self._dialect, **adaptation.changes)  # type: ignore[arg-type]
                self._body = None
                return True
        return False

    def reading(self, take: TakeChunk) -> TakeChunk:
        """Return `take`, wrapped where the request was adapted."""
        if not self._dialect.prefill_ends_in_space:
            prefill = prefill_of(self._prompt) or ""
            if removed := prefill[len(prefill.rstrip()) :]:
                take = _Joined(take, removed)
        return _Accepted(take, self.accepted) if self._adaptations else take

    def accepted(self) -> None:
        """Store the adaptations of this request for its route."""
        for adaptation in self._adaptations:
            if adaptation.is_lasting:
                self._route.learn(adaptation)

    def _has_changed(self, adaptation: Adaptation) -> bool:
        """Return whether this call was adapted in the opposite way, as for a provider that contradicts itself."""
        return any(
            not made.changes.keys().isdisjoint(adaptation.changes.keys() & _NAMES_OF_FIELDS)
            for made in self._adaptations
        )


def _has_content(prompt: Prompt) -> bool:
    return any(
        isinstance(item, Attachment) and item.content is not None
        for message in prompt.messages
        for item in message.items
    )


class _Accepted:
    """Reports the first event of an answer."""

    def __init__(self, take: TakeChunk, accepted: Callable[[], None]) -> None:
        self._take = take
        self._accepted: Callable[[], None] | None = accepted

    def __call__(self, chunk: bytes) -> Received:
        received = self._take(chunk)
        if received and self._accepted is not None:
            self._accepted()
            self._accepted = None
        return received


class _Joined:
    """Removes from the start of a continuation the white space that the text before it ended with.

    The model did not receive that white space and mostly begins with it. Only white space that was sent already is
    removed, so no text is lost or doubled.
    """

    def __init__(self, take: TakeChunk, removed: str) -> None:
        self._take = take
        self._expected = removed

    def __call__(self, chunk: bytes) -> Received:
        received = self._take(chunk)
        if not self._expected or not received:
            return received
        if isinstance(received, str):
            return self._without_expected(received)
        first, *others = received
        if not isinstance(first, str):
            return received
        left = self._without_expected(first)
        return [left, *others] if left else others

    def _without_expected(self, text: str) -> str:
        same = 0
        for new, expected in zip(text, self._expected, strict=False):
            if new != expected:
                break
            same += 1
        self._expected = self._expected[same:] if same == len(text) else ""
        return text[same:]
