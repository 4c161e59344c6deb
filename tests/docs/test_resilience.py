"""The numbers that docs/resilience.md tells are those of the settings."""

import re

from infra.settings import Settings
from tests.docs.markdown import ROOT

_ROW = re.compile(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", re.MULTILINE)


def test_every_default_is_the_one_that_is_shipped() -> None:
    rows = _ROW.findall((ROOT / "docs/resilience.md").read_text(encoding="utf-8"))
    told = {name.lower(): float(value) for name, value in rows}
    assert told == {name: float(Settings.model_fields[name].default) for name in told}
    resilience = {name for name in Settings.model_fields if name.startswith(("breaker_", "retry_"))}
    assert resilience <= set(told)
