"""A request that is written again where its provider says that it does not know a part of it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from domain.entities.prompt import Prompt
from infra.llm.transport.dialect import Adaptation, Dialect, in_dialect, prefill_of
from infra.llm.transport.errors.body import WireError

logger = logging.getLogger(__name__)

_MOST_ADAPTATIONS = 5  # of one call; no provider is known that needs more than three

Write = Callable[[Prompt, Dialect], bytes]
TakeChunk = Callable[[bytes], str]


class RouteDialect:
    """The dialect of one provider and model, in this process.

    Attributes:
        current: How its requests are written now.
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
        """Begin with what is known beforehand.

        Args:
            stated: What the kind of provider and the models file say.
            adaptations: What its refusals may ask for.
            write: Returns the body of a request.
            provider: Its name in the catalogue.
            model: The model's id in the catalogue.
        """
        self.current = stated
        self.adaptations = adaptations
        self.write = write
        self._route = f"{provider} {model}"

    def learn(self, adaptation: Adaptation) -> None:
        """Write all later requests so; the second time changes nothing."""
        learnt = replace(self.current, **adaptation.changes)  # type: ignore[arg-type]
        if learnt != self.current:
            self.current = learnt
            logger.info("%s is asked %s from now on", self._route, adaptation.description)


class AdaptableRequest:
    """One request of a route.

    An adaptation is kept for the route only once a request adapted so has been answered, so that a refusal for
    another reason, which merely mentions a field, changes nothing for other calls.

    Attributes:
        body: To be posted.
    """

    __slots__ = ("_adaptations", "_dialect", "_prompt", "_route", "body")

    def __init__(self, route: RouteDialect, prompt: Prompt) -> None:
        self._route = route
        self._prompt = prompt
        self._dialect = route.current
        self._adaptations: list[Adaptation] = []
        self.body = route.write(in_dialect(prompt, self._dialect), self._dialect)

    def adapt(self, error: WireError) -> bool:
        """Write the request anew as a refusal asks; return whether it is worth another try.

        Each adaptation is made once, so that a provider that contradicts itself is not asked for ever.
        """
        if len(self._adaptations) == _MOST_ADAPTATIONS:
            return False
        for adaptation in self._route.adaptations:
            if adaptation in self._adaptations or self._has_changed(adaptation):
                continue
            if adaptation.applies(error, self._prompt, self._dialect):
                self._adaptations.append(adaptation)
                self._dialect = replace(self._dialect, **adaptation.changes)  # type: ignore[arg-type]
                self.body = self._route.write(
                    in_dialect(self._prompt, self._dialect), self._dialect
                )
                return True
        return False

    def reading(self, take: TakeChunk) -> TakeChunk:
        """Return `take`, wrapped where an adapted request needs it; the one of an ordinary request is returned itself."""
        if not self._dialect.prefill_ends_in_space:
            prefill = prefill_of(self._prompt) or ""
            if removed := prefill[len(prefill.rstrip()) :]:
                take = _Joined(take, removed)
        return _Accepted(take, self.accepted) if self._adaptations else take

    def accepted(self) -> None:
        """Keep for the route what this request was adapted to; without adaptations it does nothing."""
        for adaptation in self._adaptations:
            self._route.learn(adaptation)

    def _has_changed(self, adaptation: Adaptation) -> bool:
        """Return whether this call was adapted the other way round, as a provider asks that contradicts itself."""
        return any(
            made.changes.keys() & adaptation.changes.keys() == {"limit_field"}
            for made in self._adaptations
        )


class _Accepted:
    """Reports the first text of an answer."""

    def __init__(self, take: TakeChunk, accepted: Callable[[], None]) -> None:
        self._take = take
        self._accepted: Callable[[], None] | None = accepted

    def __call__(self, chunk: bytes) -> str:
        text = self._take(chunk)
        if text and self._accepted is not None:
            self._accepted()
            self._accepted = None
        return text


class _Joined:
    """Leaves out of a resumed text the white space at its start that the text before it ended with.

    The model was not shown that white space and mostly begins with it. What it begins with beyond that stays, and
    what it leaves out has gone out already: nothing is lost and nothing is doubled.
    """

    def __init__(self, take: TakeChunk, removed: str) -> None:
        self._take = take
        self._expected = removed

    def __call__(self, chunk: bytes) -> str:
        text = self._take(chunk)
        if not self._expected or not text:
            return text
        same = 0
        for new, expected in zip(text, self._expected, strict=False):
            if new != expected:
                break
            same += 1
        self._expected = self._expected[same:] if same == len(text) else ""
        return text[same:]
