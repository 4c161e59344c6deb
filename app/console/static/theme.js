// Runs before the page is drawn, so that a chosen theme is there from the first picture on.
try {
  document.documentElement.dataset.theme = localStorage.getItem("rt-console-theme") ?? "auto";
} catch {
  // Where storage is forbidden the system decides.
}
