"""Reads from an answer's log where another process ended."""

from dataclasses import dataclass, field

from domain.entities.background.log import Asked, Concluded, Restarted, TakenOver, is_event
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import ProviderSelected
from domain.interfaces.telemetry import LOST
from domain.use_cases.record_answer import AnswerRecorder


@dataclass(slots=True)
class ResumedLog:
    """The state of an answer, read from its log.

    Attributes:
        attempts: Calls of providers that ended.
        lost: The call that was running when its process ended, if any; the log does not contain its end.
        is_shown: Readers have seen a part of the answer that is not void.
        outcome: The outcome, if it was decided; else None.
    """

    attempts: list[Attempt] = field(default_factory=list)
    lost: Attempt | None = None
    is_shown: bool = False
    outcome: Interaction | None = None

    @classmethod
    def of(
        cls, taken: TakenOver, recorder: AnswerRecorder, *, now_milliseconds: int
    ) -> "ResumedLog":
        """Return the state in the log, and add its events to `recorder`.

        Args:
            taken: The answer.
            recorder: Of this process; without events so far.
            now_milliseconds: The current time, since 1970 UTC.
        """
        resumed = cls()
        asked: ProviderSelected | None = None
        for record in taken.records:
            match record:
                case Attempt():
                    resumed.attempts.append(record)
                    asked = None
                case Asked():
                    asked = record.selected
                    recorder.add(asked)  # not with its event, which follows records of its own
                case Concluded():
                    resumed.outcome = record.interaction
                case Restarted():
                    recorder.discard()
                    resumed.is_shown = False
                case Interaction():
                    resumed.outcome = record
                case ProviderSelected():
                    resumed.is_shown = True
                case _:
                    recorder.add(record)
                    resumed.is_shown = resumed.is_shown or is_event(record)
        if asked is not None:
            milliseconds = max(0, now_milliseconds - taken.last_written_milliseconds)
            resumed.lost = Attempt(
                provider=asked.provider,
                model=asked.model,
                outcome=LOST,
                seconds=milliseconds / 1000,
            )
        return resumed
