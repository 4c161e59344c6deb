// Form with all filters of the API. Empty fields are not sent.

import * as api from "./api.js";
import { field } from "./dialog.js";
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

let lists = 0;

/** Return the form: its element, `values()` as parameters of the API, and the number of filters that are set. */
export function historyFilters(onapply) {
  const search = h("input", { type: "search", name: "q", "aria-label": t("searchHistory"), placeholder: t("searchPlaceholder"), autocomplete: "off" });
  const known = { model: h("datalist", { id: `models-${(lists += 1)}` }), provider: h("datalist", { id: `providers-${lists}` }) };
  const text = (name, attributes) => h("input", { name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes });
  const statuses = api.STATUSES.map((status) => h("label", { class: "check" }, h("input", { type: "checkbox", name: "status", value: status }), t(`status_${status}`)));
  const summary = h("summary", { class: "button" });
  const form = h(
    "form",
    { class: "filters", role: "search", onsubmit: submit },
    h("div", { class: "search" }, icon("search"), search, h("button", { class: "button primary" }, t("search"))),
    h(
      "details",
      { class: "filters-more" },
      summary,
      h(
        "div",
        { class: "filters-body" },
        field(t("model"), text("model", { list: known.model.id, placeholder: t("anyModel") })),
        field(t("provider"), text("provider", { list: known.provider.id, placeholder: t("anyProvider") })),
        field(t("conversation"), text("conversationId")),
        field(t("order"), h("select", { name: "order" }, h("option", { value: "" }, t("newestFirst")), h("option", { value: "asc" }, t("oldestFirst")))),
        field(t("from"), h("input", { type: "datetime-local", name: "from" })),
        field(t("to"), h("input", { type: "datetime-local", name: "to" })),
        h("fieldset", null, h("legend", null, t("status")), h("div", { class: "checks" }, statuses), h("p", { class: "hint" }, t("statusHint"))),
        h("div", { class: "filters-actions" }, h("button", { class: "button primary" }, t("apply")), h("button", { type: "button", class: "button", onclick: clear }, t("clear"))),
        known.model,
        known.provider,
      ),
    ),
  );

  function submit(event) {
    event.preventDefault();
    tell();
    onapply();
  }

  function clear() {
    form.reset();
    tell();
    onapply();
  }

  function values() {
    const entered = new FormData(form);
    const time = (name) => entered.get(name) && new Date(entered.get(name)).toISOString();
    return {
      q: entered.get("q").trim(),
      model: entered.get("model").trim(),
      provider: entered.get("provider").trim(),
      conversationId: entered.get("conversationId").trim(),
      status: entered.getAll("status"),
      from: time("from"),
      to: time("to"),
      order: entered.get("order"),
    };
  }

  /** Return the number of filters that are set, without search and order. */
  function count() {
    const { q, order, ...others } = values();
    return Object.values(others).filter((value) => value && value.length).length;
  }

  function tell() {
    fill(summary, icon("filter"), count() ? t("filtersActive", { count: count() }) : t("filters"));
  }

  async function load() {
    try {
      const models = await api.chatModels();
      const choices = (names) => [...new Set(names)].map((value) => h("option", { value }));
      fill(known.model, choices(models.map((model) => model.id)));
      fill(known.provider, choices(models.map((model) => model.owned_by)));
    } catch {
      // The names can still be typed, and the list shows the error.
    }
  }

  tell();
  load();
  return { element: form, values, clear, isSet: () => count() > 0 || values().q !== "" };
}
