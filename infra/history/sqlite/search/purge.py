"""Removes the words of erased interactions from the pages of the word index."""

from dataclasses import dataclass, field

import apsw

MERGED_PAGES = 64
"""Pages merged in one step: some milliseconds, for which a chat's commit may wait."""

PURGE = """
CREATE TABLE purge (wanted INTEGER NOT NULL);
INSERT INTO purge VALUES (0);
CREATE TRIGGER one_is_to_be_purged AFTER INSERT ON erased_interaction BEGIN
    UPDATE purge SET wanted = wanted + 1;
END;
CREATE TRIGGER all_is_to_be_purged AFTER INSERT ON erased_user BEGIN
    UPDATE purge SET wanted = wanted + 1;
END;
CREATE TRIGGER more_is_to_be_purged AFTER UPDATE OF before_id ON erased_user BEGIN
    UPDATE purge SET wanted = wanted + 1;
END;
"""

_MERGE = "INSERT INTO said (said, rank) VALUES ('merge', ?)"


@dataclass(slots=True)
class Purging:
    """Merges some pages of the word index; submit it again until it `is_finished`.

    FTS5 marks deleted words, and drops them when it merges the oldest part of its index. Removing each at once (its
    `secure-delete`) costs 2 to 5 ms an interaction, during which nothing else is written. Merging the whole index from
    time to time costs less than building it, and other jobs run between its steps.

    Attributes:
        is_finished: Whether nothing is left to merge.
    """

    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)
    _wanted: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        pages = MERGED_PAGES
        if not self._wanted:
            self._wanted = connection.execute("SELECT wanted FROM purge").get
            pages = -pages  # a negative number starts the merge of all parts into one
        if self._wanted:
            before = connection.total_changes()
            connection.execute(_MERGE, (pages,))
            if connection.total_changes() - before >= 2:
                return
            connection.execute("UPDATE purge SET wanted = wanted - ?", (self._wanted,))
        self.is_finished = True
