// Scales and labels of plots.

import { compact, decimal, dollarsTo } from "./i18n.js";

const STEPS = [1, 2, 2.5, 5, 10];
const MOST_DIGITS = 12;
const ROUNDING = 1e-9;
const COMPACT_FROM = 1_000;

// Times are shown in the first unit in which the highest is less than `below`.
const TIMES = [
  { unit: "ms", seconds: 0.001, below: 1_000 },
  { unit: "s", seconds: 1, below: 120 },
  { unit: "min", seconds: 60, below: 120 },
  { unit: "h", seconds: 3600, below: Infinity },
];

/**
 * Return a small number of round values from 0 to at least `highest`, as `{value, label}`. No label is there twice: unit and
 * digits fit the range. `quantity` is "count", which has no fractions, "seconds" or "dollars".
 */
export function axisTo(highest, quantity) {
  if (quantity === "count") return ticksTo(highest, true).map((value) => ({ value, label: compact(value) }));
  if (quantity === "dollars") return dollarTicks(ticksTo(highest, false));
  const { unit, seconds } = TIMES.find((time) => highest < time.below * time.seconds);
  const ticks = ticksTo(highest / seconds, false);
  const digits = digitsOf(ticks[1]);
  return ticks.map((value) => ({ value: value * seconds, label: `${decimal(value, digits)}\u00a0${unit}` }));
}

function dollarTicks(ticks) {
  const digits = digitsOf(ticks[1]);
  const shown = digits > 0 ? Math.max(2, digits) : 0; // cents
  return ticks.map((value) => ({ value, label: dollarsTo(value, value ? shown : 0, ticks[1] >= COMPACT_FROM) }));
}

function ticksTo(highest, isWhole) {
  if (highest <= 0) return [0, 1];
  const rough = highest / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * STEPS.find((factor) => factor >= rough / power - ROUNDING);
  if (isWhole) step = Math.max(1, Math.ceil(step));
  const count = Math.ceil(highest / step - ROUNDING);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/** Return the number of decimal places of a step between two values. */
function digitsOf(step) {
  for (let digits = 0; digits < MOST_DIGITS; digits += 1) {
    const shifted = step * 10 ** digits;
    if (shifted > 0.5 && Math.abs(shifted - Math.round(shifted)) < ROUNDING * shifted) return digits;
  }
  return MOST_DIGITS;
}

/** Return the indices of at most `most` evenly spaced labels, including the last. */
export function labelled(count, most) {
  const every = Math.max(1, Math.ceil(count / Math.max(1, most)));
  return Array.from({ length: count }, (_, index) => index).filter((index) => (count - 1 - index) % every === 0);
}
