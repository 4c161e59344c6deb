// Form that edits a question, in its place, to ask it again.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Return the form. `onask(text)` is called with the new question, `oncancel` when the old one is to be shown again. */
export function questionEditor(question, { onask, oncancel }) {
  const words = h("textarea", { rows: "1", "aria-label": t("editQuestion"), value: question, oninput: grow, onkeydown: keys });
  const form = h(
    "form",
    { class: "question-editor", novalidate: true, onsubmit: submit },
    words,
    h("div", { class: "question-editor-actions" }, h("button", { type: "button", class: "button", onclick: oncancel }, t("cancel")), h("button", { type: "submit", class: "button primary asks" }, t("askAgain"))),
  );

  function submit(event) {
    event.preventDefault();
    if (words.value.trim() === "") words.focus();
    else onask(words.value);
  }

  function keys(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape") {
      event.stopPropagation(); // in the chat it stops an answer
      oncancel();
    }
  }

  function grow() {
    words.style.height = "auto";
    words.style.height = `${words.scrollHeight}px`;
  }

  return {
    element: form,
    focus() {
      grow();
      words.focus();
      words.setSelectionRange(words.value.length, words.value.length);
    },
  };
}
