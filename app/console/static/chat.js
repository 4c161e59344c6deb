// Chat view: one conversation, and the list of all conversations.

import { announce } from "./announcer.js";
import * as api from "./api.js";
import { acceptDrops } from "./attachment_picker.js";
import { focusSwitch } from "./branch_switch.js";
import { Branches } from "./branches.js";
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
const LARGEST_PAGE = 100;
const NEAR_PIXELS = 80;
const INTERACTION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/; // UUIDv7

// Changing the language creates a new view, so the open conversation is stored here, and in `answered` those that are
// still being answered.
let conversation = begun();
let ended = () => {};
const answered = new Map();

function begun(id = null) {
  return { id: id ?? newId(), isNew: id === null, branches: new Branches(), cursor: null };
}

/**
 * Return the view: its element, and `open(id, { turnId })`, which shows a conversation, at one of its turns if that is given, or
 * starts one.
 */
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
  const views = new WeakMap(); // by the turn
  let drawer = null;
  let asksFor = null; // turn whose results the form asks for
  acceptDrops(element, writer.attach);

  function showList() {
    drawer = openDrawer(t("conversations"), list.element, () => side.append(list.element));
  }

  async function open(id, { turnId }) {
    drawer?.close();
    writer.reload();
    const isOther = id ? id !== conversation.id : !conversation.isNew;
    if (isOther) conversation = answered.get(id) ?? begun(id);
    list.mark(conversation.isNew ? null : conversation.id);
    showResultsForm();
    if (isOther && !conversation.branches.turns.length && id) await read();
    else show();
    if (turnId) await showTurn(turnId);
    else focus();
  }

  /** Show one turn of the conversation, on its branch, and focus it. */
  async function showTurn(id) {
    const mine = conversation;
    // Without the turn's id, so that its link can be followed again.
    history.replaceState(null, "", `#/chat/${encodeURIComponent(mine.id)}`);
    if (!(await readUntil(mine, () => mine.branches.turns.some((turn) => turn.id <= id)))) return;
    const find = () => mine.branches.turns.find((each) => each.id === id);
    if (!find()) await catchUp();
    const turn = find();
    if (!turn || mine !== conversation) return; // erased, or the user went on
    mine.branches.show(turn);
    show(false);
    const { element: found } = views.get(turn);
    found.classList.add("is-found");
    found.scrollIntoView({ block: "start" });
    found.focus({ preventScroll: true });
  }

  /** Start a new conversation, read no answers of the user any more, and return whether the previous one had any turns. */
  function leave() {
    const wasBegun = conversation.branches.turns.length > 0;
    for (const { branches } of answered.values()) for (const turn of branches.turns) turn.close();
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

  async function readBefore(mine, limit = PAGE) {
    const page = await api.history({ conversationId: mine.id, status: api.STATUSES, limit, cursor: mine.cursor });
    if (!session.userId && page.history.length) {
      session.setUserFromAnswer(page.history[0].userId);
      list.load();
    }
    const first = page.nextCursor === null ? await interactionOf(mine.id) : [];
    const earlier = [...page.history, ...first].map(Turn.fromInteraction).reverse();
    mine.branches.addEarlier(earlier, page.nextCursor === null);
    mine.cursor = page.nextCursor;
    followUnfinished(mine, earlier);
  }

  /**
   * Return the interaction with the id of a conversation, as a list. A conversation that began by continuing a single
   * interaction has its id, and that interaction itself belongs to no conversation.
   */
  async function interactionOf(conversationId) {
    if (!INTERACTION_ID.test(conversationId)) return [];
    try {
      return [await api.interaction(conversationId)];
    } catch (error) {
      if (error.status === 404) return []; // erased, or never the id of one
      throw error;
    }
  }

  /** Load earlier turns until `isEnough()`; return false if that failed, which is shown, or the user left the conversation. */
  async function readUntil(mine, isEnough) {
    try {
      while (mine === conversation && mine.cursor && !isEnough()) await readBefore(mine, LARGEST_PAGE);
    } catch (error) {
      if (mine === conversation) turns.append(problemCard(error, null));
      return false;
    }
    return mine === conversation;
  }

  /** Read on the answers that are still being made: begun before a reload, or in another tab. */
  function followUnfinished(mine, those) {
    for (const turn of those) if (!turn.isOver) untilEnd(mine, turn, turn.follow());
  }

  /** Add the turns that were begun in another tab since the conversation was read. */
  async function catchUp() {
    const mine = conversation;
    if (answering() || !mine.branches.turns.length || !session.userId) return;
    let page;
    try {
      page = await api.history({ conversationId: mine.id, status: api.STATUSES, limit: PAGE });
    } catch {
      return; // they are found the next time
    }
    if (mine !== conversation || answering()) return;
    const known = new Set(mine.branches.turns.map(({ id }) => id));
    const newer = page.history.filter(({ id }) => !known.has(id)).map(Turn.fromInteraction).reverse();
    if (!newer.length) return;
    const before = mine.branches.last;
    mine.branches.addNewer(newer);
    show(mine.branches.last !== before);
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
      show(false);
      scroller.scrollTop = scroller.scrollHeight - fromEnd;
    } catch (error) {
      if (mine === conversation) button.replaceWith(problemCard(error, show));
    }
  }

  /** Show the turns of the path; `isAtEnd` scrolls to the last of them. */
  function show(isAtEnd = true) {
    const { branches, cursor } = conversation;
    const path = branches.path.map((turn) => {
      if (!views.has(turn)) views.set(turn, view(turn));
      const { element: shown, showBranches } = views.get(turn);
      showBranches(branches.besides(turn));
      shown.classList.remove("is-found");
      return shown;
    });
    const earlier = cursor && h("button", { type: "button", class: "button earlier", onclick: readEarlier }, t("earlier"));
    arrange(turns, [earlier, ...(path.length ? path : [welcome()])].filter(Boolean));
    follow();
    if (isAtEnd) stick(true);
  }

  function view(turn) {
    return turnView(turn, {
      onask: (text) => askBeside(turn, text),
      onswitch: switchTo,
      ongrow: () => views.get(turn)?.element.isConnected && stick(),
      toolOf,
    });
  }

  /** Show another branch with the turn at the same place of the screen, and the focus on the button that was used. */
  function switchTo(turn, step) {
    const { branches } = conversation;
    const before = branches.path.find((each) => branches.besides(each).includes(turn));
    const top = views.get(before).element.getBoundingClientRect().top;
    branches.show(turn);
    show(false);
    const { element: shown } = views.get(turn);
    scroller.scrollTop += shown.getBoundingClientRect().top - top;
    focusSwitch(shown, step);
    const all = branches.besides(turn);
    announce(t("sayBranch", { position: all.indexOf(turn) + 1, count: all.length }));
  }

  /** Show what depends on whether an answer is in progress. */
  function follow() {
    const isOn = Boolean(answering());
    writer.follow(isOn);
    for (const button of turns.querySelectorAll(".asks")) button.disabled = isOn;
    showResultsForm();
  }

  /** Return the name of the tool of an earlier call, or undefined. */
  function toolOf(callId) {
    return conversation.branches.turns.flatMap((turn) => turn.toolCalls).find(({ id }) => id === callId)?.name;
  }

  /** Show the form for the results of calls that are unanswered; remove it when there are none. */
  function showResultsForm() {
    const open = openTurn(conversation.branches.path);
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

  /** Ask behind the turn `parent`, by default the last one that is shown. */
  async function ask(body, parent = conversation.branches.last) {
    if (answering()) return;
    const mine = conversation;
    const turn = new Turn({ ...body, ...mine.branches.placeAfter(parent, mine.id) });
    mine.branches.add(turn, parent);
    show();
    announce(t("sayAnswering", { model: turn.model || t("defaultModel") }));
    if (mine.isNew) {
      mine.isNew = false;
      location.replace(`#/chat/${mine.id}`);
    }
    await untilEnd(mine, turn, turn.ask());
  }

  /**
   * Ask `text` in the place of `turn`, which stays as another branch, and return whether that is possible: no answer is in
   * progress, and the options are valid.
   */
  function askBeside(turn, text) {
    const mine = conversation;
    const body = !answering() && writer.requestOf({ ...turn.content, ...(text && { userPrompt: text }) });
    if (!body) return false;
    readUntil(mine, () => !mine.branches.isParentMissing(turn)).then((isRead) => {
      if (!isRead) return;
      ask(body, mine.branches.parentOf(turn));
      focus();
    });
    return true;
  }

  /** Keep the conversation while the answer of one of its turns is read. */
  async function untilEnd(mine, turn, reading) {
    answered.set(mine.id, mine);
    await reading;
    if (turn.isClosed) return;
    if (mine.branches.turns.every((each) => each.isOver)) answered.delete(mine.id);
    announce(endOf(turn));
    ended();
  }

  ended = () => {
    follow();
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
  return conversation.branches.turns.find((turn) => !turn.isOver);
}

/** Make `children` the children of `element`; those that stay are not moved, so that they keep focus and scroll position. */
function arrange(element, children) {
  for (const child of [...element.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, index) => element.children[index] !== child && element.insertBefore(child, element.children[index] ?? null));
}

/** Return a new id; `crypto.randomUUID` is not available on insecure origins. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `c-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
