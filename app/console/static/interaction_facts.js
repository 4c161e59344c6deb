// Facts of an interaction: model, duration, cost and attempts.

import { h } from "./dom.js";
import { dollars, hasText, number, seconds, t } from "./i18n.js";
import { icon } from "./icons.js";

/** Return a status as a small label. */
export function statusLabel(status) {
  return h("span", { class: `status status-${status}` }, hasText(`status_${status}`) ? t(`status_${status}`) : status);
}

/** Return the facts as a single-line list. */
export function facts(interaction) {
  const { usage } = interaction;
  const counts = usage.totalTokens ?? null;
  return h(
    "ul",
    { class: "facts" },
    h("li", { title: interaction.timeToFirstTokenSeconds === null ? null : t("firstWordAfter", { time: seconds(interaction.timeToFirstTokenSeconds) }) }, seconds(interaction.llmResponseSeconds)),
    counts !== null && h("li", { title: tokenCounts(usage) }, t("tokens", { count: counts })),
    usage.costUsd !== null && h("li", null, dollars(usage.costUsd)),
    interaction.fallbackUsed && h("li", { class: "fact-fallback" }, icon("detour"), t("fallbackFor", { model: interaction.requestedModel })),
  );
}

/** Return the name of the model, with its provider unless the name contains it. */
export function modelName({ model, provider }) {
  return provider && !model.includes(provider) ? `${model} · ${provider}` : model;
}

function tokenCounts({ inputTokens, outputTokens }) {
  const shown = (count) => (count === null ? "?" : number(count));
  return t("tokenCounts", { input: shown(inputTokens), output: shown(outputTokens) });
}

/** Return the attempts in a collapsed element; null if there are none. */
export function attemptsOnDemand(attempts) {
  if (!attempts.length) return null;
  return h("details", { class: "attempts" }, h("summary", null, t("attempts", { count: attempts.length })), timeline(attempts));
}

/** Return the attempts as a timeline, with a bar for the duration of each. */
export function timeline(attempts) {
  if (!attempts.length) return h("p", { class: "hint" }, t("noAttempts"));
  const whole = attempts.reduce((sum, attempt) => sum + attempt.seconds, 0) || 1;
  let before = 0;
  const rows = attempts.map((attempt) => {
    const start = before;
    before += attempt.seconds;
    return h(
      "li",
      { class: attempt.outcome === "ok" ? "attempt is-ok" : "attempt" },
      h("span", { class: "attempt-who" }, modelName(attempt)),
      h("span", { class: "attempt-what" }, outcome(attempt)),
      h("span", { class: "attempt-seconds" }, seconds(attempt.seconds)),
      h("span", { class: "attempt-bar", "--start": start / whole, "--length": attempt.seconds / whole }),
    );
  });
  return h("ol", { class: "timeline" }, rows);
}

function outcome({ outcome: name, httpStatus, usage }) {
  const facts = [hasText(`outcome_${name}`) ? t(`outcome_${name}`) : name.replaceAll("_", " ")];
  if (httpStatus !== null) facts.push(`HTTP ${httpStatus}`);
  if (usage && usage.totalTokens !== null) facts.push(t("tokens", { count: usage.totalTokens }));
  return facts.join(" · ");
}
