// Files for a prompt: which are accepted, and how they are sent.

import { bytes, t } from "./i18n.js";

export const MOST_FILES = 16;
const MOST_BYTES = 20 * 1024 * 1024;

const IMAGES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const OTHERS = ["application/pdf", "audio/wav", "audio/mpeg"];
const SYNONYMS = { "image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/vnd.wave": "audio/wav" };
// Browsers know no type of some text files, or one that is not text/….
const TEXTS = { txt: "text/plain", log: "text/plain", json: "text/plain", yaml: "text/plain", yml: "text/plain", toml: "text/plain", py: "text/plain", js: "text/plain", ts: "text/plain", sh: "text/plain", sql: "text/plain", md: "text/markdown", csv: "text/csv", html: "text/html", xml: "text/xml" };

/** Value of the `accept` attribute of a file input. */
export const ACCEPTED = [...IMAGES, ...OTHERS, "text/*", ...Object.keys(TEXTS).map((ending) => `.${ending}`)].join(",");

/** Return whether attachments of a media type are shown as images. */
export function isImage(mediaType) {
  return IMAGES.includes(mediaType);
}

/**
 * Return the file as an attachment: `{name, mediaType, bytes, blob}`. Its content is read at once, since the file may change
 * before it is sent. A file that cannot be attached throws an error with a message for the user.
 */
export async function attachmentOf(file) {
  const name = file.name || t("pastedFile");
  const mediaType = mediaTypeOf(file);
  if (!mediaType) throw new Error(t("wrongType", { name }));
  if (file.size > MOST_BYTES) throw new Error(t("tooLarge", { name, most: bytes(MOST_BYTES) }));
  if (file.size === 0) throw new Error(t("emptyFile", { name }));
  try {
    return { name, mediaType, bytes: file.size, blob: new Blob([await file.arrayBuffer()], { type: mediaType }) };
  } catch {
    throw new Error(t("unreadableFile", { name }));
  }
}

/** Return the attachment as it is sent to the service: its content in base64, or how the service names one that it has. */
export async function encoded({ id, url, name, mediaType, blob }) {
  if (!blob) return url ? { url, mediaType, name } : { attachmentId: id, name };
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ mediaType, name, data: reader.result.slice(reader.result.indexOf(",") + 1) });
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function mediaTypeOf({ name, type }) {
  const stated = type.split(";")[0].trim().toLowerCase();
  const known = SYNONYMS[stated] ?? stated;
  if (isImage(known) || OTHERS.includes(known) || known.startsWith("text/")) return known;
  return TEXTS[name.split(".").pop().toLowerCase()] ?? null;
}
