"""The writer of `answers.db`."""

from collections.abc import Sequence
from pathlib import Path

from domain.exceptions import HistoryUnavailable
from infra.answers.sqlite.jobs import SCHEMA
from infra.history.sqlite.errors import translate_write_errors
from infra.storage.sqlite.group_commit import Committer
from infra.storage.sqlite.shared_file import FileJob, SharedFile


class AnswerCommitter(Committer[FileJob]):
    """Carries out pending jobs in one transaction. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._file = SharedFile[FileJob](path, SCHEMA)

    def commit(self, batch: Sequence[FileJob]) -> bool:
        try:
            with translate_write_errors():
                return self._file.run(batch)
        except OSError as exc:
            raise HistoryUnavailable("answers.db cannot be made") from exc

    def settle(self) -> None:
        """Do nothing: SQLite moves the write-ahead log on its own."""

    def close(self) -> None:
        self._file.close()
