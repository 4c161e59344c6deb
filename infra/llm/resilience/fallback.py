"""Somebody else, where the one who was asked cannot answer."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.exceptions import ContentBlocked, LLMError
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.continuation import continuing
from infra.llm.resilience.fallback_order import FallbackOrder, FallbackPolicy
from infra.llm.resilience.route import Route


class Fallback(LLMClient):
    """Asks routes in order until one answers; the first is the model that was asked for.

    Until a word has reached the caller the next route starts anew; a plain caller sees nothing before the end, so its
    answer may start anew at any time. Words that went out stay: only a model that takes up a partial answer may go
    on with it, else the stream ends with the error. Attempts are counted in `context.attempts`, so the routes have to
    log them there.

    Raises:
        Overloaded: Every provider has as many calls as we allow.
    """

    def __init__(self, routes: Sequence[Route], *, policy: FallbackPolicy, clock: Clock) -> None:
        """Join routes.

        Args:
            routes: In the order in which to ask; at least one.
            policy: How far to go.
            clock: For what is left of a turn.
        """
        self._routes = tuple(routes)
        self._policy = policy
        self._clock = clock

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        routes = self._routes if context.may_fall_back else self._routes[:1]
        succession = FallbackOrder(routes, context, self._policy, self._clock)
        said: list[str] = []
        question = prompt
        while True:
            succession.tell_turn(going_on=bool(said))
            events = succession.client.stream(succession.route.prompt_for(question), context)
            try:
                async for event in events:
                    if isinstance(event, str):
                        if context.is_streamed:
                            said.append(event)
                        yield event
                    elif said and isinstance(event, ProviderSelected):
                        yield replace(event, continues=True)
                    else:
                        yield event
                return
            except ContentBlocked:
                if not said:
                    raise
                break
            except LLMError as error:
                if said:
                    succession.advance_after_break(error, is_first_break=question is prompt)
                    question = continuing(prompt, "".join(said))
                    # the first word did come in time; what bounds the next one is the whole
                    context.first_text_deadline = context.answer_deadline
                else:
                    succession.advance(error)
            finally:
                await events.aclose()
        # who went on refused to; what the first one said stands
        yield Reply(finish_reason=FinishReason.CONTENT_FILTER)
