"""The axes of the console's plots, in a real browser."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.e2e.console_page import ConsolePage, console_page
from tests.support.service import Service

HIGHEST = [
    10.0**power * factor for power in range(-6, 8) for factor in (0.9, 1, 1.1, 2.4, 3, 4.9, 7.6)
]
LABELS = """async (all) => {
  const { axisTo } = await import("./console/plot_scale.js");
  return all.map(([highest, quantity]) => axisTo(highest, quantity));
}"""


def labels(console: ConsolePage, *asked: tuple[float, str]) -> list[list[str]]:
    """Return the labels of the axis for each highest value and its quantity."""
    axes: list[list[dict[str, Any]]] = console.page.evaluate(LABELS, [list(one) for one in asked])
    return [[tick["label"].replace("\u00a0", " ") for tick in axis] for axis in axes]


def test_an_axis_fits_its_range(console: ConsolePage) -> None:
    console.open()
    expected = {
        (0.0, "seconds"): ["0 ms", "1 ms"],
        (0.004, "seconds"): ["0 ms", "2 ms", "4 ms"],
        (0.42, "seconds"): ["0 ms", "200 ms", "400 ms", "600 ms"],
        (1.2, "seconds"): ["0 s", "0.5 s", "1 s", "1.5 s"],
        (90.0, "seconds"): ["0 s", "50 s", "100 s"],
        (600.0, "seconds"): ["0 min", "5 min", "10 min"],
        (10_000.0, "seconds"): ["0 h", "1 h", "2 h", "3 h"],
        (0.000068, "dollars"): ["$0", "$0.000025", "$0.000050", "$0.000075"],
        (0.3, "dollars"): ["$0", "$0.10", "$0.20", "$0.30"],
        (14.0, "dollars"): ["$0", "$5", "$10", "$15"],
        (14_000.0, "dollars"): ["$0", "$5K", "$10K", "$15K"],
        (0.0, "count"): ["0", "1"],
        (1.0, "count"): ["0", "1"],
        (2.0, "count"): ["0", "1", "2"],
        (7.0, "count"): ["0", "3", "6", "9"],
        (1_200.0, "count"): ["0", "500", "1K", "1.5K"],
    }
    assert dict(zip(expected, labels(console, *expected), strict=True)) == expected


@pytest.mark.parametrize("locale", ["en", "pt-BR"])
def test_no_label_is_repeated_and_counts_have_no_fractions(
    browser: Browser, service: Service, locale: str
) -> None:
    with console_page(browser, service, locale=locale) as console:
        console.open()
        asked = [(highest, quantity) for highest in HIGHEST for quantity in ("seconds", "dollars")]
        asked += [(float(round(highest)), "count") for highest in HIGHEST]
        axes = console.page.evaluate(LABELS, [list(one) for one in asked])
    for (highest, quantity), axis in zip(asked, axes, strict=True):
        shown = [tick["label"] for tick in axis]
        assert len(set(shown)) == len(shown) >= 2, (highest, quantity, shown)
        assert axis[0]["value"] == 0
        assert axis[-1]["value"] >= highest * (1 - 1e-6)
        if quantity == "count":
            assert all(float(tick["value"]).is_integer() for tick in axis)
            if axis[-1]["value"] < 1_000:  # above it is 1.5K
                assert all(re.fullmatch(r"\d+", label) for label in shown)


def test_the_labels_fit_into_the_plot(console: ConsolePage) -> None:
    console.put("one")

    def answer(route: Route) -> None:
        groups = json.loads(route.fetch().text())["groups"]
        for group in groups:
            group["costUsd"] = 0.00000068
            group["latencySeconds"] = {"p50": 0.004, "p95": 0.0125}
        route.fulfill(json={"groups": groups})

    console.page.route("**/stats?*", answer)
    console.open("#/overview")
    plots = console.page.locator("figure.plot")
    expect(plots).to_have_count(4)
    for plot in plots.all():
        ticks = plot.locator("text[text-anchor=end]")
        shown = ticks.evaluate_all("all => all.map(one => one.textContent)")
        assert len(set(shown)) == len(shown) >= 2
        left = plot.locator("svg").evaluate("one => one.getBoundingClientRect().left")
        assert ticks.evaluate_all(
            "(all, left) => all.every(one => one.getBoundingClientRect().left >= left)", left
        )
    assert "15\u00a0ms" in plots.nth(1).locator("svg").text_content()  # type: ignore[operator]
