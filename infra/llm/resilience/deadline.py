"""Bounds how long an attempt may be silent, and how long it may take."""

from collections.abc import AsyncGenerator

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import CALL_PROGRESS, WORDS, AnswerEvent
from domain.exceptions import LLMTimeout
from domain.interfaces.clock import Clock
from domain.interfaces.llm_client import LLMClient
from domain.timing.shared_timer import SharedTimer, Timeout

_TIMER_DELAY_FACTOR = 1.05  # timers fire late
_MIN_SHARES = 1.5  # a third for this route, two thirds for the next


class Deadline(LLMClient):
    """Bounds the silence of one route: until its first text, and between later events.

    Only waiting for the route counts, not the time a consumer spends on an event.
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
            clock: The clock of the request's deadlines.
            first_token_seconds: Limit until the first text while a fallback is left. Without a fallback, the route has
                all the time of the request.
            first_token_share: The same limit as a share of the remaining time, where that is less.
            min_attempt_seconds: The shortest attempt at a fallback; this much is reserved for it. Where hardly more
                remains, there will be no fallback, and the route has all of it.
            idle_seconds: Limit after the first text; reasoning and progress end a silence as text does.
        """
        self._inner = inner
        self._clock = clock
        self._first_token_seconds = first_token_seconds
        self._first_token_share = first_token_share
        self._reserved_seconds = _TIMER_DELAY_FACTOR * min_attempt_seconds
        self._idle_seconds = idle_seconds
        self._timer = SharedTimer(clock)

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        monotonic = self._clock.monotonic
        now_seconds = monotonic()
        usual_limit_at = now_seconds + self._first_token_seconds
        limit_at = self._first_text_limit(context, now_seconds)
        end_at = context.answer_deadline.at_seconds
        has_text = False
        timeout = Timeout(self._timer)
        events = self._inner.stream(prompt, context)
        try:
            try:
                timeout.start(limit_at, now_seconds)
                async for event in events:
                    timeout.end()
                    yield event
                    now_seconds = monotonic()
                    if has_text or isinstance(event, WORDS) or event is CALL_PROGRESS:
                        has_text = True
                        usual_limit_at = now_seconds + self._idle_seconds
                        limit_at = usual_limit_at if usual_limit_at < end_at else end_at
                    elif (silence_seconds := context.longest_silence_seconds) is not None:
                        limit_at = min(max(limit_at, now_seconds + silence_seconds), end_at)
                    timeout.start(limit_at, now_seconds)
                timeout.end()
            except BaseException as exc:
                timeout.end_after(exc)
                raise
        except TimeoutError as exc:
            raise LLMTimeout(caller_deadline_was_shorter=limit_at < usual_limit_at) from exc
        finally:
            timeout.close()
            await events.aclose()

    def _first_text_limit(self, context: ChatRequestContext, now_seconds: float) -> float:
        end_at = min(context.first_text_deadline.at_seconds, context.answer_deadline.at_seconds)
        left_seconds = end_at - now_seconds
        if not context.has_fallback or left_seconds < _MIN_SHARES * self._reserved_seconds:
            silence_seconds = context.longest_silence_seconds
            return end_at if silence_seconds is None else min(end_at, now_seconds + silence_seconds)
        return now_seconds + min(
            self._first_token_seconds,
            self._first_token_share * left_seconds,
            left_seconds - self._reserved_seconds,
        )
