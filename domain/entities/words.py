"""What a word is, and when two are the same: the one definition for whatever searches."""

import unicodedata

MAX_SEARCH_CHARACTERS = 256
"""What is searched for is no longer than that."""

MAX_WORD_CHARACTERS = 3 * MAX_SEARCH_CHARACTERS
"""No word of it is longer: a character becomes three at the most when it is composed canonically."""

# Those that FTS5's unicode61 takes off as well.
_ACCENTS = frozenset(
    [
        *range(0x300, 0x305),
        *range(0x306, 0x30D),
        *(0x30F, 0x311, 0x31B),
        *range(0x323, 0x329),
        *(0x32D, 0x32E, 0x330, 0x331),
    ]
)


def words_of(*texts: str) -> frozenset[str]:
    """Return the words of the texts, in the form in which they are compared.

    A word is a run of letters, digits and the marks on them. Case does not count, and on the letters a to z neither
    do accents. Canonically equivalent texts have the same words, whether composed or decomposed. Nothing is known of
    languages: `ß`, `ł` and `ø` are letters of their own, and what is written without spaces is one long word.
    """
    composed = unicodedata.normalize("NFC", " ".join(texts))
    return frozenset(composed.translate(_FOLDED).split())


def words_of_decomposed(word: str) -> frozenset[str]:
    """Return under which words `word` is found in an index made of decomposed text as it stands.

    Indexes of earlier versions are: there `й` stands under `и` where it was stored as two characters, and a Hangul
    syllable under its letters.
    """
    return frozenset(unicodedata.normalize("NFD", word).translate(_FOLDED).split())


def is_in_words(character: str) -> bool:
    """Return whether the character is a part of a word."""
    category = unicodedata.category(character)
    # what is not assigned yet mostly becomes a letter
    return category[0] in "LNM" or category == "Cn"


class _Folding(dict[int, str]):
    """Maps each character to how it is compared; what is no part of a word to a space. Filled as it is used."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _folded(chr(code))
        return folded


def _folded(character: str) -> str:
    if not is_in_words(character):
        return " "
    if ord(character) in _ACCENTS:  # one by itself belongs to the letter before it
        return ""
    decomposed = unicodedata.normalize("NFD", character)
    base, marks = decomposed[0], decomposed[1:]
    if base.isascii() and all(ord(mark) in _ACCENTS for mark in marks):
        return base.lower()
    if character == "\N{LATIN SMALL LETTER DOTLESS I}":
        return character
    # By way of the capital, since some have two small letters, as the Greek sigma has.
    capital = character.upper()
    return (capital if len(capital) == 1 else character).lower()


_FOLDED = _Folding()
