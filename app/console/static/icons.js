// Icons on a grid of 24, drawn as strokes in the colour of the surrounding text.

import { s } from "./dom.js";

const PATHS = {
  chat: "M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5z",
  history: "M4.5 9A8 8 0 1 1 4 12M4 4.5V9h4.5M12 8v4.5l3 1.5",
  overview: "M4 20h16M7 16v-4M12 16V6M17 16v-7",
  usage: "M4 19.5h16M5 15.5l5-5 4 3 6-7M16 6.5h4v4",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  plus: "M12 5v14M5 12h14",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18zM14.5 6.5l3 3",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  light: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  dark: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  user: "M12 4.5a3.75 3.75 0 1 1 0 7.5 3.75 3.75 0 0 1 0-7.5zM4.5 20a7.5 7.5 0 0 1 15 0",
  search: "M10.5 4.5a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15 15l5 5",
  filter: "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
  close: "M6 6l12 12M18 6L6 18",
  alert: "M12 4l9 16H3zM12 10v4.5M12 17.2v.3",
  refresh: "M19.5 9A8 8 0 1 0 20 12M20 4.5V9h-4.5",
  list: "M4 6h16M4 12h16M4 18h10",
  back: "M11 6l-6 6 6 6M5 12h14",
  previous: "M14.5 6l-6 6 6 6",
  next: "M9.5 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  clip: "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1L13 4.3a3.4 3.4 0 0 1 4.8 4.8l-8.3 8.3a1.7 1.7 0 0 1-2.4-2.4l7.6-7.6",
  file: "M6.5 3.5h7.5l4 4v13H6.5zM14 3.5v4h4",
  tool: "M8.5 4C5.5 4 7 8 6.5 10.2 6.2 11.4 5 12 4 12c1 0 2.2.6 2.5 1.8C7 16 5.5 20 8.5 20M15.5 4c3 0 1.5 4 2 6.2.3 1.2 1.5 1.8 2.5 1.8-1 0-2.2.6-2.5 1.8-.5 2.2 1 6.2-2 6.2",
  detour: "M4 17h4c5 0 3-10 8-10h4M17 4l3 3-3 3",
};

/** Return the icon, hidden from screen readers; the control that contains it needs a label. */
export function icon(name) {
  return s("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}
