"""Searching by words: what every store finds, and what it does not."""

# ruff: noqa: RUF001 - words that look alike are what is tested

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.words import words_of
from domain.interfaces.history import HistoryRepository
from tests.contracts.history_stores import FORGETS_WHAT_BEGAN, STORES
from tests.contracts.history_walks import EVERY_STATUS, FILTERS, asking, mixed, passes, walk
from tests.fakes.canonical_forms import TEXTS, forms_of
from tests.fakes.interactions import an_id, an_interaction, begin


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    async with STORES[request.param](tmp_path) as history:
        yield history


def interaction_with(number: int, prompt: str, text: str = "", **changes: object) -> Interaction:
    return an_interaction(number, prompt=Prompt.from_text(prompt), text=text, **changes)


async def found(history: HistoryRepository, q: str, **changes: object) -> list[int]:
    """Return the numbers of what is found, oldest first."""
    asked = {"statuses": EVERY_STATUS, "order": Order.ASC, **changes}
    walked = await walk(history, asking(words=words_of(q), **asked))
    return [int(one.id[-12:], 16) for one in walked]


SAID = [
    interaction_with(0, "What is an Event Loop?", "It waits for events, and calls back."),
    interaction_with(1, "Où est le café ?", "Près de l’église, à gauche."),
    interaction_with(2, "Ação, coração e pão", "ÀÉÎÕÜ ñ ç Å"),
    interaction_with(
        3, "snake_case and kebab-case, don't", "foo.bar(baz); a+b=c; mail@example.org"
    ),
    interaction_with(4, "Straße, Łódź, smørrebrød", "ß ł ø"),
    interaction_with(5, "東京タワー 日本語", "한국어 좋아요"),
    interaction_with(6, "Hallo🤔Welt 👍🏽 🏳️‍🌈", "🦩flamingo"),
    interaction_with(7, "ΟΔΟΣ και οδός", "Привет, МИР"),
    interaction_with(8, "e\u0301te\u0301 decomposed", "İstanbul ırmak"),
    interaction_with(9, "NEAR OR AND NOT", "x" * 300 + " 12345 3.14"),
    interaction_with(10, "हिन्दी भाषा", "שָׁלוֹם עולם"),
    interaction_with(
        11, "a\0nul \ufffe \uf8ffprivate\uf8ffuse", "zero\u200bwidth soft\u00adhyphen"
    ),
    interaction_with(12, "nothing came of it", "", status=Status.FAILED),
]

