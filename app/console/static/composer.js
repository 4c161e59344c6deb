// Form for a prompt: model, text, options, and a button that sends or stops.

import * as api from "./api.js";
import { field } from "./dialog.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";

const chosen = { words: "", model: "", systemPrompt: "", temperature: "", fallback: true };

/** Return the composer: its element and its methods. */
export function composer({ onsend, onstop }) {
  const trouble = h("div");
  const models = h("select", { "aria-label": t("model"), onchange: () => (chosen.model = models.value) });
  const words = h("textarea", { rows: "1", "aria-label": t("prompt"), placeholder: t("promptPlaceholder"), "aria-describedby": "prompt-hint", value: chosen.words, oninput: grow, onkeydown: keys });
  const button = h("button", { class: "button primary send" });
  const form = h(
    "form",
    { class: "composer", onsubmit: submit },
    trouble,
    words,
    h("div", { class: "composer-bar" }, h("div", { class: "select" }, models), options(), h("p", { class: "hint", id: "prompt-hint" }, t("promptHint")), button),
  );
  let isAnswering = false;
  let hasFailed = false;

  function submit(event) {
    event.preventDefault();
    if (isAnswering) {
      onstop();
      return;
    }
    if (words.value.trim() === "") {
      words.focus();
      return;
    }
    onsend(request(words.value));
    words.value = "";
    grow();
  }

  function keys(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!isAnswering) form.requestSubmit();
    }
  }

  function grow() {
    chosen.words = words.value;
    words.style.height = "auto";
    words.style.height = `${words.scrollHeight}px`;
  }

  async function load() {
    hasFailed = false;
    fill(trouble);
    try {
      const found = await api.models();
      if (!found.some((model) => model.id === chosen.model)) chosen.model = found[0]?.id ?? "";
      fill(models, found.length ? found.map(choice) : h("option", { value: "" }, t("noModels")));
    } catch (error) {
      hasFailed = true;
      fill(models, h("option", { value: chosen.model }, chosen.model || t("defaultModel")));
      fill(trouble, problemCard(error, load));
    }
  }

  fill(models, h("option", { value: "" }, t("loading")));
  const view = {
    element: form,
    load,
    /** Load the models again if that failed. */
    reload: () => hasFailed && load(),
    focus: () => words.focus(),
    /** Show the stop button while an answer is in progress, otherwise the send button. */
    follow(isOn) {
      isAnswering = isOn;
      button.classList.toggle("is-stop", isOn);
      const label = t(isOn ? "stop" : "send");
      button.title = label;
      fill(button, icon(isOn ? "stop" : "send"), unseen(label));
    },
  };
  view.follow(false);
  return view;
}

/** Return the body of POST /v1/chat for a prompt, without the options that are not set. */
export function request(userPrompt) {
  const { model, systemPrompt, temperature, fallback } = chosen;
  return {
    userPrompt,
    ...(model && { model }),
    ...(systemPrompt && { systemPrompt }),
    ...(temperature !== "" && { temperature: Number(temperature) }),
    ...(!fallback && { fallback }),
  };
}

function choice({ id, owned_by: provider }, index) {
  const name = id.includes(provider) ? id : `${id} (${provider})`;
  return h("option", { value: id, selected: id === chosen.model }, index === 0 ? `${name} · ${t("defaultModel")}` : name);
}

function options() {
  const system = h("textarea", { rows: "3", value: chosen.systemPrompt, oninput: () => (chosen.systemPrompt = system.value) });
  const temperature = h("input", { type: "number", min: "0", max: "2", step: "0.1", value: chosen.temperature, oninput: () => (chosen.temperature = temperature.value) });
  const fallback = h("input", { type: "checkbox", checked: chosen.fallback, onchange: () => (chosen.fallback = fallback.checked) });
  const details = h(
    "details",
    { class: "options", onkeydown: close, ontoggle: () => document[details.open ? "addEventListener" : "removeEventListener"]("pointerdown", leave) },
    h("summary", { title: t("options") }, icon("filter"), h("span", null, t("options"))),
    h("div", { class: "options-body" }, field(t("systemPrompt"), system, t("systemPromptHint")), field(t("temperature"), temperature, t("temperatureHint")), h("label", { class: "check" }, fallback, t("mayFallBack"))),
  );

  function close(event) {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    details.firstElementChild.focus();
  }

  function leave(event) {
    if (!details.contains(event.target)) details.open = false;
  }

  return details;
}
