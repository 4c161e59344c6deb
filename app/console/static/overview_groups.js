// Statistics by model or provider, as a table with bars.

import { h } from "./dom.js";
import { dollars, number, seconds, t } from "./i18n.js";

/** Return the table; `name` is the heading of its first column. */
export function groupTable(name, groups) {
  const most = Math.max(1, ...groups.map((group) => group.interactions));
  const slowest = Math.max(0.001, ...groups.map((group) => group.latencySeconds.p95 ?? 0));
  const heads = [name, t("interactionsTitle"), t("failures"), t("tokensTitle"), t("costTitle"), "p50", "p95", t("latencyOf")];
  const sorted = groups.toSorted((a, b) => b.interactions - a.interactions);
  return h(
    "div",
    { class: "table groups", tabindex: "0", role: "group", "aria-label": name },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, heads.map((head, index) => h("th", { scope: "col", class: index && index < 7 ? "is-number" : null }, head)))),
      h("tbody", null, sorted.map((group) => row(group, most, slowest))),
    ),
  );
}

function row({ key, interactions, failures, inputTokens, outputTokens, costUsd, latencySeconds }, most, slowest) {
  const { p50, p95 } = latencySeconds;
  const time = (value) => (value === null ? "–" : seconds(value));
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, key ?? t("unknown")),
    h("td", { class: "is-number has-bar", "--share": interactions / most }, number(interactions)),
    h("td", { class: failures ? "is-number is-failing" : "is-number" }, number(failures)),
    h("td", { class: "is-number" }, number((inputTokens ?? 0) + (outputTokens ?? 0))),
    h("td", { class: "is-number" }, costUsd === null ? "–" : dollars(costUsd)),
    h("td", { class: "is-number" }, time(p50)),
    h("td", { class: "is-number" }, time(p95)),
    h("td", null, p50 !== null && p95 !== null && h("span", { class: "span", role: "img", "aria-label": `${time(p50)} – ${time(p95)}`, "--start": p50 / slowest, "--length": (p95 - p50) / slowest })),
  );
}
