"""What a load was answered, kept on disk by whoever sent it: the one record that the service has no hand in."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request and what became of it.

    Attributes:
        prompt: Occurs once in a ledger.
        sent_seconds: Monotonic time at which it was sent.
        seconds: Until the answer's last byte, or until it broke.
        status: Of the answer; 0 when there was none, or when it broke off.
        problem: The slug of a problem; empty when there was none.
        interaction_id: As the answer named it; empty when it named none.
        text_bytes: How much text of the model was received.
        is_done: Whether the answer was received whole: a plain one to its end, a streamed one with its `done`.
    """

    user_id: str
    prompt: str
    sent_seconds: float
    seconds: float
    status: int
    problem: str = ""
    interaction_id: str = ""
    text_bytes: int = 0
    is_done: bool = False

    @property
    def is_acknowledged(self) -> bool:
        """Whether the client may now rely on finding it in its history."""
        return self.status == 200 and self.is_done


class Ledger:
    """A file of entries, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entry: Entry) -> None:
        """Add `entry` at the end."""
        with self.path.open("ab") as file:
            file.write(orjson.dumps(dataclasses.asdict(entry)) + b"\n")

    def read(self) -> list[Entry]:
        """Return every entry, in the order in which the answers came."""
        if not self.path.exists():
            return []
        return [Entry(**orjson.loads(line)) for line in self.path.read_bytes().splitlines()]


def share_of_200s(entries: list[Entry]) -> float:
    """Return how many of them were acknowledged, from 0.0 to 1.0."""
    return sum(entry.is_acknowledged for entry in entries) / len(entries)


def quantile_milliseconds(entries: list[Entry], share: float) -> int:
    """Return how long the acknowledged ones took, at this share of them."""
    seconds = sorted(entry.seconds for entry in entries if entry.is_acknowledged)
    return round(seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1000)
