// Form for the results of a turn's tool calls: the user takes the place of the tools.

import { checkedField, isComplete, problemOfJson } from "./checked_field.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { lineOf } from "./turn_items.js";

const SHOWN_CHARACTERS = 80; // of a call's arguments, to tell calls of one tool apart

/**
 * Return the turn whose calls are unanswered, or null. Like in the service, turns that failed without any text are no part of
 * the conversation: after them the calls of the turn before are still open.
 */
export function openTurn(turns) {
  const last = turns.findLast((turn) => !turn.isOver || turn.isAnswered);
  return last?.isOver && last.toolCalls.length ? last : null;
}

/** Return the form; `onsend` gets the results in the form of the API. What is typed is kept with the turn. */
export function toolResultsForm(turn, onsend) {
  const rows = turn.toolCalls.map((call) => resultFields(call, draftOf(turn, call)));
  return h(
    "form",
    { class: "results card", novalidate: true, "aria-labelledby": "results-title", onsubmit: submit },
    h("h2", { id: "results-title" }, t("resultsTitle", { count: rows.length })),
    h("p", { class: "hint" }, t("resultsHint")),
    rows,
    h("button", { type: "submit", class: "button primary" }, t("sendResults", { count: rows.length })),
  );

  function submit(event) {
    event.preventDefault();
    if (isComplete(event.target)) onsend(turn.toolCalls.map((call) => resultOf(call, draftOf(turn, call))));
  }
}

function draftOf(turn, { id }) {
  if (!turn.drafts.has(id)) turn.drafts.set(id, { text: "", isJson: false, isError: false });
  return turn.drafts.get(id);
}

function resultOf({ id: callId }, { text, isJson, isError }) {
  return { callId, output: isJson ? JSON.parse(text) : text, ...(isError && { isError }) };
}

function resultFields(call, draft) {
  const text = h("textarea", { rows: "2", value: draft.text, oninput: () => (draft.text = text.value) });
  const isJson = h("input", { type: "checkbox", checked: draft.isJson, onchange: () => {
    draft.isJson = isJson.checked;
    text.dispatchEvent(new Event("recheck"));
  } });
  const isError = h("input", { type: "checkbox", checked: draft.isError, onchange: () => (draft.isError = isError.checked) });
  return h(
    "fieldset",
    null,
    h("legend", null, h("code", null, call.name), " ", h("small", null, shortened(lineOf(call.arguments)))),
    checkedField(t("result"), text, null, (value) => (draft.isJson ? problemOfJson(value) : "")),
    h("div", { class: "checks" }, h("label", { class: "check" }, isJson, t("resultIsJson")), h("label", { class: "check" }, isError, t("toolFailed"))),
  );
}

function shortened(text) {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}
