"""Takes what was erased out of the pages of the index of words."""

from dataclasses import dataclass, field

import apsw

MERGED_PAGES = 64
"""At once: some milliseconds, behind which a chat's commit may wait."""

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
    """A step of it; run it again until it `is_finished`.

    FTS5 marks deleted words, and drops them where it merges the oldest part of its index. To take each out at once
    (its `secure-delete`) costs 2 to 5 ms an interaction, in which nothing else is written; to merge all of the index
    now and then costs less than to build it, in steps between which chats go on.

    Attributes:
        is_finished: Nothing was to be done, or all is.
    """

    is_finished: bool = field(default=False, init=False)
    size_bytes: int = field(default=0, init=False)
    _wanted: int = field(default=0, init=False)

    def run(self, connection: apsw.Connection) -> None:
        pages = MERGED_PAGES
        if not self._wanted:
            self._wanted = connection.execute("SELECT wanted FROM purge").get
            pages = -pages  # once, to make all parts of the index one
        if self._wanted:
            before = connection.total_changes()
            connection.execute(_MERGE, (pages,))
            if connection.total_changes() - before >= 2:
                return
            connection.execute("UPDATE purge SET wanted = wanted - ?", (self._wanted,))
        self.is_finished = True
