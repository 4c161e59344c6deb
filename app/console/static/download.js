// Gives a file to the reader.

import { h } from "./dom.js";

const KEPT_MILLISECONDS = 60_000;

/** Save `blob` under `name`, the way a link with a download does. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MILLISECONDS);
}
