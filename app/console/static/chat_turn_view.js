// Renders one turn: the prompt with attachments and tool results, the growing answer with its tool calls, and finally the facts.

import { attachmentList } from "./attachment_list.js";
import { copyButton } from "./copy.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { attemptsOnDemand, facts, modelName, statusLabel } from "./interaction_facts.js";
import { showMarkdown } from "./markdown.js";
import { problemCard } from "./problem_card.js";
import { callView, markdownOf, reasoningView, resultView } from "./turn_items.js";

const SHARE_OF_TIME = 4; // pause after drawing, as a multiple of its duration, so that long answers do not block the page

/**
 * Return the turn's element, which is updated until the turn ends. `again` sends the same request again; `toolOf` returns the
 * name of the tool for the id of an earlier call.
 */
export function turnView(turn, { again, ongrow, toolOf }) {
  const results = h("div", { class: "turn-items" });
  const reasoning = reasoningView();
  const calls = h("div", { class: "turn-items" });
  const text = h("div", { class: "prose" });
  const foot = h("div", { class: "turn-foot" });
  const who = h("h2", { class: "turn-who" });
  const view = h(
    "article",
    { class: "turn" },
    h(
      "div",
      { class: "question" },
      h("h2", { class: "unseen" }, t("you")),
      results,
      turn.attachments.length > 0 && attachmentList(turn.attachments, ongrow),
      turn.prompt && h("p", null, turn.prompt),
    ),
    h("div", { class: "answer" }, who, reasoning.element, text, calls, foot),
  );
  let isDrawing = false;
  let restUntil = 0;

  function draw(now) {
    if (!turn.isOver && now < restUntil) {
      requestAnimationFrame(draw);
      return;
    }
    isDrawing = false;
    const begun = performance.now();
    reasoning.show(turn.reasoning);
    showMarkdown(text, turn.isOver ? markdownOf(turn.text) : turn.text);
    addTo(calls, turn.toolCalls, callView);
    addTo(results, turn.toolResults, (result) => resultView(result, toolOf(result.callId)));
    fill(who, unseen(`${t("answer")}: `), turn.interaction ? modelName(turn.interaction) : turn.model);
    view.classList.toggle("is-writing", !turn.isOver);
    fill(foot, turn.isOver ? ending(turn, again) : turn.isLost ? lost() : turn.state === "waiting" ? waiting() : null);
    ongrow();
    restUntil = performance.now() + SHARE_OF_TIME * (performance.now() - begun);
  }

  turn.onchange = () => {
    if (turn.isOver) draw(Infinity);
    else if (!isDrawing) requestAnimationFrame(draw);
    isDrawing = !turn.isOver;
  };
  draw(Infinity);
  return view;
}

/** Add the items that are not shown yet, so that those the user folded stay folded; an answer that began anew has fewer. */
function addTo(element, items, view) {
  if (items.length < element.children.length) fill(element);
  element.append(...items.slice(element.children.length).map(view));
}

function waiting() {
  return h("p", { class: "waiting" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), unseen(t("waiting")));
}

function lost() {
  return h("p", { class: "turn-note" }, icon("alert"), t("connectionLost"));
}

function ending(turn, again) {
  const { interaction, problem } = turn;
  const explanation = note(turn);
  return [
    explanation && h("p", { class: "turn-note" }, icon(turn.state === "stopped" ? "stop" : "alert"), explanation),
    problem && problemCard(problem, again),
    problem && attemptsOnDemand(problem.attempts),
    !turn.isStored && h("p", { class: "turn-note" }, icon("alert"), t("notPersisted")),
    h(
      "div",
      { class: "turn-facts" },
      interaction && facts(interaction),
      turn.text && copyButton(() => turn.text, t("copyAnswer")),
      turn.id && turn.isStored && h("a", { class: "quiet-link", href: `#/history/${turn.id}` }, t("seeInHistory")),
    ),
    interaction && attemptsOnDemand(interaction.attempts),
  ];
}

/** Return a note for an answer that is incomplete or empty, otherwise null. */
function note({ state, text, toolCalls, interaction, problem }) {
  const hasAnswer = text !== "" || toolCalls.length > 0;
  if (state === "stopped") return hasAnswer ? t("stopped") : t("stoppedEarly");
  if (problem) return hasAnswer ? t("cutOff") : null;
  if (["failed", "interrupted"].includes(interaction.status)) return [statusLabel(interaction.status), ` ${interaction.error ?? ""}`];
  if (interaction.status === "blocked" || interaction.finishReason === "content_filter") return t("blockedHere");
  if (interaction.finishReason === "length") return t("lengthCut");
  if (interaction.status === "truncated") return t("cutOff");
  return hasAnswer ? null : t("emptyAnswer");
}
