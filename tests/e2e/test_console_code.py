"""Code in the console's answers: its tokens, copying it, and what a long block costs, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from infra.selftest.provider import FaultProvider
from tests.e2e.console_page import ConsolePage, Dictated, console_page
from tests.e2e.slowly import DEFAULT
from tests.support.service import Service


@pytest.fixture
def dictated(provider: FaultProvider) -> Iterator[Dictated]:
    dictated = Dictated()
    provider.override[DEFAULT] = dictated
    yield dictated
    dictated.end()
    del provider.override[DEFAULT]


def answered(console: ConsolePage, dictated: Dictated, text: str) -> Locator:
    """Ask, and return the answer, which is `text`."""
    console.open()
    turn = console.ask("Show me code.")
    dictated.say(text)
    dictated.end()
    expect(turn.locator(".facts")).to_be_visible()
    return turn.locator(".answer > .prose")


def tokens(code: Locator) -> list[tuple[str, str]]:
    """Return the kinds and texts of the tokens of a block."""
    script = """code => [...code.querySelectorAll("[class^=token-]")].map(each => [each.className.slice(6), each.textContent])"""
    return [(kind, text) for kind, text in code.evaluate(script)]


COMMENT, STRING, NUMBER, KEYWORD, NAME = "comment", "string", "number", "keyword", "name"
LANGUAGES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "python": (
        'def f(x): # "no"\n    """two\n    lines"""\n    return f\'{x}\' + 0x1F * 1.5e-3',
        [
            (KEYWORD, "def"),
            (COMMENT, '# "no"'),
            (STRING, '"""two'),
            (STRING, '    lines"""'),
            (KEYWORD, "return"),
            (STRING, "f'{x}'"),
            (NUMBER, "0x1F"),
            (NUMBER, "1.5e-3"),
        ],
    ),
    "js": (
        'const a1 = `x ${1}\n y`; /* c\n d */ a.b("e\\"f"); // g',
        [
            (KEYWORD, "const"),
            (STRING, "`x ${1}"),
            (STRING, " y`"),
            (COMMENT, "/* c"),
            (COMMENT, " d */"),
            (STRING, '"e\\"f"'),
            (COMMENT, "// g"),
        ],
    ),
    "typescript": (
        "interface A { b?: string }",
        [(KEYWORD, "interface"), (KEYWORD, "string")],
    ),
    "json": (
        '{"a": ["b", -1.5e3, null]}',
        [(NAME, '"a"'), (STRING, '"b"'), (NUMBER, "-1.5e3"), (KEYWORD, "null")],
    ),
    "bash": (
        "if [ $A = 'b\nc' ]; then echo \"$D\"; fi # e#f\ncat a#b",
        [
            (KEYWORD, "if"),
            (NAME, "$A"),
            (STRING, "'b"),
            (STRING, "c'"),
            (KEYWORD, "then"),
            (KEYWORD, "echo"),
            (STRING, '"$D"'),
            (KEYWORD, "fi"),
            (COMMENT, "# e#f"),
        ],
    ),
    "sql": (
        "select A from B where c = 'd -- e' -- f",
        [
            (KEYWORD, "select"),
            (KEYWORD, "from"),
            (KEYWORD, "where"),
            (STRING, "'d -- e'"),
            (COMMENT, "-- f"),
        ],
    ),
    "go": (
        "func f() { a := `b\n` + \"c\"; d('\\n') }",
        [(KEYWORD, "func"), (STRING, "`b"), (STRING, "`"), (STRING, '"c"'), (STRING, "'\\n'")],
    ),
    "rust": (
        "fn f<'a>(x: &'a u8) { p!('\\''); r#\"g\"h\"#; 1..2 }",
        [
            (KEYWORD, "fn"),
            (NAME, "'a"),
            (NAME, "'a"),
            (KEYWORD, "u8"),
            (NAME, "p!"),
            (STRING, "'\\''"),
            (STRING, 'r#"g"h"#'),
            (NUMBER, "1"),
            (NUMBER, "2"),
        ],
    ),
    "java": (
        'class A { @Override String b = """\n c""" ; long d = 1_000L; }',
        [
            (KEYWORD, "class"),
            (NAME, "@Override"),
            (STRING, '"""'),
            (STRING, ' c"""'),
            (KEYWORD, "long"),
            (NUMBER, "1_000L"),
        ],
    ),
    "c": (
        "#include \"a.h\"\nint b = 'c'; // d",
        [
            (KEYWORD, "#include"),
            (STRING, '"a.h"'),
            (KEYWORD, "int"),
            (STRING, "'c'"),
            (COMMENT, "// d"),
        ],
    ),
    "c++": (
        "template <class T> auto f(T a);",
        [(KEYWORD, w) for w in ("template", "class", "auto")],
    ),
    "html": (
        '<!-- a\nb --><i class="c">It\'s &lt;</i>',
        [
            (COMMENT, "<!-- a"),
            (COMMENT, "b -->"),
            (KEYWORD, "<i"),
            (NAME, "class"),
            (STRING, '"c"'),
            (KEYWORD, ">"),
            (NUMBER, "&lt;"),
            (KEYWORD, "</i"),
            (KEYWORD, ">"),
        ],
    ),
    "css": (
        "@media x { .a { color: #fff; --b: 2px; } } /* c */",
        [
            (KEYWORD, "@media"),
            (NAME, "color"),
            (NUMBER, "#fff"),
            (NAME, "--b"),
            (NUMBER, "2px"),
            (COMMENT, "/* c */"),
        ],
    ),
    "yaml": (
        "a-b: it's # c\nd: ['e', 1, true]",
        [
            (NAME, "a-b"),
            (COMMENT, "# c"),
            (NAME, "d"),
            (STRING, "'e'"),
            (NUMBER, "1"),
            (KEYWORD, "true"),
        ],
    ),
    "": ("def f(): return 1", []),
    "brainfuck": ("def f(): return 1", []),
    "constructor": ("def f(): return 1", []),
}


