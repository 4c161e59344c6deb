// Panel with all details of one interaction.

import { announce } from "./announcer.js";
import * as api from "./api.js";
import { attachmentList } from "./attachment_list.js";
import { copyButton } from "./copy.js";
import { askFirst } from "./dialog.js";
import { fill, h } from "./dom.js";
import { highlighted, highlightWithin } from "./highlight.js";
import { dollars, exactly, number, seconds, t } from "./i18n.js";
import { icon } from "./icons.js";
import { modelName, statusLabel, timeline } from "./interaction_facts.js";
import { showMarkdown } from "./markdown.js";
import { problemCard } from "./problem_card.js";
import { callView, markdownOf, reasoningView, resultView } from "./turn_items.js";

/** Return the panel: its element, and `open(id, words)` to fill it. `onerased(id)` is called after an erasure. */
export function historyDetail({ onerased }) {
  const title = h("h2", { tabindex: "-1" }, t("details"));
  const body = h("div", { class: "detail-body" });
  const element = h(
    "aside",
    { class: "detail", "aria-label": t("details") },
    h("div", { class: "detail-head" }, h("a", { class: "button detail-back", href: "#/history", "aria-label": t("backToList"), title: t("backToList") }, icon("back")), title),
    body,
  );
  let shownId = null;

  async function open(id, words) {
    shownId = id;
    fill(body, h("p", { class: "loading" }, t("loading")));
    title.focus();
    try {
      const interaction = await api.interaction(id);
      if (id === shownId) fill(body, shown(interaction, words, () => erase(id)));
    } catch (error) {
      if (id !== shownId) return;
      if (error.slug === "not-found") fill(body, h("p", { class: "empty-hint" }, t("gone")));
      else fill(body, problemCard(error, () => open(id, words)));
    }
  }

  function erase(id) {
    askFirst(t("eraseTitle"), t("eraseText"), t("erase"), async () => {
      try {
        await api.erase(id);
        announce(t("erased", { count: 1 }));
        onerased(id);
      } catch (error) {
        body.prepend(problemCard(error, null));
      }
    });
  }

  return { element, open };
}

function shown(interaction, words, erase) {
  const answer = h("div", { class: "prose" });
  const { toolCalls = [], toolResults = [], attachments = [] } = interaction;
  const reasoning = reasoningView();
  reasoning.show(interaction.reasoning ?? "");
  showMarkdown(answer, markdownOf(interaction.response));
  highlightWithin(answer, words);
  return [
    h(
      "div",
      { class: "detail-actions" },
      statusLabel(interaction.status),
      interaction.conversationId && h("a", { class: "button", href: `#/chat/${encodeURIComponent(interaction.conversationId)}/${interaction.id}` }, icon("chat"), t("continueChat")),
      h("button", { type: "button", class: "button danger-quiet", onclick: erase }, icon("trash"), t("erase")),
    ),
    toolResults.length > 0 && [h("h3", null, t("toolResults")), h("div", { class: "turn-items" }, toolResults.map((result) => resultView(result, null)))],
    interaction.userPrompt && [h("h3", null, t("question")), h("p", { class: "question-text" }, highlighted(interaction.userPrompt, words))],
    attachments.length > 0 && attachmentList(attachments),
    interaction.systemPrompt && [h("h3", null, t("systemPrompt")), h("p", { class: "question-text" }, interaction.systemPrompt)],
    h("div", { class: "detail-title" }, h("h3", null, t("answer")), interaction.response && copyButton(() => interaction.response, t("copyAnswer"))),
    reasoning.element,
    interaction.response ? answer : !toolCalls.length && h("p", { class: "hint" }, t("noText")),
    toolCalls.length > 0 && h("div", { class: "turn-items" }, toolCalls.map(callView)),
    h("h3", null, t("attempts", { count: interaction.attempts.length })),
    timeline(interaction.attempts),
    h("h3", null, t("details")),
    properties(interaction),
  ];
}

function properties(interaction) {
  const { usage } = interaction;
  const orUnknown = (value, shown) => (value === null ? t("unknown") : shown(value));
  const rows = [
    [t("asked"), exactly(interaction.timestamp)],
    [t("answeredBy"), modelName(interaction)],
    [t("requestedModel"), interaction.requestedModel],
    interaction.temperature !== null && [t("temperature"), number(interaction.temperature)],
    [t("duration"), seconds(interaction.llmResponseSeconds)],
    [t("firstWord"), orUnknown(interaction.timeToFirstTokenSeconds, seconds)],
    [t("inputTokens"), orUnknown(usage.inputTokens, number)],
    usage.cachedInputTokens > 0 && [t("cachedInputTokens"), number(usage.cachedInputTokens)],
    usage.cacheWriteTokens > 0 && [t("cacheWriteTokens"), number(usage.cacheWriteTokens)],
    [t("outputTokens"), orUnknown(usage.outputTokens, number)],
    usage.reasoningTokens !== null && [t("reasoningTokens"), number(usage.reasoningTokens)],
    [t("cost"), orUnknown(usage.costUsd, dollars)],
    interaction.finishReason && [t("finishReason"), h("code", null, interaction.finishReason)],
    interaction.error && [t("error"), h("code", null, interaction.error)],
    interaction.conversationId && [t("conversation"), h("code", null, interaction.conversationId)],
    [t("id"), [h("code", null, interaction.id), copyButton(() => interaction.id, t("id"))]],
  ];
  return h("dl", { class: "known" }, rows.filter(Boolean).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}
