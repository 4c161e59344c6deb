// A block of code: its language, a button that copies it, and its text with marked tokens. The text may grow.

import { tokenizerOf } from "./code_tokens.js";
import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const STEP_CHARACTERS = 8_000; // marked at a time, so that a long block does not hold up the page
const LONGEST_LINE = 2_000; // characters; longer lines, and what comes after the most characters, stay plain
const MOST_CHARACTERS = 200_000;

const texts = new WeakMap(); // by the block's element

/** Return the block. `label` is shown as its heading instead of the language. */
export function codeBlock({ language, text, label = language || t("code") }) {
  const code = new CodeText(language);
  const element = h(
    "div",
    { class: "code" },
    h("div", { class: "code-head" }, h("span", null, label), copyButton(() => code.text, t("copyCode"))),
    h("pre", { tabindex: "0", role: "group", "aria-label": label }, code.element),
  );
  texts.set(element, code);
  code.grow(text);
  return element;
}

/** Show another text in a block, and return whether that was possible: it begins with the lines that are marked already. */
export function growCodeBlock(element, { language, text }) {
  const code = texts.get(element);
  if (code?.language !== language || !code.isBeginningOf(text)) return false;
  code.grow(text);
  return true;
}

class CodeText {
  text = "";
  #tokenizer;
  #marked = h("span"); // whole lines that are marked
  #rest = h("span"); // the last line, which may still grow, and lines that are not marked yet
  #start = 0; // of the first line that is not marked
  #state = null;
  #isWaiting = false;

  constructor(language) {
    this.language = language;
    this.#tokenizer = tokenizerOf(language);
    this.element = h("code", null, this.#marked, this.#rest);
  }

  isBeginningOf(text) {
    return text.startsWith(this.text.slice(0, this.#end));
  }

  grow(text) {
    this.text = text;
    if (this.#isWaiting) this.#showRest();
    else this.#step();
  }

  /** Where the marked lines end: the line break after them belongs to the rest, as it may not be there at the end. */
  get #end() {
    return Math.max(0, this.#start - 1);
  }

  /** Mark some more lines, and the others with the next frames. */
  #step() {
    this.#isWaiting = false;
    if (!this.#tokenizer || this.#rest.querySelector("mark")) { // a search result within, which would be lost
      this.#showRest();
      return;
    }
    const most = Math.min(this.#start + STEP_CHARACTERS, MOST_CHARACTERS);
    let lineEnd = this.text.indexOf("\n", this.#start);
    while (lineEnd >= 0 && this.#start < most) {
      const { nodes, state } = this.#nodesOf(this.text.slice(this.#start, lineEnd));
      this.#marked.append(this.#break(), ...nodes);
      this.#state = state;
      this.#start = lineEnd + 1;
      lineEnd = this.text.indexOf("\n", this.#start);
    }
    if (lineEnd < 0) {
      this.#rest.replaceChildren(this.#break(), ...this.#nodesOf(this.text.slice(this.#start)).nodes);
      return;
    }
    this.#showRest();
    if (this.#start >= MOST_CHARACTERS) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => this.#step());
  }

  #showRest() {
    this.#rest.textContent = this.text.slice(this.#end);
  }

  /** Return the line break before the first line that is not marked. */
  #break() {
    return this.text.slice(this.#end, this.#start);
  }

  #nodesOf(line) {
    if (line.length > LONGEST_LINE) return { nodes: [line], state: this.#state };
    const { tokens, state } = this.#tokenizer.tokensOf(line, this.#state);
    return { nodes: tokens.map(([kind, text]) => (kind ? h("span", { class: `token-${kind}` }, text) : text)), state };
  }
}
