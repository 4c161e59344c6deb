"""The console's history and overview, in a real browser before the real service."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tests.e2e.console_page import ConsolePage, console_page
from tests.support.service import Service

MANY = 500


def search(console: ConsolePage, question: str) -> None:
    console.page.get_by_role("searchbox", name="Search").fill(question)
    console.page.get_by_role("searchbox", name="Search").press("Enter")


def filters(console: ConsolePage) -> Locator:
    """The form of filters, opened."""
    console.page.locator(".filters-more > summary").click()
    return console.page.locator(".filters-body")


def test_the_end_of_500_is_reached_by_scrolling_alone(console: ConsolePage) -> None:
    questions = [f"question {number}" for number in range(MANY)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda first: console.put(*questions[first::4]), range(4)))
    console.open("#/history")
    expect(console.items.first).to_be_visible()
    assert console.items.count() < MANY
    end = console.page.locator(".items-end")
    for page in range(1, MANY // 50 + 1):
        expect(console.items).to_have_count(page * 50)
        end.scroll_into_view_if_needed()
    expect(end).to_contain_text(f"That is all: {MANY} interactions")
    links = console.items.get_by_role("link").evaluate_all("all => all.map(one => one.href)")
    assert len(links) == len(set(links)) == MANY
    ids = [link.rpartition("/")[2] for link in links]
    assert ids == sorted(ids, reverse=True)


def test_a_page_can_be_asked_for_by_keyboard(console: ConsolePage) -> None:
    console.put(*(f"question {number}" for number in range(60)))
    # Nobody scrolls in a window as high as this, and nothing is observed where scripts cannot.
    console.page.add_init_script(
        "delete window.IntersectionObserver; window.IntersectionObserver = class { observe() {} disconnect() {} }"
    )
    console.open("#/history")
    expect(console.items).to_have_count(50)
    console.page.get_by_role("searchbox", name="Search").fill("typed, but not searched for")
    more = console.page.get_by_role("button", name="Show more")
    more.focus()
    more.press("Enter")
    expect(console.items).to_have_count(60)


def test_each_filter_is_the_apis(console: ConsolePage) -> None:
    console.put("one", model="gem-healthy")
    console.put("two", model="alt-healthy", conversationId="talk")
    console.put("three", model="gem-400")
    console.open("#/history")
    expect(console.items).to_have_count(2)  # those with an answer
    form = filters(console)

    def only(expected: list[str]) -> None:
        form.get_by_role("button", name="Apply").click()
        expect(console.items.locator(".item-question")).to_have_text(expected)

    form.get_by_label("Failed").check()
    only(["three"])
    form.get_by_label("Completed").check()
    only(["three", "two", "one"])
    expect(console.page.get_by_text("Filters, 1 set")).to_be_visible()
    form.get_by_label("Order").select_option("asc")
    only(["one", "two", "three"])
    form.get_by_label("Model").fill("alt-healthy")
    only(["two"])
    form.get_by_label("Model").fill("")
    form.get_by_label("Provider").fill("gem")
    only(["one", "three"])
    form.get_by_label("Conversation").fill("talk")
    only([])
    expect(console.page.get_by_role("heading", name="Nothing found")).to_be_visible()
    console.page.get_by_role("button", name="Clear the filters").click()
    expect(console.items).to_have_count(2)
    form.get_by_label("From").fill("2100-01-01T00:00")
    only([])
    form.get_by_label("From").fill("2020-01-01T00:00")
    form.get_by_label("Before").fill("2100-01-01T00:00")
    only(["two", "one"])


def test_words_are_found_and_marked_whatever_their_accents(console: ConsolePage) -> None:
    console.put("Como está a Conexão?", "nothing of the kind", "conexao again")
    console.open("#/history")
    search(console, "CONEXAO")
    expect(console.items).to_have_count(2)
    assert console.items.locator("mark").all_inner_texts() == ["conexao", "Conexão"]
    console.items.last.get_by_role("link").click()
    expect(console.page.locator(".detail mark").first).to_have_text("Conexão")


def test_an_empty_page_is_not_taken_for_the_end(console: ConsolePage) -> None:
    console.put("found at last")
    empty = {"history": [], "nextCursor": "further", "complete": True}
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) < 3:
            route.fulfill(json=empty)
        else:
            assert "cursor=further" in route.request.url
            route.continue_(
                url=route.request.url.replace("cursor=further&", "").replace("&cursor=further", "")
            )

    console.page.route(f"**/v1/history/{console.user}?*", answer)
    console.open("#/history")
    expect(console.items).to_have_count(1)
    expect(console.page.locator(".items-end")).to_contain_text("That is all: 1 interaction")


def test_one_interaction_shows_everything_that_is_known_of_it(console: ConsolePage) -> None:
    console.put("who answers?", model="safe-503")
    (kept,) = console.kept()
    console.open(f"#/history/{kept['id']}")
    detail = console.page.locator(".detail")
    expect(detail).to_contain_text("who answers?")
    expect(detail).to_contain_text(kept["id"])
    expect(detail).to_contain_text("alt-healthy")
    expect(detail.locator(".attempt")).to_have_count(len(kept["attempts"]))
    expect(detail.locator(".attempt").last).to_contain_text("answered · HTTP 200")
    console.page.get_by_role("link", name="Back to the list").click()
    expect(detail).to_be_hidden()
    console.open(f"#/history/{kept['id'][:-1]}{'0' if kept['id'][-1] != '0' else '1'}")
    expect(detail).to_contain_text("There is no such interaction")


@pytest.mark.parametrize("file", ["jsonl", "csv"])
def test_an_export_is_downloaded_whole(console: ConsolePage, tmp_path: Path, file: str) -> None:
    console.put("one", "two", "=three")
    console.open("#/history")
    with console.page.expect_download() as downloading:
        console.page.get_by_role("button", name=f"Export as {file.upper()}").click()
    download = downloading.value
    assert download.suggested_filename == f"history-{console.user}.{file}"
    download.save_as(tmp_path / file)
    text = (tmp_path / file).read_text(encoding="utf-8")
    if file == "csv":
        assert text.startswith("\ufeffid,")
        text = text.removeprefix("\ufeff")
    rows = (
        [json.loads(line) for line in text.splitlines()]
        if file == "jsonl"
        else list(csv.DictReader(io.StringIO(text)))
    )
    assert {row["id"] for row in rows} == {one["id"] for one in console.kept()}


def test_one_interaction_is_erased_when_that_is_confirmed(console: ConsolePage) -> None:
    console.put("keep me", "erase me")
    console.open("#/history")
    console.items.filter(has_text="erase me").get_by_role("link").click()
    erase = console.page.locator(".detail").get_by_role("button", name="Erase")
    erase.click()
    console.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert len(console.kept()) == 2
    erase.click()
    console.page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(console.items).to_have_count(1)
    expect(console.page.locator(".detail")).to_be_hidden()
    assert [one["userPrompt"] for one in console.kept()] == ["keep me"]


def test_everything_is_erased_when_that_is_confirmed(console: ConsolePage) -> None:
    console.put("one", "two")
    console.open("#/history")
    console.page.get_by_role("button", name="Erase all").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Erase all of {console.user}")
    dialog.get_by_role("button", name="Erase all").click()
    expect(console.page.get_by_text("2 interactions erased").first).to_be_visible()
    expect(console.page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    assert console.kept() == []


def test_the_overview_adds_up(console: ConsolePage) -> None:
    console.put("one", "two", model="gem-healthy")
    console.put("three", model="gem-400")
    console.open("#/overview")
    tiles = console.page.locator(".tile")
    expect(tiles.nth(0)).to_contain_text("3")
    expect(tiles.nth(1)).to_contain_text("33.3% of all")
    expect(tiles.nth(2)).to_contain_text("24")  # of 12 each
    expect(console.page.locator("figure.plot")).to_have_count(4)
    interactions = console.page.locator("figure.plot", has_text="Interactions")
    interactions.get_by_text("As a table").click()
    expect(interactions.locator("tbody tr")).to_have_count(1)
    assert interactions.locator("tbody td").all_inner_texts() == ["2", "1"]
    groups = console.page.locator(".groups tbody tr")
    expect(groups).to_have_count(2)
    expect(groups.first).to_contain_text("gem-healthy")
    console.page.get_by_role("region", name="By").get_by_text("Provider").click()
    expect(groups).to_have_count(1)


@pytest.mark.seen("E9")
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Sao_Paulo"])
def test_the_overview_goes_by_the_days_of_the_browsers_time_zone(
    browser: Browser, service: Service, zone: str
) -> None:
    with console_page(browser, service, timezone_id=zone) as console:
        console.put("one", "two")
        with console.page.expect_request("**/stats?*by=day*") as asking:
            console.open("#/overview")
        asked = {name: one for name, (one,) in parse_qs(urlsplit(asking.value.url).query).items()}
        assert asked["timeZone"] == zone
        first = datetime.fromisoformat(asked["from"]).astimezone(ZoneInfo(zone))
        assert (first.hour, first.minute) == (0, 0)
        interactions = console.page.locator("figure.plot", has_text="Interactions")
        interactions.get_by_text("As a table").click()
        expect(interactions.locator("tbody tr")).to_have_count(1)
        days = {
            datetime.fromisoformat(one["timestamp"]).astimezone(ZoneInfo(zone))
            for one in console.kept()
        }
        names = {f"{one:%b} {one.day}" for one in days}
        assert set(interactions.locator("tbody th").all_inner_texts()) == names


def test_a_route_that_is_closed_is_shown_as_such(console: ConsolePage) -> None:
    console.put("hello", model="alt-bad-key")
    console.open("#/overview")
    route = console.page.locator(".routes li", has_text="alt-bad-key")
    expect(route).to_contain_text("misconfigured")
    expect(console.page.locator(".routes li", has_text="gem-healthy").first).to_contain_text(
        "healthy"
    )
    expect(console.page.locator("#standing")).to_contain_text("degraded")


def test_a_service_that_goes_away_is_told_and_its_return_too(
    console: ConsolePage,
) -> None:
    console.put("one")
    console.open("#/history")
    expect(console.items).to_have_count(1)
    gone = "**/{v1,health}/**"
    console.page.route(gone, lambda route: route.abort())
    search(console, "")
    expect(console.page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    console.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(console.page.locator("#banner")).to_contain_text("does not answer")
    console.page.unroute(gone)
    expect(console.page.locator("#banner")).to_be_hidden()
    expect(console.items).to_have_count(1)
