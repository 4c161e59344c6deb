// Renders one turn: the prompt with attachments and tool results, the growing answer with its tool calls, and finally the facts.

import { attachmentList } from "./attachment_list.js";
import { branchSwitch } from "./branch_switch.js";
import { copyButton } from "./copy.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { attemptsOnDemand, facts, modelName, statusLabel } from "./interaction_facts.js";
import { showMarkdown } from "./markdown.js";
import { problemCard } from "./problem_card.js";
import { questionEditor } from "./question_editor.js";
import { callView, markdownOf, reasoningView, resultView } from "./turn_items.js";

const SHARE_OF_TIME = 4; // pause after drawing, as a multiple of its duration, so that long answers do not block the page

/**
 * Return the turn's view: its `element`, which is updated until the turn ends, and `showBranches(turns)` to show which of these
 * it is. `onask(text)` asks the question again, or another one in its place, and returns whether that is possible now;
 * `onswitch(turn, step)` shows another branch; `toolOf` returns the name of the tool for the id of an earlier call.
 */
export function turnView(turn, { onask, onswitch, ongrow, toolOf }) {
  const results = h("div", { class: "turn-items" });
  const reasoning = reasoningView();
  const calls = h("div", { class: "turn-items" });
  const text = h("div", { class: "prose" });
  const foot = h("div", { class: "turn-foot" });
  const who = h("h2", { class: "turn-who" });
  const question = turn.prompt && h("p", null, turn.prompt);
  const branches = h("div");
  const edit = turn.prompt && h("button", { type: "button", class: "quiet asks", title: t("editQuestion"), "aria-label": t("editQuestion"), onclick: openEditor }, icon("edit"));
  const questionFoot = h("div", { class: "question-foot" }, branches, edit);
  const view = h(
    "article",
    { class: "turn", tabindex: "-1" },
    h(
      "div",
      { class: "question" },
      h("h2", { class: "unseen" }, t("you")),
      results,
      turn.attachments.length > 0 && attachmentList(turn.attachments, ongrow),
      question,
      questionFoot,
    ),
    h("div", { class: "answer" }, who, reasoning.element, text, calls, foot),
  );
  let isDrawing = false;
  let restUntil = 0;

  function openEditor() {
    const editor = questionEditor(turn.prompt, { onask: (text) => onask(text) && close(), oncancel: cancel });

    function close() {
      editor.element.replaceWith(question);
      questionFoot.hidden = false;
    }

    function cancel() {
      close();
      edit.focus();
    }

    question.replaceWith(editor.element);
    questionFoot.hidden = true;
    editor.focus();
  }

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
    fill(foot, turn.isOver ? ending(turn, () => onask(turn.prompt)) : turn.isLost ? lost() : turn.state === "waiting" ? waiting() : null);
    ongrow();
    restUntil = performance.now() + SHARE_OF_TIME * (performance.now() - begun);
  }

  turn.onchange = () => {
    if (turn.isOver) draw(Infinity);
    else if (!isDrawing) requestAnimationFrame(draw);
    isDrawing = !turn.isOver;
  };
  draw(Infinity);
  return { element: view, showBranches: (turns) => fill(branches, branchSwitch(turn, turns, onswitch)) };
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

function ending(turn, regenerate) {
  const { interaction, problem } = turn;
  const explanation = note(turn);
  return [
    explanation && h("p", { class: "turn-note" }, icon(turn.state === "stopped" ? "stop" : "alert"), explanation),
    problem && problemCard(problem, regenerate),
    problem && attemptsOnDemand(problem.attempts),
    !turn.isStored && h("p", { class: "turn-note" }, icon("alert"), t("notPersisted")),
    h(
      "div",
      { class: "turn-facts" },
      interaction && facts(interaction),
      turn.text && copyButton(() => turn.text, t("copyAnswer")),
      !problem?.isRetryable && h("button", { type: "button", class: "quiet asks", title: t("regenerate"), onclick: regenerate }, icon("refresh"), unseen(t("regenerate"))),
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
