"""No attempt may be silent for long, or outlive the request."""

import asyncio
from collections.abc import AsyncGenerator

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent
from domain.exceptions import LLMTimeout
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from infra.llm.resilience.shared_timer import Alarm, AlarmClock

_A_LITTLE_MORE = 1.05  # timers are late
_LEAST_TO_SHARE = 1.5  # a third for this route, two for the next


class Deadline(LLMClient):
    """Bounds the silence of one route: until its first text, and between pieces of it.

    Only waiting for the route counts, not how long the taker of a piece keeps it.
    """

    def __init__(
        self,
        inner: LLMClient,
        *,
        clock: Clock,
        first_token_seconds: float,
        first_token_share: float,
        min_attempt_seconds: float,
        idle_seconds: float,
    ) -> None:
        """Wrap one route.

        Args:
            inner: The route.
            clock: What the turn's deadlines are counted on.
            first_token_seconds: How long it may be silent at first while somebody else could still be asked. With
                nobody left, it has all the time of the turn.
            first_token_share: The same as a share of the time left, where that is less.
            min_attempt_seconds: The least time in which somebody else is asked; so much is kept back for them. Where
                hardly more is left, nobody else will be asked, and the route has it all.
            idle_seconds: How long it may be silent after its first text; `AnswerProgress` ends a silence as text does.
        """
        self._inner = inner
        self._clock = clock
        self._first_token_seconds = first_token_seconds
        self._first_token_share = first_token_share
        self._kept_back_seconds = _A_LITTLE_MORE * min_attempt_seconds
        self._idle_seconds = idle_seconds
        self._alarms = AlarmClock(clock)

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        monotonic, current_task = self._clock.monotonic, asyncio.current_task
        alarms, loop = self._alarms, asyncio.get_running_loop()
        now_seconds = monotonic()
        usual_limit_at = now_seconds + self._first_token_seconds
        limit_at = self._first_text_limit(context, now_seconds)
        end_at = context.whole_by.at_seconds
        has_text = False
        alarm = Alarm(alarms)
        events = self._inner.stream(prompt, context)
        try:
            try:
                alarm.arm(limit_at, now_seconds)
                async for event in events:
                    if alarm.has_rung:
                        alarm.disarm()
                    else:
                        alarm.waiter = None
                    yield event
                    now_seconds = monotonic()
                    if has_text or isinstance(event, str):
                        has_text = True
                        usual_limit_at = now_seconds + self._idle_seconds
                        limit_at = usual_limit_at if usual_limit_at < end_at else end_at
                    if limit_at <= now_seconds or limit_at < alarms.rings_at_seconds:
                        alarm.arm(limit_at, now_seconds)
                    elif (waiter := current_task(loop)) is not None:
                        # what `arm` would do, without the call: this is done for every piece
                        alarm.waiter = waiter
                        alarm.waiter_cancelling = waiter.cancelling()
                        alarm.at_seconds = limit_at
                alarm.disarm()
            except BaseException as exc:
                alarm.disarm_after(exc)
                raise
        except TimeoutError as exc:
            raise LLMTimeout(caller_deadline_was_shorter=limit_at < usual_limit_at) from exc
        finally:
            alarm.stop()
            await events.aclose()

    def _first_text_limit(self, context: ChatRequestContext, now_seconds: float) -> float:
        end_at = min(context.first_text_by.at_seconds, context.whole_by.at_seconds)
        left_seconds = end_at - now_seconds
        if not context.has_fallback or left_seconds < _LEAST_TO_SHARE * self._kept_back_seconds:
            return end_at
        return now_seconds + min(
            self._first_token_seconds,
            self._first_token_share * left_seconds,
            left_seconds - self._kept_back_seconds,
        )
