// Frame around the views: routing, language, theme and health of the service.

import { openAccount } from "./account.js";
import * as api from "./api.js";
import { chatView } from "./chat.js";
import { fill, h } from "./dom.js";
import { historyView } from "./history.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { overviewView } from "./overview.js";
import { preferences } from "./preferences.js";
import { session } from "./session.js";
import { usageView } from "./usage.js";

const VIEWS = { chat: chatView, history: historyView, overview: overviewView, usage: usageView };
const LOOK_MILLISECONDS = 20_000;
const LOOK_AGAIN_MILLISECONDS = 3_000;

const bar = document.getElementById("bar");
const main = document.getElementById("main");
const banner = document.getElementById("banner");
let views = {};
let shown = null;
let lastChat = "#/chat";
let standing = { key: "looking", level: "dim" };
let looking = null;
let mayReadUsage = false;

function build() {
  preferences.apply();
  document.getElementById("skip").textContent = t("skip");
  views = Object.fromEntries(Object.entries(VIEWS).map(([name, make]) => [name, make()]));
  fill(main, Object.values(views).map((view) => view.element));
  shown = null;
  showBar();
  showBanner();
  route(false);
}

function showBar() {
  const link = (name) => h("a", { href: `#/${name}`, "data-view": name }, icon(name), h("span", null, t(name)));
  const small = (name, label, onclick, ...content) => h("button", { type: "button", class: `quiet ${name}`, title: label, "aria-label": label, onclick }, content);
  const { otherLanguage, theme } = preferences;
  fill(
    bar,
    h("a", { class: "brand", href: "#/chat" }, h("img", { src: "console/icon.svg", alt: "", width: "26", height: "26" }), h("span", null, "RT GenAI")),
    h("nav", { class: "tabs", "aria-label": t("sections") }, Object.keys(VIEWS).filter((name) => name !== "usage" || mayReadUsage).map(link)),
    h(
      "div",
      { class: "tools" },
      h("a", { class: `standing is-${standing.level}`, id: "standing", href: "#/overview" }, t(standing.key, standing)),
      small("who", t("accountOf", { user: session.userId || t("nobody") }), openAccount, icon("user"), h("span", null, session.userId || t("nobody"))),
      h("button", { type: "button", class: "quiet", lang: otherLanguage, title: t("toOther"), "aria-label": t("toOther"), onclick: switchLanguage }, otherLanguage.slice(0, 2).toUpperCase()),
      small("theme", t(`theme_${theme}`), switchTheme, icon(theme)),
    ),
  );
  markTab();
}

/** Show the section of operators if the credential may read the usage of all users. */
async function lookForUsage() {
  const asked = session.headers().Authorization;
  const may = await api.mayReadUsage();
  if (asked !== session.headers().Authorization || may === mayReadUsage) return;
  mayReadUsage = may;
  showBar();
}

function markTab() {
  document.title = shown ? `${t(shown)} · RT GenAI` : "RT GenAI";
  bar.querySelector("[data-view=chat]").href = lastChat;
  for (const link of bar.querySelectorAll("[data-view]")) {
    if (link.dataset.view === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Show the view in the address: `#/chat/{conversation}`, `#/chat/{conversation}/{interaction}`, `#/history/{interaction}`, `#/overview`, `#/usage`. */
function route(isMoving = true) {
  const [, name, id, part] = location.hash.match(/^#\/(\w+)(?:\/([^/]+)(?:\/([^/]+))?)?$/) ?? [];
  const next = name in VIEWS ? name : "chat";
  const isComing = next !== shown;
  shown = next;
  if (next === "chat") lastChat = id ? `#/chat/${id}` : "#/chat";
  for (const [viewName, view] of Object.entries(views)) view.element.hidden = viewName !== next;
  markTab();
  views[next].open(id ? decoded(id) : null, { isComing, turnId: part ?? null });
  // On the first load the focus stays at the beginning of the page.
  if (isComing && isMoving) views[next].focus();
}

function decoded(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id; // entered by hand, with invalid escapes
  }
}

function switchLanguage() {
  preferences.switchLanguage();
  build();
}

function switchTheme() {
  preferences.switchTheme();
  showBar();
  bar.querySelector(".theme").focus();
}

/** Check the health of the service regularly: more often while it is unreachable, not while the page is hidden. */
async function look() {
  clearTimeout(looking);
  const wasGone = standing.key === "unreachable";
  if (!document.hidden) {
    try {
      const health = await api.readiness();
      const { status, degraded } = health;
      views.overview.showHealth(health);
      if (status !== "ready") standing = { key: "not_ready", level: "bad" };
      else if (degraded.length) standing = { key: "degradedCount", count: degraded.length, level: "warn" };
      else standing = { key: "ready", level: "good" };
    } catch {
      standing = { key: "unreachable", level: "bad" };
    }
    const pill = document.getElementById("standing");
    pill.className = `standing is-${standing.level}`;
    pill.textContent = t(standing.key, standing);
    showBanner();
  }
  const isGone = standing.key === "unreachable";
  if (wasGone && !isGone) {
    shown = null;
    route(false);
  }
  looking = setTimeout(look, isGone ? LOOK_AGAIN_MILLISECONDS : LOOK_MILLISECONDS);
}

function showBanner() {
  const text = !navigator.onLine ? t("offline") : standing.key === "unreachable" ? t("serviceGone") : "";
  if (banner.textContent !== text) fill(banner, text);
  banner.hidden = !text;
}

session.on("credential-needed", openAccount);
session.on("change", () => {
  lastChat = "#/chat";
  // Leave the previous user's conversation; otherwise load what could not be loaded without a credential.
  if (views.chat.leave() && shown === "chat") location.hash = lastChat;
  build();
  lookForUsage();
});
session.on("user-known", showBar);
window.addEventListener("hashchange", () => route());
window.addEventListener("online", look);
window.addEventListener("offline", showBanner);
document.addEventListener("visibilitychange", () => {
  look();
  if (!document.hidden) views.chat.catchUp();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
build();
look();
lookForUsage();
