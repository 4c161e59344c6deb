// Copies text to the clipboard, also on insecure origins, where the clipboard API is not available.

import { h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { announce } from "./announcer.js";

const SHOWN_MILLISECONDS = 1600;

/** Return a button that copies the result of `text()` and confirms it. */
export function copyButton(text, label) {
  const button = h("button", { type: "button", class: "quiet copy", title: label, onclick: copy }, icon("copy"), unseen(label));

  async function copy() {
    await toClipboard(text());
    announce(t("copied"));
    button.classList.add("is-done");
    button.firstElementChild.replaceWith(icon("check"));
    setTimeout(() => {
      button.classList.remove("is-done");
      button.firstElementChild.replaceWith(icon("copy"));
    }, SHOWN_MILLISECONDS);
  }

  return button;
}

async function toClipboard(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // Not permitted; `execCommand` below may be.
    }
  }
  const area = h("textarea", { class: "unseen", value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
