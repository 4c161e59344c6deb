"""Splitting text into words for search, and the form in which words are compared."""

import unicodedata

MAX_SEARCH_CHARACTERS = 256
"""Maximum length of a search text."""

MAX_WORD_CHARACTERS = 3 * MAX_SEARCH_CHARACTERS
"""Maximum length of a normalised search word: NFC turns one character into at most three."""

# The diacritics that the unicode61 tokenizer of FTS5 removes as well.
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
    """Return the words of the texts in normalised form.

    A word is a run of letters, digits and combining marks. Case is ignored, and so are accents on the letters a to z.
    Canonically equivalent texts have the same words, composed or decomposed. There are no language-specific rules:
    `ß`, `ł` and `ø` are separate letters, and text written without spaces is one long word.
    """
    composed = unicodedata.normalize("NFC", " ".join(texts))
    return frozenset(composed.translate(_FOLDED).split())


def words_of_decomposed(word: str) -> frozenset[str]:
    """Return the words under which `word` is found in an index of decomposed text.

    Earlier versions indexed text without composing it: `й` stored as two characters is indexed as `и`, and a Hangul
    syllable as its letters.
    """
    return frozenset(unicodedata.normalize("NFD", word).translate(_FOLDED).split())


def is_in_words(character: str) -> bool:
    """Return whether the character may be part of a word."""
    category = unicodedata.category(character)
    # Most characters that are still unassigned will become letters.
    return category[0] in "LNM" or category == "Cn"


class _Folding(dict[int, str]):
    """Translation table from characters to their normalised form, and from separators to a space; filled on demand."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _folded(chr(code))
        return folded


def _folded(character: str) -> str:
    if not is_in_words(character):
        return " "
    if ord(character) in _ACCENTS:  # a combining mark of the letter before it
        return ""
    decomposed = unicodedata.normalize("NFD", character)
    base, marks = decomposed[0], decomposed[1:]
    if base.isascii() and all(ord(mark) in _ACCENTS for mark in marks):
        return base.lower()
    if character == "\N{LATIN SMALL LETTER DOTLESS I}":
        return character
    # Through the capital, since some letters, such as the Greek sigma, have two lower-case forms.
    capital = character.upper()
    return (capital if len(capital) == 1 else character).lower()


_FOLDED = _Folding()
