// List of the user's conversations, ordered by last activity.

import { announce } from "./announcer.js";
import * as api from "./api.js";
import { conversationSearch } from "./conversation_search.js";
import { askFirst, field, openDialog } from "./dialog.js";
import { fill, h } from "./dom.js";
import { moment, t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";
import { session } from "./session.js";

const PAGE = 30;

const LONGEST_TITLE = 200;

/**
 * Return the list: its element, `load` to reload it, and `mark` to highlight the open conversation. `onerased(id)` is
 * called after a conversation was erased.
 */
export function conversationList({ onerased }) {
  const items = h("ul", { class: "conversations" });
  const end = h("div", { class: "conversations-end" });
  const search = conversationSearch({ ontoggle: (isOn) => (items.hidden = end.hidden = isOn) });
  const element = h(
    "nav",
    { class: "sidebar", "aria-label": t("conversations") },
    h("a", { class: "button new-chat", href: "#/chat" }, icon("plus"), t("newChat")),
    search.field,
    search.results,
    items,
    end,
  );
  let current = null;
  let cursor = null;
  let reading = 0;

  async function load() {
    cursor = null;
    await read(true);
  }

  async function read(isFirst) {
    const mine = (reading += 1);
    if (!session.userId) {
      fill(items);
      fill(end, h("p", { class: "hint" }, t("noConversations")));
      return;
    }
    try {
      const page = await api.conversations({ limit: PAGE, cursor });
      if (mine !== reading) return;
      cursor = page.nextCursor;
      if (isFirst) fill(items);
      items.append(...page.conversations.map((conversation) => item(conversation, { rename, erase })));
      fill(end, rest());
      mark(current);
    } catch (error) {
      // The composer already reports a missing credential.
      if (mine === reading) fill(end, error.status === 401 ? h("p", { class: "hint" }, t("noConversations")) : problemCard(error, () => read(isFirst)));
    }
  }

  function rest() {
    if (cursor) return h("button", { type: "button", class: "button", onclick: () => read(false) }, t("more"));
    return !items.children.length && h("p", { class: "hint" }, t("noConversations"));
  }

  function mark(id) {
    current = id;
    for (const link of items.querySelectorAll("a")) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  function rename({ id, title }) {
    const input = h("input", { type: "text", value: title, maxlength: LONGEST_TITLE, autofocus: true });
    openDialog({ title: t("renameTitle"), body: field(t("title"), input, t("titleHint")), confirm: t("save"), onconfirm: () => change(() => api.renameConversation(id, input.value.trim())) });
  }

  function erase({ id, title }) {
    askFirst(t("eraseConversationTitle", { title }), t("eraseConversationText"), t("erase"), () =>
      change(async () => {
        const count = await api.eraseConversation(id);
        announce(t("erased", { count }));
        onerased(id);
      }),
    );
  }

  async function change(make) {
    try {
      await make();
    } catch (error) {
      fill(end, problemCard(error, () => change(make)));
      return;
    }
    await load();
  }

  return { element, load, mark };
}

function item(conversation, { rename, erase }) {
  const { id, title, turns, lastAt } = conversation;
  return h(
    "li",
    null,
    h(
      "a",
      { href: `#/chat/${encodeURIComponent(id)}`, "data-id": id },
      h("span", { class: "conversation-title" }, title),
      h("span", { class: "conversation-when" }, `${moment(lastAt)} · ${t("turns", { count: turns })}`),
    ),
    h(
      "div",
      { class: "conversation-actions" },
      action("edit", t("renameOf", { title }), () => rename(conversation)),
      action("trash", t("eraseOf", { title }), () => erase(conversation)),
    ),
  );
}

function action(name, label, onclick) {
  return h("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick }, icon(name));
}