SEARCHES = {
    "event": [0],
    "EVENT": [0],
    "events": [0],
    "even": [],
    "vent": [],
    "event waits": [0],
    "waits event": [0],
    "event event": [0],
    "event missing": [],
    "cafe": [1],
    "CAFÉ": [1],
    "cafe\u0301": [1],
    "pres eglise": [1],
    "l eglise": [1],
    "coracao acao": [2],
    "aeiou n c a": [2],
    "snake": [3],
    "case": [3],
    "kebab-case": [3],
    "don t": [3],
    "foo bar baz": [3],
    "example.org": [3],
    "ple": [],
    "straße": [4],
    "STRASSE": [],
    "łodz": [4],
    "lodz": [],
    "smørrebrød": [4],
    "東京タワー": [5],
    "東京": [],
    "日本語": [5],
    "한국어": [5],
    "한국": [],
    "hallo": [6],
    "hallo welt": [6],
    "flamingo": [6],
    "οδος": [7],
    "οδός": [7],
    "привет мир": [7],
    "ete": [8],
    "été decomposed": [8],
    "istanbul": [8],
    "ırmak": [8],
    "irmak": [],
    "near or and not": [9],
    "x" * 256: [],
    "12345": [9],
    "3.14": [9],
    "314": [],
    "हिन्दी": [10],
    "שָׁלוֹם": [10],
    "nul": [11],
    "private use": [11],
    "width hyphen": [11],
    "came nothing": [12],
    '"event': [0],
    "even*": [],
    "ev*": [],
    "-event": [0],
    "event -waits": [0],
    "event NOT waits": [],
    "event OR nothing": [],
    "NEAR(event loop)": [],
    "^event": [0],
    "words:event": [],
    "prompt : event": [],
    '" OR 1=1 --': [],
    "event'; DROP TABLE interaction; --": [],
    '{"$gt": ""}': [],
    "\uf8ff616e61 event": [],
    "616e61": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("is_stored_before", [True, False], ids=["at once", "one by one"])
async def test_words_are_found_whole(history: HistoryRepository, is_stored_before: bool) -> None:
    if is_stored_before:
        await history.append_many(SAID)
    else:
        for one in reversed(SAID):
            await history.append(one)
    for q, expected in SEARCHES.items():
        assert await found(history, q) == expected, q


@pytest.mark.slow
@pytest.mark.seen("E2")
@pytest.mark.parametrize("is_stored_before", [True, False], ids=["at once", "one by one"])
async def test_a_text_is_found_by_every_canonically_equivalent_one(
    history: HistoryRepository, is_stored_before: bool
) -> None:
    kept: list[Interaction] = []
    numbers: dict[str, list[int]] = {}
    for text in TEXTS:
        for form in forms_of(text):
            numbers.setdefault(text, []).append(len(kept))
            kept.append(
                interaction_with(len(kept), form, "")
                if len(kept) % 2
                else interaction_with(len(kept), "?", form)
            )
    if is_stored_before:
        await history.append_many(kept)
    else:
        for one in kept:
            await history.append(one)
    for text, expected in numbers.items():
        for form in forms_of(text, seed=2):
            assert await found(history, form) == expected, ascii(form)
    assert await walk(history, asking(statuses=EVERY_STATUS, order=Order.ASC)) == kept
    for form in forms_of("ЧЕЙ ЙОГУРТ"):
        assert await found(history, form) == numbers["Чей йогурт, ёж"]
    for q in ("и", "Чеи", "か", "하", "ανθρωπος"):
        assert await found(history, q) == [], q


@pytest.mark.slow
@pytest.mark.seen("E2")
async def test_random_texts_are_found_by_every_canonically_equivalent_one(
    history: HistoryRepository,
) -> None:
    chance = Random(7)
    # Some capitals are younger than the tokenizer of SQLite's index, and keep their case there.
    alphabet = [
        character
        for character in map(chr, range(0x20, 0x2FA20))
        if unicodedata.category(character) not in ("Cs", "Cc", "Cn", "Co", "Lu")
    ]
    special = [
        one
        for one in alphabet
        if unicodedata.normalize("NFD", one) != one or unicodedata.combining(one)
    ]
    texts = [
        "".join(chance.choices(special, k=4) + chance.choices(alphabet, k=3)) + f" n{number}"
        for number in range(40)
    ]
    await history.append_many(
        [
            interaction_with(number, chance.choice(forms_of(text)))
            for number, text in enumerate(texts)
        ]
    )
    for number, text in enumerate(texts):
        form = chance.choice(forms_of(text, seed=3))
        assert await found(history, form) == [number], ascii(form)


@pytest.mark.seen("E2")
async def test_decomposed_texts_that_are_replaced_or_erased_leave_nothing_behind(
    history: HistoryRepository,
) -> None:
    await history.append(interaction_with(1, "и\u0306огурт", status=Status.INTERRUPTED))
    assert await found(history, "йогурт") == [1]
    await history.append(interaction_with(1, "и\u0306огурт", "то\u0301лько и\u0306од"))
    await history.append(interaction_with(1, "и\u0306огурт", status=Status.INTERRUPTED))
    assert await found(history, "йогурт йод только") == [1]
    await history.append(interaction_with(2, "и\u0306од", status=Status.INTERRUPTED))
    await history.append(interaction_with(2, "composed", "йод"))
    assert await found(history, "йод") == [1, 2]
    await history.erase("ana", an_id(1))
    assert await found(history, "йод") == [2]
    assert await found(history, "йогурт") == []
    await history.append(interaction_with(3, "и\u0306од", user_id="bob"))
    await history.erase_all("ana", an_id(5))
    assert await found(history, "йод") == []
    assert await found(history, "йод", user_id="bob") == [3]


async def test_nobody_finds_someone_elses(history: HistoryRepository) -> None:
    await history.append(interaction_with(1, "a secret word"))
    await history.append(interaction_with(2, "another word", user_id="bob"))
    spoof = f"\uf8ff{b'ana'.hex()} {b'ana'.hex()} secret"
    await history.append(interaction_with(3, spoof, user_id="bob"))
    assert await found(history, "secret") == [1]
    assert await found(history, "word") == [1]
    assert await found(history, "word", user_id="bob") == [2]
    assert await found(history, "secret", user_id="bob") == [3]
    assert await found(history, "word", user_id="an") == []
    assert await found(history, b"ana".hex(), user_id="bob") == [3]


async def test_only_answered_ones_are_found_unless_asked(history: HistoryRepository) -> None:
    await history.append_many(SAID)
    assert await found(history, "nothing", statuses=frozenset()) == []
    assert await found(history, "nothing", statuses=frozenset({Status.FAILED})) == [12]


@pytest.mark.slow
async def test_a_walk_finds_each_once_and_in_order_while_others_write(
    history: HistoryRepository,
) -> None:
    """One store for all filters: filling it costs more than walking it."""

    def spoken(number: int) -> Interaction:
        words = ("often rarely", "often", "never")[number % 3] + (" once" if number == 99 else "")
        return replace(mixed(number), prompt=Prompt.from_text(words))

    before = [spoken(number) for number in range(250)]
    await history.append_many(before[150:])
    await history.append_many(before[:150])
    await history.append_many([replace(spoken(n + 1), user_id="bob") for n in range(60)])

    async def keep_writing() -> None:
        for number in range(1000, 1_000_000):
            await history.append(spoken(number))

    writing = asyncio.create_task(keep_writing())
    try:
        for (number, filters), q in product(enumerate(FILTERS), ("RARELY often", "once")):
            order = list(Order)[number % 2]
            words = words_of(q)
            bounded = {"to_id": an_id(999), **filters}
            walked = await walk(history, asking(order=order, limit=7, words=words, **bounded))
            expected = [
                one for one in before if passes(one, **filters) and one.contains_words(words)
            ]
            assert walked == (expected if order is Order.ASC else expected[::-1]), (filters, q)
            assert not writing.done()
    finally:
        writing.cancel()


@pytest.mark.slow
async def test_one_millisecond_of_many_is_walked_in_order(history: HistoryRepository) -> None:
    """Also where they came in another order."""
    prefix = an_id(5)[:14]
    ids = [f"{prefix}7{n % 4:03x}-8000-{n:012x}" for n in range(40)]
    for interaction_id in ids[::-3] + ids[::-1]:
        await history.append(interaction_with(0, "many at once", id=interaction_id))
    for order in Order:
        for limit in (1, 3, 50):
            walked = await walk(
                history, asking(order=order, limit=limit, words=words_of("once many"))
            )
            assert [one.id for one in walked] == sorted(ids, reverse=order is Order.DESC)


async def test_what_is_erased_is_not_found(history: HistoryRepository) -> None:
    await history.append_many([interaction_with(n, f"common only{n}") for n in range(6)])
    await history.erase("ana", an_id(2))
    assert await found(history, "only2") == []
    assert await found(history, "common") == [0, 1, 3, 4, 5]
    await history.append(interaction_with(2, "common only2"))
    assert await found(history, "common") == [0, 1, 3, 4, 5]
    await history.erase_all("ana", an_id(4))
    assert await found(history, "common") == [5]


async def test_an_outcome_is_found_by_its_own_words(
    history: HistoryRepository, request: pytest.FixtureRequest
) -> None:
    await history.append(interaction_with(1, "asked", status=Status.INTERRUPTED))
    assert await found(history, "asked") == [1]
    await history.append(interaction_with(1, "asked", "answered at last"))
    assert await found(history, "asked last") == [1]
    await history.append(interaction_with(1, "asked", status=Status.INTERRUPTED))
    assert await found(history, "asked last") == [1]
    await history.erase("ana", an_id(1))
    assert await found(history, "asked") == []
    if request.node.callspec.params["history"] not in FORGETS_WHAT_BEGAN:
        begin(
            history, interaction_with(2, "lost", status=Status.INTERRUPTED), lost_after_seconds=-1e9
        )
        async with asyncio.timeout(120):
            while await found(history, "lost") != [2]:
                await asyncio.sleep(0.01)


async def test_long_texts_are_searched_to_their_end(history: HistoryRepository) -> None:
    text = " ".join(f"word{n}" for n in range(60_000))
    await history.append(interaction_with(1, "long", f"{text} needle"))
    await history.append(interaction_with(2, "one word", "y" * 500_000))
    assert await found(history, "needle word31415 long") == [1]
    assert await found(history, "one word") == [2]
