// Selection of files for the next prompt: by button, by drag and drop, or from the clipboard.

import { announce } from "./announcer.js";
import { ACCEPTED, MOST_FILES, attachmentOf, isImage } from "./attachments.js";
import { fill, h } from "./dom.js";
import { bytes, t } from "./i18n.js";
import { icon } from "./icons.js";
import { imageOf } from "./image.js";

// Changing the language creates a new view, so the files are stored here.
let files = [];
let reading = Promise.resolve();

/** Return the picker: its button, the list of the files, and methods to add files and to take them all. */
export function attachmentPicker() {
  const problems = h("div", { class: "attached-problems" });
  const list = h("ul", { class: "attached", "aria-label": t("attachments") });
  const input = h("input", { type: "file", multiple: true, hidden: true, accept: ACCEPTED, onchange: chosenByButton });
  const button = h("button", { type: "button", class: "quiet attach", title: t("attach"), "aria-label": t("attach"), onclick: () => input.click() }, icon("clip"));

  function chosenByButton() {
    add([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  }

  /** Add files, after those that are still being read. */
  function add(added) {
    reading = reading.then(() => read(added));
  }

  async function read(added) {
    const wrong = [];
    const accepted = [];
    const free = MOST_FILES - files.length;
    if (added.length > free) wrong.push(t("tooManyFiles", { count: MOST_FILES }));
    for (const file of added.slice(0, free)) {
      try {
        accepted.push(await attachmentOf(file));
      } catch (error) {
        wrong.push(error.message);
      }
    }
    files = [...files, ...accepted];
    show();
    fill(problems, wrong.map((text) => h("p", { class: "field-error", role: "alert" }, text)));
    if (accepted.length) announce(t("attachedFiles", { count: accepted.length, names: accepted.map(({ name }) => name).join(", ") }));
  }

  function remove(file) {
    const position = files.indexOf(file);
    files = files.filter((other) => other !== file);
    show();
    fill(problems);
    announce(t("removedFile", { name: file.name }));
    const buttons = list.querySelectorAll("button");
    (buttons[position] ?? buttons[position - 1] ?? button).focus();
  }

  function show() {
    list.hidden = files.length === 0;
    fill(list, files.map((file) => item(file, () => remove(file))));
  }

  show();
  return {
    element: h("div", null, problems, list, input),
    button,
    add,
    /** Return the files, once all are read, and begin a new selection. */
    async take() {
      await reading;
      const taken = files;
      files = [];
      show();
      fill(problems);
      return taken;
    },
  };
}

/** Call `onfiles` with the files that are dropped on `element`, which has the class `is-target` while they are above it. */
export function acceptDrops(element, onfiles) {
  const isFile = (event) => event.dataTransfer.types.includes("Files");
  element.addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    element.classList.add("is-target");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) element.classList.remove("is-target");
  });
  element.addEventListener("drop", (event) => {
    element.classList.remove("is-target");
    if (!isFile(event)) return;
    event.preventDefault();
    onfiles([...event.dataTransfer.files]);
  });
}

/** Call `onfiles` with the files that are pasted into `control`. Text has priority: office programs add a picture of it. */
export function acceptPastes(control, onfiles) {
  control.addEventListener("paste", (event) => {
    const { files: pasted, types } = event.clipboardData;
    if (!pasted.length || types.includes("text/plain")) return;
    event.preventDefault();
    onfiles([...pasted]);
  });
}

function item(file, remove) {
  const label = t("removeFile", { name: file.name });
  return h(
    "li",
    null,
    isImage(file.mediaType) ? imageOf(file.blob, "") : icon("file"),
    h("span", { class: "file-name" }, file.name),
    h("small", null, bytes(file.bytes)),
    h("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick: remove }, icon("close")),
  );
}
