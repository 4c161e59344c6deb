// Chat view: one conversation, and the list of all conversations.

import { announce } from "./announcer.js";
import * as api from "./api.js";
import { acceptDrops } from "./attachment_picker.js";
import { Turn } from "./chat_turn.js";
import { turnView } from "./chat_turn_view.js";
import { composer } from "./composer.js";
import { conversationList } from "./conversation_list.js";
import { openDrawer } from "./dialog.js";
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard, titleOf } from "./problem_card.js";
import { session } from "./session.js";
import { openTurn, toolResultsForm } from "./tool_results.js";
import { namesOf } from "./turn_items.js";

const PAGE = 30;
const NEAR_PIXELS = 80;

// Changing the language creates a new view, so the open conversation is stored here, and in `answered` those that are
// still being answered.
let conversation = begun();
let ended = () => {};
const answered = new Map();

function begun(id = null) {
  return { id: id ?? newId(), isNew: id === null, turns: [], cursor: null };
}

/** Return the view: its element, and `open(id)`, which shows a conversation or starts one. */
export function chatView() {
  const list = conversationList({ onerased: forget });
  const turns = h("div", { class: "turns" });
  const results = h("div", { class: "turn-results" });
  const latest = h("button", { type: "button", class: "button to-latest", hidden: true, onclick: () => stick(true) }, icon("down"), t("toLatest"));
  const scroller = h("div", { class: "scroller", onscroll: () => (latest.hidden = isNearEnd()) }, turns, results);
  const writer = composer({ onsend: ask, onstop: () => answering()?.stop() });
  const side = h("div", { class: "side" }, list.element);
  const element = h(
    "section",
    { class: "chat", "aria-labelledby": "chat-title", onkeydown: (event) => event.key === "Escape" && answering()?.stop() },
    h("h1", { class: "unseen", id: "chat-title", tabindex: "-1" }, t("chat")),
    side,
    h(
      "div",
      { class: "talk" },
      h("div", { class: "talk-head" }, h("button", { type: "button", class: "button", onclick: showList }, icon("list"), t("conversations")), h("a", { class: "button", href: "#/chat", "aria-label": t("newChat") }, icon("plus"))),
      scroller,
      h("div", { class: "talk-foot" }, latest, writer.element),
    ),
  );
  let drawer = null;
  let asksFor = null; // turn whose results the form asks for
  acceptDrops(element, writer.attach);

  function showList() {
    drawer = openDrawer(t("conversations"), list.element, () => side.append(list.element));
  }

  async function open(id) {
    drawer?.close();
    writer.reload();
    const isOther = id ? id !== conversation.id : !conversation.isNew;
    if (isOther) conversation = answered.get(id) ?? begun(id);
    list.mark(conversation.isNew ? null : conversation.id);
    showResultsForm();
    if (isOther && !conversation.turns.length && id) await read();
    else show();
    focus();
  }

  /** Start a new conversation, read no answers of the user any more, and return whether the previous one had any turns. */
  function leave() {
    const wasBegun = conversation.turns.length > 0;
    for (const { turns: left } of answered.values()) for (const turn of left) turn.close();
    answered.clear();
    conversation = begun();
    return wasBegun;
  }

  /** Leave a conversation that was erased. */
  function forget(id) {
    answered.delete(id);
    if (id !== conversation.id) return;
    conversation = begun();
    location.hash = "#/chat";
    show();
  }

  /** Focus the input field, except on touch screens, where this would open the on-screen keyboard. */
  function focus() {
    if (!matchMedia("(pointer: coarse)").matches) writer.focus();
  }

  /** Load the last turns of a conversation that is opened for the first time. */
  async function read() {
    const mine = conversation;
    fill(turns, h("p", { class: "loading" }, t("loading")));
    try {
      if (session.userId || session.hasCredential) await readBefore(mine);
      if (mine === conversation) show();
    } catch (error) {
      if (mine !== conversation) return;
      if (!session.userId && error.status === 422) show(); // a backend's key, and no user is entered
      else fill(turns, problemCard(error, read));
    }
  }

  async function readBefore(mine) {
    const page = await api.history({ conversationId: mine.id, status: api.STATUSES, limit: PAGE, cursor: mine.cursor });
    const earlier = page.history.map(Turn.fromInteraction).reverse();
    mine.turns.unshift(...earlier);
    mine.cursor = page.nextCursor;
    if (!session.userId && page.history.length) {
      session.setUserFromAnswer(page.history[0].userId);
      list.load();
    }
    followUnfinished(mine, earlier);
  }

  /** Read on the answers that are still being made: begun before a reload, or in another tab. */
  function followUnfinished(mine, those) {
    for (const turn of those) if (!turn.isOver) untilEnd(mine, turn, turn.follow());
  }

  /** Add the turns that were begun in another tab since the conversation was read. */
  async function catchUp() {
    const mine = conversation;
    if (answering() || !mine.turns.length || !session.userId) return;
    let page;
    try {
      page = await api.history({ conversationId: mine.id, status: api.STATUSES, limit: PAGE });
    } catch {
      return; // they are found the next time
    }
    if (mine !== conversation || answering()) return;
    const known = new Set(mine.turns.map(({ id }) => id));
    const newer = page.history.filter(({ id }) => !known.has(id)).map(Turn.fromInteraction).reverse();
    if (!newer.length) return;
    mine.turns.push(...newer);
    show();
    followUnfinished(mine, newer);
  }

  /** Load earlier turns without moving the visible ones. */
  async function readEarlier(event) {
    const mine = conversation;
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await readBefore(mine);
      if (mine !== conversation) return;
      const fromEnd = scroller.scrollHeight - scroller.scrollTop;
      show();
      scroller.scrollTop = scroller.scrollHeight - fromEnd;
    } catch (error) {
      if (mine === conversation) button.replaceWith(problemCard(error, show));
    }
  }

  function show() {
    const earlier = conversation.cursor && h("button", { type: "button", class: "button earlier", onclick: readEarlier }, t("earlier"));
    fill(turns, earlier, conversation.turns.length ? conversation.turns.map(view) : welcome());
    writer.follow(Boolean(answering()));
    showResultsForm();
    stick(true);
  }

  function view(turn) {
    return turnView(turn, { again: () => ask(turn.request), ongrow: stick, toolOf });
  }

  /** Return the name of the tool of an earlier call, or undefined. */
  function toolOf(callId) {
    return conversation.turns.flatMap((turn) => turn.toolCalls).find(({ id }) => id === callId)?.name;
  }

  /** Show the form for the results of calls that are unanswered; remove it when there are none. */
  function showResultsForm() {
    const open = openTurn(conversation.turns);
    if (open === asksFor) return;
    asksFor = open;
    fill(results, open && toolResultsForm(open, sendResults));
  }

  function sendResults(toolResults) {
    const body = writer.requestOf({ toolResults });
    if (!body) return;
    ask(body);
    focus();
  }

  function askExample(text) {
    const body = writer.requestOf({ userPrompt: text });
    if (body) ask(body);
  }

  function welcome() {
    const example = (key) => h("li", null, h("button", { type: "button", class: "example", onclick: () => askExample(t(key)) }, t(key)));
    return h(
      "div",
      { class: "welcome" },
      h("h2", null, t("hello")),
      h("p", null, t("helloHint")),
      h("ul", null, ["example1", "example2", "example3"].map(example)),
    );
  }

  async function ask(body) {
    if (answering()) return;
    const mine = conversation;
    const turn = new Turn({ ...body, conversationId: mine.id });
    if (!mine.turns.length) fill(turns);
    mine.turns.push(turn);
    turns.append(view(turn));
    writer.follow(true);
    showResultsForm();
    stick(true);
    announce(t("sayAnswering", { model: turn.model || t("defaultModel") }));
    if (mine.isNew) {
      mine.isNew = false;
      location.replace(`#/chat/${mine.id}`);
    }
    await untilEnd(mine, turn, turn.ask());
  }

  /** Keep the conversation while the answer of one of its turns is read. */
  async function untilEnd(mine, turn, reading) {
    answered.set(mine.id, mine);
    await reading;
    if (turn.isClosed) return;
    if (mine.turns.every((each) => each.isOver)) answered.delete(mine.id);
    announce(endOf(turn));
    ended();
  }

  ended = () => {
    writer.follow(Boolean(answering()));
    showResultsForm();
    stick();
    list.load();
  };

  function isNearEnd() {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PIXELS;
  }

  let wasNearEnd = true;
  scroller.addEventListener("scroll", () => (wasNearEnd = isNearEnd()));

  /** Scroll to the end, unless the user has scrolled up. */
  function stick(always = false) {
    if (always === true || wasNearEnd) scroller.scrollTop = scroller.scrollHeight;
    latest.hidden = isNearEnd();
  }

  writer.load();
  list.load();
  return { element, open, focus, leave, catchUp };
}

/** Return the announcement of a turn's end. */
function endOf({ problem, state, toolCalls }) {
  if (problem) return t("sayFailed", { title: titleOf(problem) });
  if (state === "stopped") return t("sayStopped");
  return toolCalls.length ? t("sayCalls", { count: toolCalls.length, names: namesOf(toolCalls) }) : t("sayDone");
}

function answering() {
  return conversation.turns.find((turn) => !turn.isOver);
}

/** Return a new id; `crypto.randomUUID` is not available on insecure origins. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `c-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