def test_tokens_of_each_language_are_marked(console: ConsolePage, dictated: Dictated) -> None:
    text = "\n\n".join(f"```{name}\n{code}\n```" for name, (code, _) in LANGUAGES.items())
    blocks = answered(console, dictated, text).locator(".code code")
    expect(blocks).to_have_count(len(LANGUAGES))
    for (name, (code, expected)), block in zip(LANGUAGES.items(), blocks.all(), strict=True):
        assert block.text_content() == code
        assert (name, tokens(block)) == (name, expected)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_kind_of_token_can_be_read_in_light_and_dark(
    browser: Browser, service: Service, dictated: Dictated, scheme: Any
) -> None:
    with console_page(browser, service, color_scheme=scheme) as console:
        answer = answered(console, dictated, '```python\n# a\n@b\ndef c(): return "d", 1\n```')
        kinds = {kind for kind, _ in tokens(answer.locator("code"))}
        assert kinds == {COMMENT, STRING, NUMBER, KEYWORD, NAME}
        assert console.violations("color-contrast") == []
        assert console.violations() == []


def test_code_is_copied_as_it_came(console: ConsolePage, dictated: Dictated) -> None:
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code = 'all:\n\tgo run "a b"\n\n    # end'
    answer = answered(console, dictated, f"Run:\n\n```make\n{code}\n```\n\n```go\nx := 1\n```")
    button = answer.get_by_role("button", name="Copy code").first
    button.focus()
    console.page.keyboard.press("Enter")
    expect(console.page.locator("#announcer")).to_have_text("Copied")
    expect(button).to_be_focused()
    assert console.page.evaluate("navigator.clipboard.readText()") == code
    answer.get_by_role("button", name="Copy code").last.click()
    expect(button).to_have_text("Copy code")
    console.page.wait_for_function("navigator.clipboard.readText().then(text => text === 'x := 1')")


