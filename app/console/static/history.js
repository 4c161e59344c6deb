// History view: search with filters, paging by cursor, export, erasure.

import { announce } from "./announcer.js";
import { openAccount } from "./account.js";
import * as api from "./api.js";
import { askFirst } from "./dialog.js";
import { fill, h } from "./dom.js";
import { save } from "./download.js";
import { wordsOf } from "./highlight.js";
import { historyDetail } from "./history_detail.js";
import { historyFilters } from "./history_filters.js";
import { historyItem } from "./history_item.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";
import { session } from "./session.js";

const PAGE = 50;
const AHEAD = "600px"; // distance of the end of the list at which the next page is loaded

/** Return the view: its element, and `open`. */
export function historyView() {
  const filters = historyFilters(search);
  const detail = historyDetail({ onerased: forget });
  const note = h("div", { class: "history-note" });
  const items = h("ol", { class: "items" });
  const end = h("div", { class: "items-end" });
  const list = h("div", { class: "history-list" }, note, items, end);
  const title = h("h1", { id: "history-title", tabindex: "-1" }, t("history"));
  const element = h(
    "section",
    { class: "history", "aria-labelledby": "history-title" },
    h("div", { class: "history-main" }, h("div", { class: "page-head" }, title, actions()), filters.element, list),
    detail.element,
  );
  const sentinel = new IntersectionObserver(([entry]) => entry.isIntersecting && cursor && more(), { root: element.firstElementChild, rootMargin: AHEAD });
  let cursor = null;
  let walk = null;
  let asked = {}; // filters of the listed pages; those in the form may have changed since
  let words = new Set();
  let isReading = false;
  let openId = null;

  function actions() {
    return h(
      "div",
      { class: "page-actions" },
      ["jsonl", "csv"].map((format) => h("button", { type: "button", class: "button", onclick: () => exportAs(format), "aria-label": t("exportAs", { format: format.toUpperCase() }) }, icon("download"), format.toUpperCase())),
      h("button", { type: "button", class: "button danger-quiet", onclick: eraseAll }, icon("trash"), t("eraseAll")),
    );
  }

  function search() {
    walk?.abort();
    walk = new AbortController();
    cursor = null;
    isReading = false;
    asked = filters.values();
    words = wordsOf(asked.q);
    fill(items);
    fill(note);
    if (session.userId) read();
    else fill(end, empty("whoFirst", "whoFirstHint", h("button", { type: "button", class: "button primary", onclick: () => openAccount() }, t("accountTitle"))));
  }

  async function more() {
    if (!isReading) await read();
  }

  async function read() {
    const mine = walk;
    isReading = true;
    fill(end, h("p", { class: "loading" }, t("loading")));
    try {
      const page = await api.history({ ...asked, limit: PAGE, cursor }, mine.signal);
      if (mine !== walk) return;
      cursor = page.nextCursor;
      items.append(...page.history.map((interaction) => historyItem(interaction, words)));
      isReading = false;
      showEnd();
    } catch (error) {
      if (mine !== walk) return;
      isReading = false;
      fill(end, problemCard(error, read));
    }
  }

  function showEnd() {
    const count = items.children.length;
    if (!count) {
      announce(t("nothingFound"));
      fill(end, filters.isSet() ? empty("nothingFound", "nothingFoundHint", h("button", { type: "button", class: "button", onclick: filters.clear }, t("clearFilters"))) : empty("nothingYet", "nothingYetHint", h("a", { class: "button primary", href: "#/chat" }, t("askNow"))));
      return;
    }
    const summary = t(cursor ? "shownSoFar" : "allShown", { count });
    announce(summary);
    fill(end, h("p", { class: "hint" }, summary), cursor && h("button", { type: "button", class: "button", onclick: more }, t("more")));
    // Observed again after each page, because an observer does not fire for an element that stays visible.
    sentinel.disconnect();
    if (cursor) sentinel.observe(end);
  }

  async function exportAs(format) {
    fill(note, h("p", { class: "hint" }, t("exporting")));
    try {
      const file = `history-${session.userId}.${format}`;
      save(await api.exportHistory(format), file);
      fill(note, h("p", { class: "hint" }, t("exported", { file })));
      announce(t("exported", { file }));
    } catch (error) {
      fill(note, problemCard(error, () => exportAs(format)));
    }
  }

  function eraseAll() {
    askFirst(t("eraseAllTitle", { user: session.userId }), t("eraseAllText"), t("eraseAll"), async () => {
      try {
        const count = await api.eraseAll();
        location.hash = "#/history";
        search();
        fill(note, h("p", { class: "hint" }, t("erased", { count })));
        announce(t("erased", { count }));
      } catch (error) {
        fill(note, problemCard(error, null));
      }
    });
  }

  function linkTo(id) {
    return [...items.querySelectorAll("a")].find((link) => link.dataset.id === id);
  }

  function forget(id) {
    linkTo(id)?.parentElement.remove();
    location.hash = "#/history";
    showEnd();
  }

  /** Show the list, reloaded if the user comes from another view, and the interaction `id` if given. */
  function open(id, { isComing }) {
    const before = openId;
    openId = id;
    element.classList.toggle("has-detail", Boolean(id));
    for (const link of items.querySelectorAll("a")) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (isComing) search();
    if (id) detail.open(id, words);
    else if (!isComing) linkTo(before)?.focus({ preventScroll: true });
  }

  return { element, open, focus: () => openId || title.focus({ preventScroll: true }) };
}

function empty(title, hint, action) {
  return h("div", { class: "empty" }, h("h2", null, t(title)), h("p", null, t(hint)), action);
}
