// Renders one turn: the prompt, the growing answer, and finally the facts.

import { copyButton } from "./copy.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { attemptsOnDemand, facts, modelName, statusLabel } from "./interaction_facts.js";
import { showMarkdown } from "./markdown.js";
import { problemCard } from "./problem_card.js";

const SHARE_OF_TIME = 4; // pause after drawing, as a multiple of its duration, so that long answers do not block the page

/** Return the turn's element, which is updated until the turn ends. `again` sends the same request again. */
export function turnView(turn, { again, ongrow }) {
  const text = h("div", { class: "prose" });
  const foot = h("div", { class: "turn-foot" });
  const who = h("h2", { class: "turn-who" });
  const view = h(
    "article",
    { class: "turn" },
    h("div", { class: "question" }, h("h2", { class: "unseen" }, t("you")), h("p", null, turn.prompt)),
    h("div", { class: "answer" }, who, text, foot),
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
    showMarkdown(text, turn.text);
    fill(who, unseen(`${t("answer")}: `), turn.interaction ? modelName(turn.interaction) : turn.model);
    view.classList.toggle("is-writing", !turn.isOver);
    fill(foot, turn.isOver ? ending(turn, again) : turn.state === "waiting" ? waiting() : null);
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

function waiting() {
  return h("p", { class: "waiting" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), unseen(t("waiting")));
}

function ending(turn, again) {
  const { interaction, problem } = turn;
  return [
    note(turn) && h("p", { class: "turn-note" }, icon(turn.state === "stopped" ? "stop" : "alert"), note(turn)),
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
function note({ state, text, interaction, problem }) {
  if (state === "stopped") return text ? t("stopped") : t("stoppedEarly");
  if (problem) return text ? t("cutOff") : null;
  if (["failed", "interrupted"].includes(interaction.status)) return [statusLabel(interaction.status), ` ${interaction.error ?? ""}`];
  if (interaction.status === "blocked" || interaction.finishReason === "content_filter") return t("blockedHere");
  if (interaction.finishReason === "length") return t("lengthCut");
  if (interaction.status === "truncated") return t("cutOff");
  return text ? null : t("emptyAnswer");
}
