// Form for a prompt: text, attachments, model, options, and a button that sends or stops.

import * as api from "./api.js";
import { acceptPastes, attachmentPicker } from "./attachment_picker.js";
import { chatOptions } from "./chat_options.js";
import { chosen, request } from "./chat_request.js";
import { isComplete } from "./checked_field.js";
import { fill, h, unseen } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { problemCard } from "./problem_card.js";

// Changing the language creates a new view, so the text is stored here.
let draft = "";

/** Return the composer: its element and its methods. */
export function composer({ onsend, onstop }) {
  const trouble = h("div");
  const models = h("select", { "aria-label": t("model"), onchange: () => (chosen.model = models.value) });
  const words = h("textarea", { rows: "1", "aria-label": t("prompt"), placeholder: t("promptPlaceholder"), "aria-describedby": "prompt-hint", value: draft, oninput: grow, onkeydown: keys });
  const button = h("button", { class: "button primary send" });
  const attachments = attachmentPicker();
  const form = h(
    "form",
    { class: "composer", novalidate: true, onsubmit: submit },
    trouble,
    attachments.element,
    words,
    h("div", { class: "composer-bar" }, h("div", { class: "select" }, models), attachments.button, chatOptions(), h("p", { class: "hint", id: "prompt-hint" }, t("promptHint")), button),
  );
  let isAnswering = false;
  let hasFailed = false;

  async function submit(event) {
    event.preventDefault();
    if (isAnswering) {
      onstop();
      return;
    }
    if (words.value.trim() === "") {
      words.focus();
      return;
    }
    const body = requestOf({ userPrompt: words.value });
    if (!body) return;
    words.value = "";
    grow();
    const files = await attachments.take();
    onsend(files.length ? { ...body, attachments: files } : body);
  }

  /** Return the body of POST /v1/chat for a prompt or tool results; null, with the focus on it, if an option is not valid. */
  function requestOf(content) {
    return isComplete(form) ? request(content) : null;
  }

  function keys(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!isAnswering) form.requestSubmit();
    }
  }

  function grow() {
    draft = words.value;
    words.style.height = "auto";
    words.style.height = `${words.scrollHeight}px`;
  }

  async function load() {
    hasFailed = false;
    fill(trouble);
    try {
      const found = await api.chatModels();
      if (!found.some((model) => model.id === chosen.model)) chosen.model = found[0]?.id ?? "";
      fill(models, found.length ? found.map(choice) : h("option", { value: "" }, t("noModels")));
    } catch (error) {
      hasFailed = true;
      fill(models, h("option", { value: chosen.model }, chosen.model || t("defaultModel")));
      fill(trouble, problemCard(error, load));
    }
  }

  acceptPastes(words, attachments.add);
  fill(models, h("option", { value: "" }, t("loading")));
  const view = {
    element: form,
    load,
    /** Load the models again if that failed. */
    reload: () => hasFailed && load(),
    focus: () => words.focus(),
    requestOf,
    attach: attachments.add,
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

function choice({ id, owned_by: provider }, index) {
  const name = id.includes(provider) ? id : `${id} (${provider})`;
  return h("option", { value: id, selected: id === chosen.model }, index === 0 ? `${name} · ${t("defaultModel")}` : name);
}
