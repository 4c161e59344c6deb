"""Every line of docs/compatibility.md is held by a test that carries its number, and the other way round."""

import re

from tests.docs.markdown import ROOT


def test_every_line_has_a_test_and_every_test_a_line() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    lines = set(re.findall(r"^\| ([A-Z]\d+) \|", text, flags=re.MULTILINE))
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    marked = {
        line
        for source in sources
        if "mark.seen(" in source
        for line in re.findall(r'"([A-F]\d{1,2})"', source)
    }
    assert lines
    assert lines == marked
