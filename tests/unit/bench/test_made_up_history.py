"""The history that `bench.scale` makes up is as it says."""

from collections import Counter

from bench.scale.data import LARGE_USER, MEASURED_USER, MadeUpHistory


def test_ids_grow_with_time_and_everybody_has_their_share() -> None:
    history = MadeUpHistory(60_000)
    ids = [history.id_of(number) for number in range(history.count)]
    assert ids == sorted(set(ids))
    rows = Counter(history.user_of(number) for number in range(history.count))
    assert rows[MEASURED_USER] == 10_000
    assert 5_000 <= rows[LARGE_USER] <= 6_000
    assert {rows[user] for user in rows if user.startswith("user-")} <= set(range(1, 101))


def test_a_small_one_is_all_of_the_measured_users_and_the_same_each_time() -> None:
    first, again = MadeUpHistory(100), MadeUpHistory(100)
    everything = [first.interaction(number) for number in range(100)]
    assert everything == [again.interaction(number) for number in range(100)]
    assert {one.user_id for one in everything} == {MEASURED_USER}
