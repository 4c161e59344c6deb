// Dialogs based on the `dialog` element, which traps the focus, closes on Escape and restores the focus.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

let fields = 0;

/** Return a control with its label and a hint below it. */
export function field(label, control, hint) {
  const id = `field-${(fields += 1)}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

/** Show a dialog with a confirm button; `onconfirm` is called once, when it is pressed and the form is valid. */
export function openDialog({ title, body, confirm, onconfirm, isDangerous = false }) {
  const id = `dialog-${(fields += 1)}`;
  const form = h(
    "form",
    { method: "dialog", class: "dialog-form" },
    h("h2", { id }, title),
    body,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", class: "button", autofocus: isDangerous, onclick: () => dialog.close() }, t("cancel")),
      h("button", { type: "submit", value: "save", class: isDangerous ? "button danger" : "button primary" }, confirm),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": id, onclose: closed }, form);

  function closed() {
    dialog.remove();
    if (dialog.returnValue === "save") onconfirm();
  }

  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something is done that cannot be undone. */
export function askFirst(title, text, confirm, onconfirm) {
  openDialog({ title, body: h("p", null, text), confirm, onconfirm, isDangerous: true });
}

/** Show an element of the page in a drawer at the side, and call `onclose` to have it back. */
export function openDrawer(label, content, onclose) {
  const dialog = h("dialog", { class: "drawer", "aria-label": label, onclose: closed, onclick: (event) => event.target === dialog && dialog.close() },
    h("button", { type: "button", class: "quiet drawer-close", title: t("close"), "aria-label": t("close"), onclick: () => dialog.close() }, icon("close")),
    content);

  function closed() {
    onclose();
    dialog.remove();
  }

  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
