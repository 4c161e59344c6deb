// Daily values in SVG, as stacked bars or as a band between two quantiles, with a table as the accessible alternative.

import { fill, h, s } from "./dom.js";
import { day, dollars, number, seconds, t } from "./i18n.js";
import { axisTo, labelled } from "./plot_scale.js";

const HEIGHT = 168;
const MARGIN = { top: 8, right: 22, bottom: 22, left: 54 };
const LABEL_PIXELS = 84;
const DIGIT_PIXELS = 6.4;
const WIDEST_BAR = 28;
const SHOWN = { count: number, seconds, dollars };

/**
 * Return a figure.
 *
 * `series` are `{name, style, values}` with one value per day, null if there is none. `kind` is "bars" or "band"; a band
 * has two series, the lower one first. `quantity` says what the values are: "count", "seconds" or "dollars".
 */
export function plot({ title, sum, days, series, kind, quantity }) {
  const shown = SHOWN[quantity];
  const picture = h("div", { class: "plot-picture" });
  const tip = h("div", { class: "tip", hidden: true });
  const stage = h("div", { class: "plot-stage" }, picture, tip);
  const highest = Math.max(0, ...days.map((_, index) => top(series, index, kind)));
  const label = `${title}: ${t("peak", { value: shown(highest) })}`;

  function draw() {
    const width = Math.max(220, Math.floor(stage.clientWidth));
    if (stage.clientWidth === 0) return;
    fill(picture, drawing({ width, days, series, kind, quantity, highest, label, point }));
  }

  function point(index, x) {
    tip.hidden = index === null;
    if (index === null) return;
    fill(tip, h("strong", null, day(days[index])), series.map(({ name, style, values }) => h("span", { class: `key key-${style}` }, `${name} `, h("b", null, values[index] === null ? "–" : shown(values[index])))));
    tip.style.setProperty("--x", `${x}px`);
    tip.classList.toggle("is-left", x > stage.clientWidth / 2);
  }

  new ResizeObserver(draw).observe(stage);
  return h(
    "figure",
    { class: "plot" },
    h("figcaption", null, h("h2", null, title), sum && h("p", { class: "plot-sum" }, sum), series.length > 1 && h("ul", { class: "legend" }, series.map(({ name, style }) => h("li", { class: `key key-${style}` }, name)))),
    stage,
    table(title, days, series, shown),
  );
}

function top(series, index, kind) {
  const values = series.map(({ values: all }) => all[index] ?? 0);
  return kind === "bars" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
}

function drawing({ width, days, series, kind, quantity, highest, label, point }) {
  const ticks = axisTo(highest, quantity);
  const left = Math.max(MARGIN.left, 12 + DIGIT_PIXELS * Math.max(...ticks.map((tick) => tick.label.length)));
  const inner = { width: width - left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const slot = inner.width / days.length;
  const place = {
    x: (index) => left + slot * (index + 0.5),
    y: (value) => MARGIN.top + inner.height * (1 - value / ticks.at(-1).value),
    slot,
  };
  const cursor = s("rect", { class: "plot-cursor", y: MARGIN.top, width: slot, height: inner.height, visibility: "hidden" });

  function follow(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const index = Math.floor((event.clientX - box.left - left) / slot);
    const isWithin = event.type !== "pointerleave" && index >= 0 && index < days.length;
    cursor.setAttribute("visibility", isWithin ? "visible" : "hidden");
    cursor.setAttribute("x", left + slot * index);
    point(isWithin ? index : null, place.x(index));
  }

  return s(
    "svg",
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label, onpointermove: follow, onpointerdown: follow, onpointerleave: follow },
    ticks.map(({ value, label: name }) => [s("line", { class: "grid", x1: left, x2: width - MARGIN.right, y1: place.y(value), y2: place.y(value) }), s("text", { class: "tick", x: left - 8, y: place.y(value) + 4, "text-anchor": "end" }, name)]),
    cursor,
    kind === "bars" ? bars(series, days, place) : band(series, days, place),
    labelled(days.length, Math.floor(inner.width / LABEL_PIXELS)).map((index) => s("text", { class: "tick", x: place.x(index), y: HEIGHT - 5, "text-anchor": "middle" }, day(days[index]))),
  );
}

function bars(series, days, { x, y, slot }) {
  const width = Math.min(WIDEST_BAR, Math.max(1, slot * 0.7));
  return days.map((_, index) => {
    let base = 0;
    return series.map(({ style, values }) => {
      const value = values[index] ?? 0;
      if (value <= 0) return null;
      const upper = y(base + value);
      const bar = s("rect", { class: `mark mark-${style}`, x: x(index) - width / 2, y: upper, width, height: Math.max(1, y(base) - upper), rx: Math.min(2, width / 4) });
      base += value;
      return bar;
    });
  });
}

/** Return the band, interrupted at days without a value. */
function band(series, days, { x, y, slot }) {
  const [lower, upper] = series;
  const width = Math.min(10, Math.max(2, slot * 0.4));
  const spans = days.map((_, index) => {
    if (lower.values[index] === null || upper.values[index] === null) return null;
    const high = y(upper.values[index]);
    return s("rect", { class: "mark mark-span", x: x(index) - width / 2, y: high, width, height: Math.max(1, y(lower.values[index]) - high), rx: width / 2 });
  });
  const dots = series.map(({ style, values }) => values.map((value, index) => value !== null && s("circle", { class: `mark mark-${style}`, cx: x(index), cy: y(value), r: Math.min(4, width / 2 + 1) })));
  return [spans, dots];
}

function table(title, days, series, shown) {
  const rows = days.map((key, index) => [key, index]).filter(([, index]) => series.some(({ values }) => values[index]));
  return h(
    "details",
    { class: "figures" },
    h("summary", null, t("figuresAsTable")),
    h(
      "div",
      { class: "table", tabindex: "0", role: "group", "aria-label": title },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, t("day")), series.map(({ name }) => h("th", { scope: "col" }, name)))),
        h("tbody", null, rows.map(([key, index]) => h("tr", null, h("th", { scope: "row" }, day(key)), series.map(({ values }) => h("td", null, values[index] === null ? "–" : shown(values[index])))))),
      ),
    ),
  );
}
