// Images from data that is in the page already.

import { h } from "./dom.js";

/** Return an image element; `onbroken` is called if the data is no image. */
export function imageOf(blob, alt, onbroken = () => {}) {
  const address = URL.createObjectURL(blob);
  const release = () => URL.revokeObjectURL(address);
  const image = h("img", { src: address, alt, onload: release, onerror: () => {
    release();
    onbroken();
  } });
  return image;
}
