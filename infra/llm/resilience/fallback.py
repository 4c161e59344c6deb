"""Tries the next model when one fails."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.items import ToolCall
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply
from domain.exceptions import AnswerDoesNotFit, ContentBlocked, LLMError
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.continuation import continuing
from infra.llm.resilience.fallback_order import FallbackOrder, FallbackPolicy
from infra.llm.resilience.route import Route


class Fallback(LLMClient):
    """Calls routes in order until one answers; the first is the requested model.

    Until text has reached the caller, the next route starts over. A caller that does not stream sees nothing before the
    end, so its answer may start over at any time. Streamed text stays: only a model that continues a partial answer may
    take over, else the stream ends with the error. Attempts are counted in `context.attempts`, where the routes have to
    record them.

    An answer that another process began is continued from `context.text_so_far`.

    Raises:
        Overloaded: Every provider has reached its limit of concurrent calls.
        CannotContinue: No route continues `context.text_so_far`; none was called.
    """

    def __init__(self, routes: Sequence[Route], *, policy: FallbackPolicy, clock: Clock) -> None:
        """Join routes.

        Args:
            routes: In the order of the calls; at least one.
            policy: Limits on attempts and time.
            clock: For the remaining time of a request.
        """
        self._routes = tuple(routes)
        self._policy = policy
        self._clock = clock

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        routes = self._routes if context.may_fall_back else self._routes[:1]
        if needed := prompt.required_capabilities():
            first, *others = routes  # the service has checked the requested model
            routes = (first, *[route for route in others if needed <= route.capabilities])
        order = FallbackOrder(routes, context, self._policy, self._clock)
        sent: list[str] = []
        has_sent_call = False
        current_prompt = prompt
        if context.text_so_far:
            order.begin_to_continue()
            sent.append(context.text_so_far)
            current_prompt = continuing(prompt, context.text_so_far)
        while True:
            order.update_context(is_continuing=bool(sent))
            events = order.client.stream(order.route.prompt_for(current_prompt), context)
            try:
                async for event in events:
                    if isinstance(event, str):
                        if context.is_streamed:
                            sent.append(event)
                        yield event
                    elif isinstance(event, ToolCall):
                        has_sent_call = context.is_streamed
                        yield event
                    elif sent and isinstance(event, ProviderSelected):
                        yield replace(event, continues=True)
                    else:
                        yield event
                return
            except ContentBlocked:
                if not sent and not has_sent_call:
                    raise
                break
            except LLMError as error:
                if has_sent_call:
                    raise  # no model continues an answer after a tool call
                if sent and isinstance(error, AnswerDoesNotFit):
                    raise  # no continuation makes it fit
                if sent:
                    order.advance_after_break(error, is_first_break=current_prompt is prompt)
                    current_prompt = continuing(prompt, "".join(sent))
                    # the first text came in time; the next one is bounded by the whole request
                    context.first_text_deadline = context.answer_deadline
                else:
                    order.advance(error)
            finally:
                await events.aclose()
        # the continuation was blocked; the text of the first model stands
        yield Reply(finish_reason=FinishReason.CONTENT_FILTER)
