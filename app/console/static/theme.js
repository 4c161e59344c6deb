// Runs before the first paint, so that the page does not flash in another theme.
try {
  document.documentElement.dataset.theme = localStorage.getItem("rt-console-theme") ?? "auto";
} catch {
  // Without storage the theme of the system applies.
}
