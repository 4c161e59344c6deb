"""The one definition of a word, held against the index that SQLite brings along."""

# ruff: noqa: RUF001 - words that look alike are what is tested

import unicodedata
from collections.abc import Callable

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.entities.words import words_of
from infra.history.sqlite.search.index import tokenizer


def test_words_are_runs_of_letters_and_digits() -> None:
    assert words_of("It's 3.14, isn't_it?", "\u00a1S\u00ed!") == {
        *("it", "s", "3", "14", "isn", "t", "si"),
    }


@pytest.mark.parametrize("text", ["", " ", "?!", "-", "*", "👍🏽", "\u200b", "_", "\uf8ff", "\0"])
def test_what_holds_no_letter_holds_no_word(text: str) -> None:
    assert words_of(text) == frozenset()


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("É", "e", True),
        ("e\u0301", "é", True),
        ("Å", "a", True),
        ("İ", "i", True),
        ("ΣΟΦΟΣ", "σοφος", True),
        ("σοφος", "σοφοσ", True),
        ("МИР", "мир", True),
        ("ß", "ss", False),
        ("ß", "ẞ", True),
        ("ł", "l", False),
        ("ø", "o", False),
        ("ı", "i", False),
        ("й", "и", False),
        ("ά", "α", False),
        ("が", "か", False),
        ("한", "하", False),
    ],
)
def test_case_and_accents_on_a_to_z_do_not_count(one: str, other: str, is_same: bool) -> None:
    assert (words_of(one) == words_of(other)) is is_same


@pytest.fixture(scope="module")
def tokens() -> Callable[[str], set[str]]:
    """Return the tokens of SQLite's index."""
    connection = apsw.Connection(":memory:")
    name, *arguments = tokenizer().split(" ")
    assert name == "unicode61"
    arguments = [one.strip("'") for one in _joined(arguments)]
    of_sqlite = connection.fts5_tokenizer(name, arguments)

    def tokenize(text: str) -> set[str]:
        found = of_sqlite(text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False)
        return {token for tokens in found for token in tokens} - {""}

    return tokenize


def _joined(arguments: list[str]) -> list[str]:
    """Put together again what stands between quotes."""
    joined: list[str] = []
    for one in arguments:
        if joined and joined[-1].count("'") == 1:
            joined[-1] += f" {one}"
        else:
            joined.append(one)
    return joined


@pytest.mark.seen("E2")
@settings(max_examples=300, deadline=None)
@given(
    st.text(
        st.sampled_from(
            "aéöйиёがかハパ한국ㄱ각άΏ\u0301\u0306\u0308\u0323\u3099 ệơợ\u0958\u212b≠=ཀྵ\u01e0"
        )
        | st.characters(),
        max_size=30,
    )
)
def test_canonically_equivalent_texts_have_the_same_words(text: str) -> None:
    composed = words_of(text)
    for form in ("NFC", "NFD"):
        assert words_of(unicodedata.normalize(form, text)) == composed


@pytest.mark.slow
@pytest.mark.seen("E2")
@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_words_stay_what_they_are_when_they_are_indexed_themselves(
    tokens: Callable[[str], set[str]], text: str
) -> None:
    """All but capitals of alphabets younger than the index's tokenizer, which keep their case there."""
    words = words_of(text)
    assert tokens(" ".join(words)) == {token for word in words for token in tokens(word)}
    assert words_of(" ".join(words)) == words


_LATIN = st.characters(max_codepoint=0x24F, exclude_characters="\u01e0\u01e1")


@settings(max_examples=300, deadline=None)
@given(st.text(_LATIN, max_size=60))
def test_sqlite_and_we_agree_on_latin(tokens: Callable[[str], set[str]], text: str) -> None:
    assert tokens(unicodedata.normalize("NFC", text)) == words_of(text)


def test_sqlite_and_we_agree_on_nearly_every_character(tokens: Callable[[str], set[str]]) -> None:
    """All but capitals that came after 2012, and a handful of others, none of which splits a word."""
    differing = []
    for code in range(1, 0x20000):
        character = chr(code)
        if unicodedata.category(character) in ("Co", "Cs", "Cn"):
            continue
        text = f"x{character}y {character}"
        if not unicodedata.is_normalized("NFC", text):
            continue  # such a text is indexed by our words
        theirs, ours = tokens(text), words_of(text)
        if theirs != ours:
            assert len(theirs) == len(ours), f"U+{code:04X}"
            differing.append(character)
    younger = [one for one in differing if unicodedata.category(one) == "Lu"]
    assert len(younger) < 500
    assert len(differing) - len(younger) < 30
    assert min(ord(one) for one in differing) >= 0x1E0, "in common use"
