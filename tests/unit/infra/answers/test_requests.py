"""The requests of logs that are being read are kept in memory, up to a size."""

from domain.entities.background.answer import BackgroundAnswer
from infra.answers.requests import MAX_BYTES, RequestCache
from tests.fakes.interactions import an_interaction

ANSWERS = [BackgroundAnswer(interaction=an_interaction(number)) for number in range(4)]


def test_the_requests_that_were_read_last_are_kept() -> None:
    cache = RequestCache()
    for answer in ANSWERS[:3]:
        cache.keep(answer, MAX_BYTES // 3)
    assert cache.get(ANSWERS[0].key) is ANSWERS[0]
    cache.keep(ANSWERS[3], MAX_BYTES // 3)
    assert [cache.get(answer.key) is not None for answer in ANSWERS] == [True, False, True, True]


def test_a_request_that_is_too_long_is_not_kept_and_removes_no_other() -> None:
    cache = RequestCache()
    cache.keep(ANSWERS[0], MAX_BYTES)
    cache.keep(ANSWERS[1], MAX_BYTES + 1)
    assert cache.get(ANSWERS[0].key) is ANSWERS[0]
    assert cache.get(ANSWERS[1].key) is None


def test_what_is_dropped_or_kept_again_leaves_its_room() -> None:
    cache = RequestCache()
    for _ in range(5):
        cache.keep(ANSWERS[0], MAX_BYTES)
    cache.drop(ANSWERS[0].key)
    cache.drop(ANSWERS[0].key)
    cache.keep(ANSWERS[1], MAX_BYTES // 2)
    cache.keep(ANSWERS[2], MAX_BYTES // 2)
    assert [cache.get(answer.key) is not None for answer in ANSWERS] == [False, True, True, False]
