"""Generated history of many users, realistic for pages, search and statistics."""

from collections.abc import AsyncGenerator, Callable
from itertools import accumulate
from random import Random

from domain.entities.copy_progress import Batch, Position
from domain.entities.interaction import Attempt, Interaction, Status, first_id_at
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, Usage
from domain.use_cases.copy_history import CopySource
from infra.history.format.documents import record_of
from infra.history.transfer.store_source import digest_of

MEASURED_USER = "ana"
MEASURED_ROWS = 10_000
LARGE_USER = "large"
COMMON_WORD = "deployment"
RARE_WORD = "zeppelin"
RARE_PROVIDER = "rare"

_FIRST_MILLISECOND = 1_764_000_000_000
_SPAN_MILLISECONDS = 365 * 24 * 3600 * 1000
_ROWS_A_USER = 100
_ACTIVE_USERS = 500
_VOCABULARY = 20_000
_SENTENCES = 4_000
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "yu",
    "za",
    "bre",
    "cli",
    "dro",
    "stu",
    "tra",
]


class MadeUpHistory(CopySource):
    """Interactions over one year, ordered by time.

    One user has 10 000 of them, or all if there are no more; one has a tenth; the others have a hundred each and are
    active some hundreds at a time, so that the rows of a user are not adjacent.
    """

    def __init__(self, count: int, *, seed: int = 7) -> None:
        self.count = count
        self._random = Random(seed)  # noqa: S311 - made-up text
        self._sentences = self._made_up_sentences()
        self._measured_every = max(1, count // MEASURED_ROWS)

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        for first in range(after.line, self.count, at_most):
            numbers = range(first, min(first + at_most, self.count))
            records = [record_of(self.interaction(number)) for number in numbers]
            yield Batch(
                records=records,
                digests=[digest_of(record) for record in records],
                position=Position(last_key=records[-1].key, line=numbers.stop),
                done=numbers.stop,
                total=self.count,
            )

    def id_of(self, number: int) -> str:
        """Return the id of interaction `number`."""
        time = first_id_at(_FIRST_MILLISECOND + number * _SPAN_MILLISECONDS // self.count)[:13]
        return f"{time}-7{number >> 48 & 0xFFF:03x}-8000-{number & 0xFFFF_FFFF_FFFF:012x}"

    def user_of(self, number: int) -> str:
        """Return the user of an interaction."""
        if number % self._measured_every == 0:
            return MEASURED_USER
        if number % 10 == 1:
            return LARGE_USER
        wave, place = divmod(number, _ACTIVE_USERS * _ROWS_A_USER)
        return f"user-{wave * _ACTIVE_USERS + place % _ACTIVE_USERS}"

    def interaction(self, number: int) -> Interaction:
        """Return interaction `number`; call once for each, in order."""
        draw = self._random.random
        user_id = self.user_of(number)
        of_user = number // self._measured_every if user_id == MEASURED_USER else number
        is_failed = of_user % 50 == 3
        model = "small" if of_user % 4 == 1 else "gemini-3.8-flash"
        provider = RARE_PROVIDER if of_user % 500 == 5 else "gemini"
        seconds = round(0.4 + 3 * draw(), 3)
        words = COMMON_WORD if of_user % 10 == 2 else ""
        if of_user % 500 == 7:
            words = f"{words} {RARE_WORD}"
        text = "" if is_failed else f"{self._text(4)} {words}"
        return Interaction(
            id=self.id_of(number),
            user_id=user_id,
            conversation_id=f"c-{of_user // 10}" if of_user % 3 else None,
            prompt=Prompt.from_text(self._text(1)),
            requested_model=model,
            model=model,
            provider=provider,
            text=text,
            status=Status.FAILED if is_failed else Status.COMPLETED,
            finish_reason=FinishReason.ERROR if is_failed else FinishReason.STOP,
            usage=Usage(
                input_tokens=40,
                output_tokens=len(text) // 4,
                total_tokens=40 + len(text) // 4,
                cost_usd=0.000123,
            ),
            latency_seconds=seconds,
            time_to_first_token_seconds=None if is_failed else round(seconds / 3, 3),
            attempts=(
                Attempt(
                    provider=provider,
                    model=model,
                    outcome="provider-timeout" if is_failed else "ok",
                    seconds=seconds,
                    http_status=None if is_failed else 200,
                ),
            ),
            error="provider-timeout" if is_failed else None,
        )

    def _text(self, sentences: int) -> str:
        pick: Callable[[], float] = self._random.random
        return " ".join([self._sentences[int(pick() * _SENTENCES)] for _ in range(sentences)])

    def _made_up_sentences(self) -> list[str]:
        """Return sentences of 80 to 130 bytes, in which some words are common and most are rare."""
        random = self._random
        words = sorted(
            {
                "".join(random.choices(_SYLLABLES, k=random.randint(1, 4)))
                for _ in range(_VOCABULARY)
            }
        )
        random.shuffle(words)
        weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
        return [
            " ".join(
                random.choices(words, cum_weights=weights, k=random.randint(12, 18))
            ).capitalize()
            + "."
            for _ in range(_SENTENCES)
        ]
