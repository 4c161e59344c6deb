// Tells a screen reader what changed, in one place and politely: a text that grows word by word is not read out.

/** Have `text` read out when the reader is done with what it says. */
export function say(text) {
  document.getElementById("announcer").textContent = text;
}
