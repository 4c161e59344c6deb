// Parts of a turn beside its text: reasoning, tool calls and tool results.

import { codeBlock } from "./code_block.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { showMarkdown } from "./markdown.js";

const OPEN_CHARACTERS = 400; // longer arguments and results are folded at first

/** Return a model's reasoning, folded: its element, and `show(text)` to update it. */
export function reasoningView() {
  const element = h("div", { class: "reasoning" });
  const text = h("div", { class: "prose" });
  return {
    element,
    show(reasoning) {
      if (!reasoning) element.replaceChildren(); // an answer that began anew has none yet
      if (!reasoning) return;
      if (!element.hasChildNodes()) element.append(h("details", { class: "fold" }, h("summary", null, t("reasoning")), text));
      showMarkdown(text, reasoning);
    },
  };
}

/** Return a call with its arguments. */
export function callView({ name, arguments: values }) {
  return fold("call", [icon("tool"), t("callOf"), " ", h("code", null, name)], t("arguments"), values);
}

/** Return the result of a call; `name` is the name of its tool, or null if that is not known. */
export function resultView({ callId, output, isError }, name) {
  const label = t(isError ? "failedResultOf" : "resultOf");
  return fold(isError ? "result is-error" : "result", [icon(isError ? "alert" : "check"), label, " ", h("code", null, name ?? callId)], t("result"), output);
}

/** Return the names of the tools that are called, each once. */
export function namesOf(toolCalls) {
  return [...new Set(toolCalls.map(({ name }) => name))].join(", ");
}

/** Return JSON, or a text as it is, in one line. */
export function lineOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return the text as a block of code in markdown if it is a JSON object or array, otherwise as it is. */
export function markdownOf(text) {
  return isJson(text) ? `\`\`\`json\n${text}\n\`\`\`` : text;
}

function fold(kind, summary, label, value) {
  const text = textOf(value);
  return h("details", { class: `fold ${kind}`, open: text.length <= OPEN_CHARACTERS }, h("summary", null, summary), codeBlock({ label, language: typeof value === "string" ? "" : "json", text }));
}

function textOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function isJson(text) {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
