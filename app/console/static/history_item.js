// Entry of one interaction in the history list.

import { h } from "./dom.js";
import { dollars, exactly, moment, seconds, t } from "./i18n.js";
import { icon } from "./icons.js";
import { excerpt, highlighted } from "./highlight.js";
import { statusLabel } from "./interaction_facts.js";
import { namesOf } from "./turn_items.js";

/** Return the entry, with matching words marked. */
export function historyItem(interaction, words) {
  const { id, userPrompt, response, status, timestamp, model, llmResponseSeconds, usage, fallbackUsed } = interaction;
  const { toolCalls = [], toolResults = [], attachments = [] } = interaction;
  const question = userPrompt ? highlighted(excerpt(userPrompt, words), words) : t("resultsCount", { count: toolResults.length });
  const noText = toolCalls.length ? t("callsTools", { names: namesOf(toolCalls) }) : t("noText");
  const answer = response ? highlighted(excerpt(response, words), words) : noText;
  return h(
    "li",
    { class: "item" },
    h(
      "a",
      { href: `#/history/${id}`, "data-id": id },
      h("span", { class: "item-question" }, question),
      h("span", { class: response ? "item-answer" : "item-answer is-empty" }, answer),
      h(
        "span",
        { class: "item-facts" },
        status !== "completed" && statusLabel(status),
        h("time", { datetime: timestamp, title: exactly(timestamp) }, moment(timestamp)),
        h("span", null, model),
        h("span", null, seconds(llmResponseSeconds)),
        attachments.length > 0 && h("span", { class: "fact-files" }, icon("clip"), t("attachmentsCount", { count: attachments.length })),
        usage.costUsd !== null && h("span", null, dollars(usage.costUsd)),
        fallbackUsed && h("span", { class: "fact-fallback" }, icon("detour"), t("fallback")),
      ),
    ),
  );
}
