"""The search over all conversations in the console, in a real browser before the real service."""

from playwright.sync_api import Browser, Locator, expect

from tests.e2e.console_page import ConsolePage, console_page
from tests.support.service import Service


def field(console: ConsolePage) -> Locator:
    return console.page.get_by_role("searchbox", name="Search conversations")


def hits(console: ConsolePage) -> Locator:
    return console.page.locator(".hits a")


def sidebar(console: ConsolePage) -> Locator:
    return console.page.locator(".sidebar")


def test_words_are_found_in_all_conversations_and_marked(console: ConsolePage) -> None:
    console.put("Como está a conexão?", "And the weather?", conversationId="one")
    console.put("A conexao again", conversationId="two")
    console.put("conexão of no conversation")
    console.open()
    conversations = console.page.locator(".conversations")
    expect(conversations.locator("li")).to_have_count(2)
    field(console).fill("CONEXAO")
    expect(hits(console)).to_have_count(3)
    assert hits(console).locator("mark").all_inner_texts() == ["conexão", "conexao", "conexão"]
    expect(conversations).to_be_hidden()
    expect(console.page.locator("#announcer")).to_have_text("3 turns found")
    assert console.violations() == []
    field(console).fill("conexao nowhere")
    expect(sidebar(console)).to_contain_text("Only whole words are found")
    field(console).press("Escape")
    expect(field(console)).to_have_value("")
    expect(conversations.locator("li")).to_have_count(2)
    expect(hits(console)).to_have_count(0)


def test_a_word_of_an_answer_is_shown_where_it_is(console: ConsolePage) -> None:
    console.put("How is it?", conversationId="talk")
    console.open()
    field(console).fill("well")
    field(console).press("Enter")
    expect(hits(console).locator(".hit-question")).to_have_text("How is it?")
    expect(hits(console).locator(".hit-answer mark")).to_have_text("well")


def test_a_hit_opens_its_conversation_at_that_turn(console: ConsolePage) -> None:
    questions = [f"question {number}" for number in range(140)]
    questions[3] = "the needle"
    console.put(*questions, conversationId="talk")
    console.put("something else", conversationId="other")
    console.open("#/chat/other")
    field(console).fill("needle")
    hits(console).press("Enter")
    found = console.turns.filter(has_text="the needle")
    expect(found).to_be_in_viewport()
    expect(found).to_be_focused()
    expect(console.page.locator("[aria-current=true]")).to_have_attribute("data-id", "talk")
    console.page.get_by_role("button", name="To the latest").click()
    expect(found).not_to_be_in_viewport()
    hits(console).click()
    expect(found).to_be_in_viewport()


def test_a_hit_on_another_branch_shows_that_branch(console: ConsolePage) -> None:
    console.open()
    console.asked("one")
    console.asked("the needle")
    console.asked("after it")
    console.turns.nth(1).get_by_role("button", name="Edit the question").click()
    console.page.get_by_role("textbox", name="Edit the question").fill("something else")
    console.page.keyboard.press("Enter")
    expect(console.turns).to_have_count(2)
    expect(console.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    console.page.reload()
    expect(console.turns.nth(1)).to_contain_text("something else")
    field(console).fill("needle")
    hits(console).click()
    expect(console.turns).to_have_count(3)
    expect(console.turns.nth(1)).to_be_focused()
    expect(console.turns.nth(1)).to_contain_text("the needle")


def test_an_address_with_a_turn_can_be_shared_also_of_one_that_was_erased(
    console: ConsolePage,
) -> None:
    console.put("one", "two", conversationId="talk")
    newest, oldest = console.kept()
    console.open(f"#/chat/talk/{oldest['id']}")
    expect(console.turns.first).to_be_focused()
    gone = newest["id"][:-1] + ("0" if newest["id"][-1] != "0" else "1")
    console.page.goto("/#/overview")
    console.page.goto(f"/#/chat/talk/{gone}")
    expect(console.turns).to_have_count(2)


def test_more_than_a_page_is_found_page_by_page(console: ConsolePage) -> None:
    console.put(*(f"needle {number}" for number in range(25)), conversationId="talk")
    console.open()
    field(console).fill("needle")
    expect(hits(console)).to_have_count(20)
    expect(sidebar(console)).to_contain_text("20 turns shown")
    sidebar(console).get_by_role("button", name="Show more").click()
    expect(hits(console)).to_have_count(25)
    expect(sidebar(console)).to_contain_text("25 turns found")


def test_a_narrow_window_searches_in_the_drawer(browser: Browser, service: Service) -> None:
    with console_page(
        browser, service, viewport={"width": 390, "height": 700}, locale="pt-BR"
    ) as console:
        console.put("one", "the needle", "three", conversationId="talk")
        console.open()
        console.page.get_by_role("button", name="Conversas").click()
        console.page.get_by_role("searchbox", name="Buscar nas conversas").fill("needle")
        expect(hits(console)).to_have_count(1)
        assert console.violations() == []
        hits(console).click()
        expect(console.page.get_by_role("dialog")).to_have_count(0)
        expect(console.turns.nth(1)).to_be_focused()


def test_a_failed_search_is_told_and_tried_again(console: ConsolePage) -> None:
    console.put("the needle", conversationId="talk")
    console.open()
    console.page.route("**/v1/history/*?*q=*", lambda route: route.abort())
    field(console).fill("needle")
    problem = sidebar(console).get_by_role("alert")
    expect(problem).to_contain_text("cannot be reached")
    console.page.unroute("**/v1/history/*?*q=*")
    problem.get_by_role("button", name="Try again").click()
    expect(hits(console)).to_have_count(1)
