// Buttons that move between the branches of a turn.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Return the buttons, or null for a turn without branches. `onswitch(turn, step)` is called for the turn before (-1) or after (1). */
export function branchSwitch(turn, turns, onswitch) {
  if (turns.length < 2) return null;
  const index = turns.indexOf(turn);
  const button = (step, name, label) =>
    h("button", { type: "button", class: "quiet", "data-step": step, title: label, "aria-label": label, disabled: !turns[index + step], onclick: () => onswitch(turns[index + step], step) }, icon(name));
  return h(
    "div",
    { class: "branches", role: "group", "aria-label": t("branches") },
    button(-1, "previous", t("previousBranch")),
    h("span", { class: "branches-position" }, t("branchOf", { position: index + 1, count: turns.length })),
    button(1, "next", t("nextBranch")),
  );
}

/** Focus the button that was used for the switch, or the other one at the end of the branches. */
export function focusSwitch(element, step) {
  const buttons = [...element.querySelectorAll(".branches button:not(:disabled)")];
  (buttons.find((button) => button.dataset.step === String(step)) ?? buttons[0])?.focus({ preventScroll: true });
}
