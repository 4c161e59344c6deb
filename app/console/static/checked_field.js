// Form fields that are checked while they are edited, with the message below the field.

import { field } from "./dialog.js";
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Return a control with its label, hint and error message. `problemOf` returns the message for a text, or an empty string
 * if it is valid. A message appears when the field is left, and is updated while the text is changed.
 */
export function checkedField(label, control, hint, problemOf = () => "") {
  const element = field(label, control, hint);
  const message = h("p", { class: "field-error", id: `${control.id}-error`, role: "alert" });
  control.setAttribute("aria-describedby", [control.getAttribute("aria-describedby"), message.id].filter(Boolean).join(" "));
  element.append(message);

  function check() {
    control.setCustomValidity(problemOf(control.value));
  }

  function show() {
    control.setAttribute("aria-invalid", String(!control.validity.valid));
    if (message.textContent !== control.validationMessage) fill(message, control.validationMessage);
  }

  control.addEventListener("input", () => {
    check();
    if (message.textContent) show();
  });
  control.addEventListener("change", show);
  control.addEventListener("invalid", show);
  check();
  // Sent by the owner of the control after it set the value, or changed what is valid.
  control.addEventListener("recheck", () => {
    check();
    if (control.value || message.textContent) show();
  });
  return element;
}

/** Return whether all fields of a form are valid; otherwise show and focus the first that is not. */
export function isComplete(form) {
  const wrong = [...form.elements].find((control) => !control.checkValidity());
  if (!wrong) return true;
  const fold = wrong.closest("details");
  if (fold) fold.open = true;
  wrong.focus();
  return false;
}

/** Return why a text is no JSON object, or an empty string; an empty text is accepted. */
export function problemOfObject(text) {
  if (text.trim() === "") return "";
  return problemOfJson(text) || (isObject(JSON.parse(text)) ? "" : t("notAnObject"));
}

/** Return why a text is no JSON, or an empty string. */
export function problemOfJson(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return t("notJson", { reason: error.message });
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
