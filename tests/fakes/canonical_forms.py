"""Texts in canonically equivalent forms."""

import unicodedata
from random import Random

TEXTS = [
    "한국어 좋아요",
    "Чей йогурт, ёж",
    "がぎぐ パピプ ヴ",
    "Việt Nam ợ ử ễ",
    "Άνθρωπος ὑπάρχει ᾧ",
    "क़लम ज़मीन",
    "Ǡlamo ǡ",
    "Åre Ångström",
    "שׁלום",
    "ཀྵ་ གྷ",
    "a≠b",
    "café İstanbul ß",
    "豈 更",
]
"""In none of these does the plain form of a letter stand for another text's letter."""


def forms_of(text: str, *, seed: int = 1) -> list[str]:
    """Return the composed and the decomposed form, and some in between: with marks reordered, some letters composed."""
    chance = Random(seed)
    forms = [unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), text]
    for _ in range(3):
        mixed = "".join(
            [
                unicodedata.normalize(chance.choice(("NFC", "NFD")), character)
                for character in forms[0]
            ]
        )
        forms.append(mixed)
    assert len({unicodedata.normalize("NFC", form) for form in forms}) == 1
    return list(dict.fromkeys(forms))
