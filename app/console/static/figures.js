// Parts of the views that show figures over time: tiles, a choice, and days of the browser's time zone.

import { h } from "./dom.js";

export const PERIODS_DAYS = [7, 30, 90];

/** Return a figure with its name, and a hint such as its share. */
export function tile(name, value, hint, isBad = false) {
  return h("div", { class: isBad ? "tile is-bad" : "tile" }, h("dt", null, name), h("dd", null, value, hint && h("small", null, hint)));
}

/** Return a group of radio buttons, which the arrow keys operate. */
export function choice(name, label, values, chosen, onchange) {
  return h(
    "fieldset",
    { class: "segments" },
    h("legend", { class: "unseen" }, label),
    values.map(([value, text]) => h("label", null, h("input", { type: "radio", name, checked: value === chosen, onchange: () => onchange(value) }), h("span", null, text))),
  );
}

/** Return the start of each of the last `count` days, including today, in the browser's time zone. */
export function lastMidnights(count) {
  const now = new Date();
  return Array.from({ length: count }, (_, index) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - (count - 1 - index)));
}

/** Return the day of a local time in the API's format. */
export function dayOf(time) {
  return [time.getFullYear(), time.getMonth() + 1, time.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

/** Return the browser's time zone. */
export function timeZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
