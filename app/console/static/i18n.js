// Texts and number formats in the user's language.

import { preferences } from "./preferences.js";
import { ENGLISH } from "./words_en.js";
import { PORTUGUESE } from "./words_pt.js";

const WORDS = { en: ENGLISH, "pt-BR": PORTUGUESE };

/** Return the text of `key` with `{name}` replaced by values; `values.count` selects the plural form. */
export function t(key, values = {}) {
  let words = WORDS[preferences.language][key] ?? ENGLISH[key] ?? key;
  if (typeof words === "object") {
    const plural = new Intl.PluralRules(preferences.language).select(values.count);
    words = words[plural] ?? words.other;
  }
  return words.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : (values[name] ?? "")));
}

/** Return whether the user's language has a text for `key`. */
export function hasText(key) {
  return key in WORDS[preferences.language];
}

export function number(value) {
  return new Intl.NumberFormat(preferences.language, { maximumFractionDigits: 1 }).format(value);
}

/** Return a number in short form, for the axis of a plot. */
export function compact(value) {
  return new Intl.NumberFormat(preferences.language, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** Return a number with up to `digits` decimal places. */
export function decimal(value, digits) {
  return new Intl.NumberFormat(preferences.language, { maximumFractionDigits: digits }).format(value);
}

export function percent(share) {
  return new Intl.NumberFormat(preferences.language, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** Return US dollars; amounts below one dollar with two significant digits. */
export function dollars(value) {
  const digits = value !== 0 && Math.abs(value) < 1 ? { maximumSignificantDigits: 2, minimumFractionDigits: 2 } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat(preferences.language, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(value);
}

/** Return US dollars with `digits` decimal places, or in short form. */
export function dollarsTo(value, digits, isShort) {
  const form = isShort ? { notation: "compact", maximumFractionDigits: 1 } : { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(preferences.language, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...form }).format(value);
}

/** Return a size in B, KiB or MiB. */
export function bytes(value) {
  const step = value < 1024 ? 0 : value < 1024 ** 2 ? 1 : 2;
  return `${number(value / 1024 ** step)}\u00a0${["B", "KiB", "MiB"][step]}`;
}

export function seconds(value) {
  const digits = value < 0.1 ? 3 : value < 10 ? 2 : 1;
  const shown = new Intl.NumberFormat(preferences.language, { maximumFractionDigits: digits }).format(value);
  return `${shown}\u00a0s`;
}

/** Return a time of day, with the date unless it is today. */
export function moment(timestamp) {
  const date = new Date(timestamp);
  const isToday = date.toDateString() === new Date().toDateString();
  const parts = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(preferences.language, parts).format(date);
}

/** Return a date and time with seconds. */
export function exactly(timestamp) {
  return new Intl.DateTimeFormat(preferences.language, { dateStyle: "full", timeStyle: "medium" }).format(new Date(timestamp));
}

/** Return a day such as `2026-11-22` in the user's format, independent of the time zone. */
export function day(key, parts = { day: "numeric", month: "short" }) {
  return new Intl.DateTimeFormat(preferences.language, { ...parts, timeZone: "UTC" }).format(new Date(`${key}T00:00:00Z`));
}
