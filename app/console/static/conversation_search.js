// Searches the turns of all conversations for words.

import { announce } from "./announcer.js";
import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { excerpt, highlighted, wordsOf } from "./highlight.js";
import { moment, t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";
import { session } from "./session.js";

const PAGE = 20;
const TYPING_MILLISECONDS = 300; // pause in typing after which is searched
const LONGEST = 256; // characters of a search

/** Return the search field and the results below it. `ontoggle(isOn)` is called when results appear and disappear. */
export function conversationSearch({ ontoggle }) {
  const field = h("input", { type: "search", "aria-label": t("searchConversations"), placeholder: t("searchConversations"), autocomplete: "off", maxlength: LONGEST, oninput: typed, onkeydown: keys });
  const items = h("ul", { class: "hits" });
  const end = h("div", { class: "conversations-end" });
  const form = h("form", { class: "search", role: "search", onsubmit: submit }, icon("search"), field);
  let timer = 0;
  let reading = null;
  let cursor = null;
  let words = new Set();

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MILLISECONDS);
  }

  function submit(event) {
    event.preventDefault();
    search();
  }

  function keys(event) {
    if (event.key !== "Escape" || !field.value) return;
    event.preventDefault(); // in a drawer it would close that, and in the chat stop an answer
    event.stopPropagation();
    field.value = "";
    search();
  }

  function search() {
    clearTimeout(timer);
    reading?.abort();
    words = wordsOf(field.value);
    cursor = null;
    fill(items);
    fill(end);
    ontoggle(words.size > 0);
    if (words.size) read();
  }

  async function read() {
    const mine = (reading = new AbortController());
    fill(end, h("p", { class: "loading" }, t("loading")));
    try {
      const page = session.userId ? await api.history({ q: field.value.trim(), status: api.STATUSES, limit: PAGE, cursor }, mine.signal) : { history: [], nextCursor: null };
      if (mine.signal.aborted) return;
      cursor = page.nextCursor;
      items.append(...page.history.map((interaction) => hit(interaction, words)));
      const count = items.children.length;
      const summary = count ? t(cursor ? "hitsSoFar" : "hits", { count }) : t("noHits");
      announce(summary);
      fill(end, h("p", { class: "hint" }, summary), cursor && h("button", { type: "button", class: "button", onclick: read }, t("more")));
    } catch (error) {
      if (!mine.signal.aborted) fill(end, problemCard(error, read));
    }
  }

  return { field: form, results: [items, end] };
}

/** Return a found turn as a link to its place in its conversation; outside of any, to its page in the history. */
function hit({ id, conversationId, userPrompt, response, timestamp }, words) {
  const question = excerpt(userPrompt, words);
  const answer = excerpt(response, words);
  const isFoundInAnswer = [...wordsOf(answer)].some((word) => words.has(word));
  return h(
    "li",
    null,
    h(
      "a",
      { href: conversationId ? `#/chat/${encodeURIComponent(conversationId)}/${id}` : `#/history/${id}` },
      question && h("span", { class: "hit-question" }, highlighted(question, words)),
      isFoundInAnswer && h("span", { class: "hit-answer" }, highlighted(answer, words)),
      h("time", { class: "conversation-when", datetime: timestamp }, moment(timestamp)),
    ),
  );
}
