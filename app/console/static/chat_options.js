// Panel with the options of the chat.

import { chosen, countOfChosen } from "./chat_request.js";
import { checkedField, problemOfObject } from "./checked_field.js";
import { field } from "./dialog.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

const EFFORTS = ["none", "minimal", "low", "medium", "high"];
const TOOL_NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_\\-]{0,63}";
const EXAMPLE_PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

/** Return the panel, which is shown on demand. */
export function chatOptions() {
  const count = h("span", { class: "options-count" });
  const fallback = h("input", { type: "checkbox", checked: chosen.fallback, onchange: () => (chosen.fallback = fallback.checked) });
  const details = h(
    "details",
    { class: "options", onkeydown: close, oninput: showCount, onchange: showCount, ontoggle: () => document[details.open ? "addEventListener" : "removeEventListener"]("pointerdown", leave) },
    h("summary", { title: t("options") }, icon("filter"), h("span", { class: "options-name" }, t("options")), count),
    h(
      "div",
      { class: "options-body" },
      field(t("systemPrompt"), text("systemPrompt", "textarea", { rows: "3" }), t("systemPromptHint")),
      h(
        "div",
        { class: "fields" },
        checkedField(t("temperature"), text("temperature", "input", { type: "number", min: "0", max: "2", step: "0.1" }), t("temperatureHint")),
        field(t("reasoningEffort"), efforts()),
      ),
      checkedField(t("responseSchema"), jsonText("responseSchema"), t("responseSchemaHint"), problemOfObject),
      tool(showCount),
      h("label", { class: "check" }, fallback, t("mayFallBack")),
    ),
  );

  function showCount() {
    const number = countOfChosen();
    fill(count, number > 0 && [String(number), unseen(` ${t("optionsSet", { count: number })}`)]);
  }

  function close(event) {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    details.firstElementChild.focus();
  }

  function leave(event) {
    if (!details.contains(event.target)) details.open = false;
  }

  showCount();
  return details;
}

/** Return a control for the option `name`. */
function text(name, tag, properties) {
  const control = h(tag, { ...properties, value: chosen[name], oninput: () => (chosen[name] = control.value) });
  return control;
}

function jsonText(name) {
  return text(name, "textarea", { rows: "4", class: "is-code", spellcheck: "false", autocapitalize: "none", placeholder: JSON.stringify(EXAMPLE_PARAMETERS) });
}

function efforts() {
  const choice = (effort) => h("option", { value: effort, selected: effort === chosen.reasoningEffort }, t(`effort_${effort}`));
  const control = h("select", { onchange: () => (chosen.reasoningEffort = control.value) }, h("option", { value: "" }, t("effort_default")), EFFORTS.map(choice));
  return control;
}

/** Return the fields of the tool that is offered to the model. `onexample` is called after the example was filled in. */
function tool(onexample) {
  const name = text("toolName", "input", { autocomplete: "off", autocapitalize: "none", spellcheck: "false", pattern: TOOL_NAME_PATTERN, title: t("toolNameRule") });
  const description = text("toolDescription", "input", { autocomplete: "off" });
  const parameters = jsonText("toolParameters");

  function fillIn() {
    chosen.toolName = name.value = "get_weather";
    chosen.toolDescription = description.value = t("toolExampleDescription");
    chosen.toolParameters = parameters.value = JSON.stringify(EXAMPLE_PARAMETERS, null, 2);
    for (const control of [name, parameters]) control.dispatchEvent(new Event("recheck"));
    onexample();
  }

  return h(
    "fieldset",
    { class: "tool" },
    h("legend", null, t("tool")),
    h("p", { class: "hint" }, t("toolHint")),
    checkedField(t("toolName"), name, t("toolNameHint"), () => (name.validity.patternMismatch ? t("toolNameRule") : "")),
    field(t("toolDescription"), description),
    checkedField(t("toolParameters"), parameters, t("toolParametersHint"), problemOfObject),
    h("button", { type: "button", class: "button", onclick: fillIn }, t("toolExample")),
  );
}