def test_code_is_marked_while_it_comes_and_its_element_stays(
    console: ConsolePage, dictated: Dictated
) -> None:
    console.open()
    turn = console.ask("Show me code.")
    dictated.say('```python\nif "a')
    code = turn.locator(".answer .code code")
    expect(code).to_have_text('if "a')
    assert tokens(code) == [(KEYWORD, "if"), (STRING, '"a')]
    turn.locator(".answer .code").evaluate("element => (element.isTheSame = true)")
    dictated.say('b": # c\n    """d\ne')
    expect(code).to_have_text('if "ab": # c\n    """d\ne')
    dictated.say('"""\npass\n``')
    expect(code).to_contain_text("pass")
    dictated.say("`\n\nThat is it.")
    expect(turn.locator(".answer > .prose > p")).to_have_text("That is it.")
    assert tokens(code) == [
        (KEYWORD, "if"),
        (STRING, '"ab"'),
        (COMMENT, "# c"),
        (STRING, '"""d'),
        (STRING, 'e"""'),
        (KEYWORD, "pass"),
    ]
    assert turn.locator(".answer .code").evaluate("element => element.isTheSame")


COUNT_TOKENS = """
window.made = 0;
new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]).filter((node) => node.nodeType === Node.ELEMENT_NODE);
  const isToken = "[class^=token-]";
  for (const node of added) window.made += node.matches(isToken) + node.querySelectorAll(isToken).length;
}).observe(document, { subtree: true, childList: true });
"""
"""Counts the tokens that are added to the page."""


def test_lines_that_are_marked_are_not_marked_again(
    console: ConsolePage, dictated: Dictated
) -> None:
    pieces, lines = 20, 10
    console.page.add_init_script(COUNT_TOKENS)
    console.open()
    turn = console.ask("Show me code.")
    dictated.say("```python\n")
    for piece in range(1, pieces + 1):
        dictated.say("return 1\n" * lines)
        expect(turn.locator(".token-keyword")).to_have_count(piece * lines)
    dictated.end()
    expect(turn.locator(".facts")).to_be_visible()
    assert console.page.evaluate("window.made") == 2 * pieces * lines


def test_a_very_long_block_is_marked_bit_by_bit_up_to_a_limit(console: ConsolePage) -> None:
    console.open()
    script = """async () => {
      const { codeBlock } = await import("./console/code_block.js");
      const line = "return 1 # " + "x".repeat(89) + "\\n";
      const block = codeBlock({ language: "python", text: line.repeat(5000) + "y".repeat(3000) });
      document.body.append(block);
      const count = () => block.querySelectorAll(".token-keyword").length;
      const first = count();
      let before = -1;
      while (before !== count()) {
        before = count();
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
      }
      return [first, before, block.querySelector("code").textContent === line.repeat(5000) + "y".repeat(3000)];
    }"""
    first, last, is_whole = console.page.evaluate(script)
    assert is_whole
    assert 0 < first <= 100
    assert 1900 <= last <= 2100


def test_a_found_word_is_marked_within_code_too(console: ConsolePage, dictated: Dictated) -> None:
    answered(console, dictated, '```python\nneedle = "needle" # needle\n```')
    console.page.goto("/#/history")
    search = console.page.get_by_role("searchbox", name="Search", exact=True)
    search.fill("needle")
    search.press("Enter")
    expect(console.items).to_have_count(1)
    console.items.get_by_role("link").click()
    expect(console.page.locator(".detail .code mark")).to_have_text(["needle"] * 3)
    assert console.page.locator(".detail .code code").text_content() == 'needle = "needle" # needle'


def test_arguments_of_a_call_are_marked_as_json(console: ConsolePage) -> None:
    console.put(
        "hello",
        model="gem-healthy",
        conversationId="talk",
    )
    console.open("#/chat/talk")
    script = """async () => {
      const { callView } = await import("./console/turn_items.js");
      return callView({ name: "f", arguments: { city: "Rio" } }).querySelector(".token-name").textContent;
    }"""
    assert console.page.evaluate(script) == '"city"'
