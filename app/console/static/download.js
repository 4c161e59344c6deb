// Downloads of generated files.

import { h } from "./dom.js";

const KEPT_MILLISECONDS = 60_000;

/** Download `blob` as a file called `name`. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MILLISECONDS);
}
