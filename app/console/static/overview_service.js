// Health of the service: routes with the state of their circuit breakers, and other degraded components.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { hasText, moment, t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";

const ROUTE = /^route (\S+) (.+)$/;

/** Return the panel: its element, `load` to request the health, and `show` to show one already received. */
export function serviceState() {
  const body = h("div", { class: "service-body" }, h("p", { class: "loading" }, t("loading")));
  const element = h("section", { class: "card service", "aria-labelledby": "service-title" }, h("h2", { id: "service-title" }, t("service")), body);

  let models = [];

  async function load() {
    try {
      const [health, found] = await Promise.all([api.readiness(), api.models().catch(() => [])]);
      models = found;
      show(health);
    } catch (error) {
      fill(body, problemCard(error, load));
    }
  }

  function show(health) {
    fill(body, summary(health), routes(models, health.degraded), others(health.degraded));
  }

  return { element, load, show };
}

function summary({ status, degraded }) {
  const isWell = status === "ready" && !degraded.length;
  const level = status !== "ready" ? "bad" : isWell ? "good" : "warn";
  const text = isWell ? t("allWell") : degraded.length ? t("degradedCount", { count: degraded.length }) : "";
  return h("p", { class: "service-summary" }, h("span", { class: `light light-${level}` }, icon(isWell ? "check" : "alert"), t(status)), text);
}

/** Return the list of routes. Each model is a route; unhealthy ones are among the degraded components. */
function routes(models, degraded) {
  const closed = new Map();
  for (const part of degraded) {
    const route = part.component.match(ROUTE);
    if (route) closed.set(route[2], { ...part, provider: route[1] });
  }
  const known = new Map(models.map((model) => [model.id, model.owned_by]));
  for (const [model, { provider }] of closed) known.set(model, provider);
  if (!known.size) return null;
  return [
    h("h3", null, t("routes")),
    h("ul", { class: "routes" }, [...known].map(([model, provider]) => route(model, provider, closed.get(model)))),
  ];
}

function route(model, provider, closed) {
  const state = (closed?.reason ?? "healthy").replaceAll(" ", "_");
  const label = hasText(`state_${state}`) ? t(`state_${state}`) : closed.reason;
  return h(
    "li",
    null,
    h("span", { class: "route-name" }, model, h("small", null, provider)),
    h("span", { class: `light light-${closed ? (state === "half_open" || state === "cooling" ? "warn" : "bad") : "good"}` }, icon(closed ? "alert" : "check"), label),
    closed && h("small", { class: "route-since" }, t("since", { time: moment(closed.since) })),
  );
}

function others(degraded) {
  const parts = degraded.filter(({ component }) => !ROUTE.test(component));
  if (!parts.length) return null;
  return [
    h("h3", null, t("degraded")),
    h("ul", { class: "routes" }, parts.map(({ component, reason, since }) => h("li", null, h("span", { class: "route-name" }, component), h("span", { class: "light light-warn" }, icon("alert"), reason), h("small", { class: "route-since" }, t("since", { time: moment(since) }))))),
  ];
}
