// Overview: statistics of the user over time and by model, and health of the service.

import { openAccount } from "./account.js";
import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { PERIODS_DAYS, choice, dayOf, lastMidnights, tile, timeZone } from "./figures.js";
import { compact, dollars, number, percent, t } from "./i18n.js";
import { groupTable } from "./overview_groups.js";
import { serviceState } from "./overview_service.js";
import { plot } from "./plot.js";
import { problemCard } from "./problem_card.js";
import { session } from "./session.js";

let periodDays = 30;

/** Return the view: its element, and `open`. */
export function overviewView() {
  const service = serviceState();
  const figures = h("div", { class: "overview-figures" });
  const title = h("h1", { id: "overview-title", tabindex: "-1" }, t("overview"));
  const element = h(
    "section",
    { class: "overview", "aria-labelledby": "overview-title" },
    h("div", { class: "page-head" }, title, choice("period", t("period"), PERIODS_DAYS.map((days) => [days, t("lastDays", { count: days })]), periodDays, (days) => {
      periodDays = days;
      load();
    })),
    figures,
    service.element,
  );
  let reading = 0;

  async function load() {
    const mine = (reading += 1);
    if (!session.userId) {
      fill(figures, h("div", { class: "empty" }, h("h2", null, t("whoFirst")), h("p", null, t("whoFirstHint")), h("button", { type: "button", class: "button primary", onclick: () => openAccount() }, t("accountTitle"))));
      return;
    }
    if (!figures.children.length) fill(figures, h("p", { class: "loading" }, t("loading")));
    const midnights = lastMidnights(periodDays);
    const days = midnights.map(dayOf);
    const asked = { from: midnights[0].toISOString(), timeZone: timeZone() };
    try {
      const [byDay, byModel, byProvider] = await Promise.all(["day", "model", "provider"].map((by) => api.stats({ ...asked, by })));
      if (mine === reading) fill(figures, byDay.some((group) => group.interactions) ? shown(days, byDay, { model: byModel, provider: byProvider }) : nothing());
    } catch (error) {
      if (mine === reading) fill(figures, problemCard(error, load));
    }
  }

  function open() {
    load();
    service.load();
  }

  return { element, open, showHealth: service.show, focus: () => title.focus({ preventScroll: true }) };
}

function nothing() {
  return h("div", { class: "empty" }, h("h2", null, t("noFigures")), h("p", null, t("noFiguresHint")));
}

function shown(days, byDay, groups) {
  const found = new Map(byDay.map((group) => [group.key, group]));
  const each = (value, missing = 0) => days.map((key) => (found.has(key) ? value(found.get(key)) : missing));
  const total = (value) => byDay.reduce((sum, group) => sum + (value(group) ?? 0), 0);
  const interactions = total((group) => group.interactions);
  const failures = total((group) => group.failures);
  const input = total((group) => group.inputTokens);
  const tokens = input + total((group) => group.outputTokens);
  const cached = total((group) => group.cachedInputTokens);
  const cost = total((group) => group.costUsd);
  const failureShare = t("ofAll", { share: percent(failures / interactions) });
  const common = { days, kind: "bars", quantity: "count" };
  return [
    h(
      "dl",
      { class: "tiles" },
      tile(t("interactionsTitle"), number(interactions)),
      tile(t("failures"), number(failures), failureShare, failures > 0),
      tile(t("tokensTitle"), compact(tokens), cached > 0 && t("ofInputCached", { share: percent(cached / input) })),
      tile(t("costTitle"), dollars(cost)),
    ),
    h(
      "div",
      { class: "plots" },
      plot({ ...common, title: t("interactionsTitle"), series: [{ name: t("answered"), style: "main", values: each((group) => group.interactions - group.failures) }, { name: t("failures"), style: "bad", values: each((group) => group.failures) }] }),
      plot({ ...common, title: t("latencyTitle"), kind: "band", quantity: "seconds", series: [{ name: "p50", style: "low", values: each((group) => group.latencySeconds.p50, null) }, { name: "p95", style: "high", values: each((group) => group.latencySeconds.p95, null) }] }),
      plot({ ...common, title: t("tokensTitle"), series: [{ name: t("input"), style: "soft", values: each((group) => group.inputTokens ?? 0) }, { name: t("output"), style: "main", values: each((group) => group.outputTokens ?? 0) }] }),
      plot({ ...common, title: t("costTitle"), quantity: "dollars", series: [{ name: t("costTitle"), style: "main", values: each((group) => group.costUsd ?? 0) }] }),
    ),
    grouped(groups),
  ];
}

function grouped(groups) {
  const body = h("div");
  const show = (by) => fill(body, groupTable(t(by === "model" ? "byModel" : "byProvider"), groups[by]));
  show("model");
  return h("section", { class: "card", "aria-label": t("by") }, choice("by", t("by"), [["model", t("byModel")], ["provider", t("byProvider")]], "model", show), body);
}
