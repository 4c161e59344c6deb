// Creates elements. Strings always become text nodes; the console never parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; `on…` properties are listeners, `--…` are CSS variables, null and false leave a property out. */
export function h(tag, properties, ...children) {
  return withProperties(document.createElement(tag), properties, children);
}

/** Return an SVG element; the properties are those of `h`. */
export function s(tag, properties, ...children) {
  return withProperties(document.createElementNS(SVG, tag), properties, children);
}

/** Replace the children of `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(isShown));
  return element;
}

/** Return text for screen readers only. */
export function unseen(text) {
  return h("span", { class: "unseen" }, text);
}

function withProperties(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(isShown));
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}
