"""Every Mermaid diagram of the documents is drawn by a browser, as a forge draws it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.docs.markdown import blocks, documents
from tests.e2e.browser import fresh_page, running_browser

MERMAID = Path(__file__).parent / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
DIAGRAMS = [
    pytest.param(block.text, id=f"{document}-{number}")
    for document in documents()
    for number, block in enumerate(
        (block for block in blocks(document) if block.language == "mermaid"), start=1
    )
]
DRAW = """async (text) => {
    mermaid.initialize({startOnLoad: false, securityLevel: 'strict'});
    document.body.innerHTML = (await mermaid.render('diagram', text)).svg;
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if not MERMAID.is_file():
        pytest.skip("mermaid is not installed: npm ci in tests/docs")
    with running_browser() as browser, fresh_page(browser, "about:blank") as (page, errors):
        page.set_content("<html><body></body></html>")
        page.add_script_tag(path=MERMAID)
        yield page
        assert errors == []


def test_the_three_pictures_are_there() -> None:
    for document in ("docs/architecture.md", "docs/aws.md", "README.md", "README.pt-BR.md"):
        assert any(block.language == "mermaid" for block in blocks(document)), document


@pytest.mark.slow
@pytest.mark.parametrize("text", DIAGRAMS)
def test_a_diagram_is_drawn_with_all_its_texts(page: Page, text: str) -> None:
    page.evaluate(DRAW, text)
    drawing = page.locator("svg#diagram")
    assert drawing.count() == 1
    assert "syntax error" not in (drawing.text_content() or "").lower()
    box = drawing.bounding_box()
    assert box is not None
    assert box["width"] > 100
    assert box["height"] > 50


@pytest.mark.slow
def test_a_diagram_with_a_mistake_is_noticed(page: Page) -> None:
    with pytest.raises(Exception, match="Parse error"):
        page.evaluate(DRAW, "flowchart LR\n    a --> [\n")
