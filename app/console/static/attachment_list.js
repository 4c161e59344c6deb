// Attachments of a prompt: images are shown, other files are links that download them.

import * as api from "./api.js";
import { isImage } from "./attachments.js";
import { fill, h } from "./dom.js";
import { save } from "./download.js";
import { bytes, t } from "./i18n.js";
import { icon } from "./icons.js";
import { imageOf } from "./image.js";

const AHEAD = "400px"; // distance from the visible part at which an image is loaded

/**
 * Return the list. An attachment has a `name` (or null), a `mediaType` and `bytes`, and either its `blob`, the `id` it is
 * stored under, or the `url` of a reference. `ongrow` is called when an image appears.
 */
export function attachmentList(attachments, ongrow = () => {}) {
  return h("ul", { class: "attachments", "aria-label": t("attachments") }, attachments.map((attachment) => item(attachment, ongrow)));
}

function item(attachment, ongrow) {
  const element = h("li", null, link(attachment));
  // A reference is not loaded: the page's policy forbids it, and its server would see the reader's address.
  if (isImage(attachment.mediaType) && !attachment.url) whenSeen(element, () => showImage(element, attachment, ongrow));
  return element;
}

async function showImage(element, attachment, ongrow) {
  const asFile = () => fill(element, link(attachment, t("notShown")));
  try {
    const blob = await contentOf(attachment);
    const label = t("downloadFile", { name: nameOf(attachment) });
    fill(element, h("button", { type: "button", class: "picture", title: label, "aria-label": label, onclick: () => save(blob, nameOf(attachment)) }, imageOf(blob, nameOf(attachment), { onload: ongrow, onbroken: asFile })));
  } catch {
    asFile();
  }
}

function link(attachment, note) {
  const facts = [attachment.bytes !== null && bytes(attachment.bytes), note].filter(Boolean).join(" · ");
  const content = [icon("file"), h("span", { class: "file-name" }, nameOf(attachment)), facts && h("small", null, facts)];
  if (attachment.url) return h("a", { class: "file", href: attachment.url.startsWith("https://") ? attachment.url : null, target: "_blank", rel: "noopener noreferrer" }, content);
  const problem = h("span");

  async function download(event) {
    // The browser's own download would lack the credential.
    event.preventDefault();
    try {
      fill(problem);
      save(await contentOf(attachment), nameOf(attachment));
    } catch {
      fill(problem, h("p", { class: "field-error", role: "alert" }, t("notLoaded")));
    }
  }

  return h("div", null, h("a", { class: "file", href: attachment.id ? api.attachmentPath(attachment.id) : "#", download: nameOf(attachment), onclick: download }, content), problem);
}

/** Return the content, which is loaded once. */
async function contentOf(attachment) {
  attachment.blob ??= new Blob([await api.attachment(attachment.id)], { type: attachment.mediaType });
  return attachment.blob;
}

function nameOf({ name, mediaType }) {
  return name || t(isImage(mediaType) ? "image" : "file");
}

/** Call `load` once, when the element is about to become visible. */
function whenSeen(element, load) {
  const observer = new IntersectionObserver(
    ([entry]) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      load();
    },
    { rootMargin: AHEAD },
  );
  observer.observe(element);
}
