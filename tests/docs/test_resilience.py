"""docs/resilience.md names settings that exist, and leaves their defaults to docs/settings.md."""

import re

from infra.settings import Settings
from tests.docs.markdown import ROOT

TEXT = (ROOT / "docs" / "resilience.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", TEXT))


def test_every_setting_that_is_named_exists() -> None:
    assert len(NAMED) > 5
    assert {name.lower() for name in NAMED} <= set(Settings.model_fields)


def test_no_table_repeats_a_default() -> None:
    assert not re.search(r"^\| `[A-Z_]+` \| [\d.]+ \|", TEXT, flags=re.MULTILINE)
