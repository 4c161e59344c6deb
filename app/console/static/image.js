// Images from data that is in the page already.

import { h } from "./dom.js";

/** Return an image element. `onload` is called when it is shown, `onbroken` if the data is no image. */
export function imageOf(blob, alt, { onload, onbroken } = {}) {
  const address = URL.createObjectURL(blob);
  const then = (call) => () => {
    URL.revokeObjectURL(address);
    call?.();
  };
  return h("img", { src: address, alt, onload: then(onload), onerror: then(onbroken) });
}
