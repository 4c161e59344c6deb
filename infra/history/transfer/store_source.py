"""A store as the source of a copy."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256

from domain.entities.conversation import ConversationRecord
from domain.entities.copy_progress import Batch, Position
from domain.entities.items import attachments
from domain.entities.stored_record import Record, Tombstone
from domain.exceptions import HistoryDamaged
from domain.interfaces.conversation_records import ConversationRecordReader
from domain.interfaces.history_archive import ArchiveReader
from domain.use_cases.copy_history import CopySource
from infra.history.format.documents import UnreadableDocument, interaction_in
from infra.history.transfer.record_contents import ContentsNotConfigured

_CONVERSATIONS_AT_ONCE = 50
MAX_BATCH_BYTES = 32 * 1024 * 1024
"""Of records and their attachments, so that a batch does not take long."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A record that this program can read.

    Attributes:
        size_bytes: Of the record and its attachments.
    """

    record: Record
    content_ids: Sequence[str]
    size_bytes: int


class StoreSource(CopySource):
    """Yields the stored records unchanged, including fields that this program does not know."""

    def __init__(
        self,
        store: ArchiveReader,
        records: ConversationRecordReader | None = None,
        *,
        has_contents: bool = True,
    ) -> None:
        """Read `store`.

        Args:
            store: The interactions.
            records: The records of conversations, which are yielded last; None leaves them out.
            has_contents: Whether what the interactions refer to can be read.
        """
        self._store = store
        self._records = records
        self._has_contents = has_contents

    async def batches(self, after: Position, at_most: int) -> AsyncGenerator[Batch, None]:
        """Yield the batches after `after`.

        Raises:
            HistoryDamaged: The store contains a record that this program cannot read.
            HistoryUnreadable: The store cannot be read.
            ContentsNotConfigured: An interaction refers to contents, and these cannot be read.
        """
        whole = await self._store.estimated_count()
        gathered: list[_Checked] = []
        size_bytes = 0
        async with aclosing(self._store.pages(after.last_key)) as pages:
            async for page in pages:
                if page.erasures:
                    yield _batch(after, (), whole, page.erasures)
                for record in page.records:
                    gathered.append(checked := _checked(record))
                    if checked.content_ids and not self._has_contents:
                        raise ContentsNotConfigured
                    size_bytes += checked.size_bytes
                    if len(gathered) >= at_most or size_bytes >= MAX_BATCH_BYTES:
                        yield (batch := _batch(after, gathered, whole))
                        after, gathered, size_bytes = batch.position, [], 0
        if gathered:
            yield (batch := _batch(after, gathered, whole))
            after = batch.position
        async for conversations in self._conversations():
            yield replace(_batch(after, (), whole), conversations=conversations)

    async def _conversations(self) -> AsyncGenerator[Sequence[ConversationRecord], None]:
        some: list[ConversationRecord] = []
        if self._records is not None:
            async for record in self._records.all():
                some.append(record)
                if len(some) == _CONVERSATIONS_AT_ONCE:
                    yield some
                    some = []
        if some:
            yield some


def _batch(
    after: Position, checked: Sequence[_Checked], whole: int, erasures: Sequence[Tombstone] = ()
) -> Batch:
    records = [each.record for each in checked]
    done = after.line + len(records)
    last_key = records[-1].key if records else after.last_key
    return Batch(
        records=records,
        digests=[digest_of(record) for record in records],
        content_ids={each.record.key: each.content_ids for each in checked if each.content_ids},
        erasures=erasures,
        position=Position(last_key=last_key, line=done),
        done=done,
        total=max(whole, done),
    )


def digest_of(record: Record) -> bytes:
    """Return the SHA-256 of the stored body."""
    return sha256(record.body).digest()


def _checked(record: Record) -> _Checked:
    try:
        interaction = interaction_in(record)
    except UnreadableDocument as exc:
        raise HistoryDamaged(f"{record.key.interaction_id}: {exc}") from exc
    content_ids = interaction.content_ids
    size_bytes = len(record.body)
    if content_ids:
        for message in interaction.prompt.messages:
            size_bytes += sum([item.size_bytes or 0 for item in attachments(message.items)])
    return _Checked(record, content_ids, size_bytes)
