// Usage of all users by day, model and key, for operators: figures without texts and without users.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { PERIODS_DAYS, choice, dayOf, lastMidnights, tile, timeZone } from "./figures.js";
import { compact, dollars, number, percent, t } from "./i18n.js";
import { plot } from "./plot.js";
import { problemCard } from "./problem_card.js";

let periodDays = 30;
let groupedBy = "model";

/** Return the view: its element, and `open`. */
export function usageView() {
  const figures = h("div", { class: "overview-figures" });
  const title = h("h1", { id: "usage-title", tabindex: "-1" }, t("usageTitle"));
  const element = h(
    "section",
    { class: "overview", "aria-labelledby": "usage-title" },
    h("div", { class: "page-head" }, title, choice("usage-period", t("period"), PERIODS_DAYS.map((days) => [days, t("lastDays", { count: days })]), periodDays, (days) => {
      periodDays = days;
      load();
    })),
    h("p", { class: "hint" }, t("usageHint")),
    figures,
  );
  let reading = 0;

  async function load() {
    const mine = (reading += 1);
    if (!figures.children.length) fill(figures, h("p", { class: "loading" }, t("loading")));
    const midnights = lastMidnights(periodDays);
    try {
      const usage = await api.usage({ from: midnights[0].toISOString(), timeZone: timeZone() });
      if (mine === reading) fill(figures, usage.total.interactions ? shown(midnights.map(dayOf), usage) : nothing());
    } catch (error) {
      if (mine === reading) fill(figures, problemCard(error, load));
    }
  }

  return { element, open: load, focus: () => title.focus({ preventScroll: true }) };
}

function nothing() {
  return h("div", { class: "empty" }, h("h2", null, t("noFigures")), h("p", null, t("noUsageHint")));
}

function shown(days, { total, byDay, byModel, byKey }) {
  const found = new Map(byDay.map((group) => [group.key, group]));
  const each = (value) => days.map((key) => (found.has(key) ? value(found.get(key)) : 0));
  const { interactions, failures } = total;
  const common = { days, kind: "bars", quantity: "count" };
  return [
    h(
      "dl",
      { class: "tiles" },
      tile(t("interactionsTitle"), number(interactions)),
      tile(t("failures"), number(failures), t("ofAll", { share: percent(failures / interactions) }), failures > 0),
      tile(t("tokensTitle"), compact(total.inputTokens + total.outputTokens), total.cachedInputTokens > 0 && t("ofInputCached", { share: percent(total.cachedInputTokens / total.inputTokens) })),
      tile(t("costTitle"), total.costUsd === null ? "–" : dollars(total.costUsd)),
    ),
    h(
      "div",
      { class: "plots" },
      plot({ ...common, title: t("interactionsTitle"), series: [{ name: t("answered"), style: "main", values: each((group) => group.interactions - group.failures) }, { name: t("failures"), style: "bad", values: each((group) => group.failures) }] }),
      plot({ ...common, title: t("costTitle"), quantity: "dollars", series: [{ name: t("costTitle"), style: "main", values: each((group) => group.costUsd ?? 0) }] }),
      plot({ ...common, title: t("inputTokens"), series: [{ name: t("cached"), style: "soft", values: each((group) => group.cachedInputTokens) }, { name: t("notCached"), style: "main", values: each((group) => Math.max(0, group.inputTokens - group.cachedInputTokens)) }] }),
      plot({ ...common, title: t("outputTokens"), series: [{ name: t("reasoning"), style: "soft", values: each((group) => group.reasoningTokens) }, { name: t("answer"), style: "main", values: each((group) => Math.max(0, group.outputTokens - group.reasoningTokens)) }] }),
    ),
    grouped({ model: byModel, key: byKey }),
  ];
}

function grouped(groups) {
  const body = h("div");
  const names = { model: t("byModel"), key: t("byKey") };
  const show = (by) => {
    groupedBy = by;
    fill(body, groupTable(names[by], groups[by], by === "key" ? nameOfKey : nameOfModel));
  };
  show(groupedBy);
  return h("section", { class: "card", "aria-label": t("by") }, choice("usage-by", t("by"), Object.entries(names), groupedBy, show), body);
}

function groupTable(name, groups, nameOf) {
  const most = Math.max(1, ...groups.map((group) => group.interactions));
  const heads = [name, t("interactionsTitle"), t("failures"), t("costTitle"), t("inputTokens"), t("cached"), t("outputTokens"), t("reasoning")];
  const sorted = groups.toSorted((a, b) => b.interactions - a.interactions);
  return h(
    "div",
    { class: "table groups", tabindex: "0", role: "group", "aria-label": name },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, heads.map((head, index) => h("th", { scope: "col", class: index ? "is-number" : null }, head)))),
      h("tbody", null, sorted.map((group) => row(nameOf(group.key), group, most))),
    ),
  );
}

function row(name, { interactions, failures, inputTokens, cachedInputTokens, outputTokens, reasoningTokens, costUsd }, most) {
  const count = (value) => h("td", { class: "is-number" }, number(value));
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, name),
    h("td", { class: "is-number has-bar", "--share": interactions / most }, number(interactions)),
    h("td", { class: failures ? "is-number is-failing" : "is-number" }, number(failures)),
    h("td", { class: "is-number" }, costUsd === null ? "–" : dollars(costUsd)),
    count(inputTokens),
    count(cachedInputTokens),
    count(outputTokens),
    count(reasoningTokens),
  );
}

function nameOfModel(key) {
  return key;
}

function nameOfKey(key) {
  if (key === "token") return t("keyOfTokens");
  if (key === "anonymous") return t("keyOfNobody");
  return key ?? t("unknown");
}
