// Scales and labels of plots.

const STEPS = [1, 2, 2.5, 5, 10];

/** Return a small number of round values from 0 to at least `highest`. */
export function ticksTo(highest, isWhole) {
  if (highest <= 0) return [0, 1];
  const rough = highest / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * STEPS.find((factor) => factor * power >= rough - Number.EPSILON);
  if (isWhole) step = Math.max(1, Math.ceil(step));
  const count = Math.ceil(highest / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/** Return the indices of at most `most` evenly spaced labels, including the last. */
export function labelled(count, most) {
  const every = Math.max(1, Math.ceil(count / Math.max(1, most)));
  return Array.from({ length: count }, (_, index) => index).filter((index) => (count - 1 - index) % every === 0);
}
