// Error card: title, detail, actions, and the request id to report to the operator.

import { openAccount } from "./account.js";
import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { hasText, t } from "./i18n.js";
import { icon } from "./icons.js";

/** Return the title of a problem, translated if there is a translation. */
export function titleOf(error) {
  if (error.slug === "unreachable") return t("unreachableTitle");
  return hasText(`problem_${error.slug}`) ? t(`problem_${error.slug}`) : error.message;
}

/** Return a card; `retry` is offered if the error is retryable. */
export function problemCard(error, retry) {
  const isUnreachable = error.slug === "unreachable";
  return h(
    "div",
    { class: "problem", role: "alert" },
    icon("alert"),
    h(
      "div",
      { class: "problem-body" },
      h("p", { class: "problem-title" }, titleOf(error)),
      h("p", null, isUnreachable ? t("unreachableHint") : error.detail),
      error.errors.length > 0 && h("ul", null, error.errors.map(({ pointer, message }) => h("li", null, h("code", null, pointer), ` ${message}`))),
      error.requestId && requestLine(error.requestId),
      h(
        "div",
        { class: "problem-actions" },
        error.status === 401 && h("button", { type: "button", class: "button", onclick: openAccount }, t("enterCredential")),
        error.errors.some(({ pointer }) => pointer === "/userId") && h("button", { type: "button", class: "button", onclick: openAccount }, t("accountTitle")),
        retry && (error.isRetryable || error.status === 401) && h("button", { type: "button", class: "button", onclick: retry }, icon("refresh"), t("again")),
      ),
    ),
  );
}

function requestLine(id) {
  return h("p", { class: "request" }, `${t("requestId")} `, h("code", null, id), copyButton(() => id, t("copyRequestId")));
}
