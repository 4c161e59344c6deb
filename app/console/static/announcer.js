// Announcements for screen readers, in one polite live region. Answers that are still growing are not announced.

/** Announce `text` after the current speech. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
