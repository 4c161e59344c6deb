"""Links of the documents lead to files and headings that exist."""

import re

import pytest

from tests.docs.markdown import ROOT, documents

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the name under which a forge links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", documents())
def test_every_link_leads_to_a_file_and_heading_that_exist(document: str) -> None:
    file = ROOT / document
    for target, heading in _LINK.findall(_FENCED.sub("", file.read_text(encoding="utf-8"))):
        linked = file.parent / target if target else file
        assert linked.exists(), target
        if heading:
            text = _FENCED.sub("", linked.read_text(encoding="utf-8"))
            assert heading in set(map(anchor, _HEADING.findall(text))), f"{target}#{heading}"
