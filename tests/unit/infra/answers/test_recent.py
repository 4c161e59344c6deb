"""A reader in the process that writes is given the last chunk without a read of the store."""

from domain.entities.background.answer import AnswerLease
from domain.entities.background.log import LogPage, LogRecord
from infra.answers.chunks import Chunk, Stored, add
from infra.answers.recent import RecentChunks
from tests.fakes.background_answers import an_answer
from tests.fakes.interactions import an_interaction

ANSWER = an_answer()


async def keep(recent: RecentChunks, lease: AnswerLease, *records: LogRecord) -> None:
    async def put(chunk: Chunk) -> Stored:
        recent.keep(chunk)
        return Stored(chunk.count, chunk.next_number)

    await add(lease, records, put, is_end=not isinstance(records[-1], str))


async def test_the_last_chunk_of_a_watched_log_is_read_from_within() -> None:
    recent, lease = RecentChunks(), AnswerLease(key=ANSWER.key, epoch=1)
    with recent.watch(ANSWER.key):
        assert recent.page(ANSWER, after=-1, limit=10) is None
        await keep(recent, lease, "a", "b")
        assert recent.page(ANSWER, after=-1, limit=10) == LogPage(
            answer=ANSWER, first_number=0, events=("a", "b")
        )
        assert recent.page(ANSWER, after=0, limit=10) == LogPage(
            answer=ANSWER, first_number=1, events=("b",)
        )
        assert recent.page(ANSWER, after=-1, limit=1) == LogPage(
            answer=ANSWER, first_number=0, events=("a",)
        )
        assert recent.page(ANSWER, after=1, limit=10) is None
        await keep(recent, lease, "c")
        assert recent.page(ANSWER, after=0, limit=10) is None  # the store has what is before
        await keep(recent, lease, an_interaction())
        page = recent.page(ANSWER, after=2, limit=10)
        assert page is not None
        assert page.is_ended


async def test_nothing_is_kept_of_logs_without_readers() -> None:
    recent, lease = RecentChunks(), AnswerLease(key=ANSWER.key, epoch=1)
    await keep(recent, lease, "a")
    with recent.watch(ANSWER.key), recent.watch(ANSWER.key):
        assert recent.page(ANSWER, after=-1, limit=10) is None
        await keep(recent, lease, "b")
    with recent.watch(ANSWER.key):
        assert recent.page(ANSWER, after=0, limit=10) is None
        await keep(recent, lease, "c")
        recent.drop(ANSWER.key)
        assert recent.page(ANSWER, after=1, limit=10) is None


async def test_one_of_two_watchers_that_leaves_does_not_disturb_the_other() -> None:
    recent, lease = RecentChunks(), AnswerLease(key=ANSWER.key, epoch=1)
    with recent.watch(ANSWER.key):
        with recent.watch(ANSWER.key):
            await keep(recent, lease, "a")
        assert recent.page(ANSWER, after=-1, limit=10) is not None
