// Marks what the API's `q` found: whole words, whatever their case, and on the letters a to z whatever their accents.

import { h } from "./dom.js";

const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const EXCERPT = 220; // characters
const MARKS = /^[|:\s-]+$|^#+ |^```.*$|\*\*|[`|]/gm; // of markdown
const LOOKED_THROUGH = 20_000; // of a text for it
const LEAD = 60; // of them before the first word found

/** Return the words of a question as they are compared. */
export function wordsOf(question) {
  return new Set((question.match(WORD) ?? []).map(plain));
}

/** Return `text` as nodes, with the words found in `mark` elements. */
export function highlighted(text, words) {
  if (!words.size) return [text];
  const nodes = [];
  let at = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!words.has(plain(word))) continue;
    nodes.push(text.slice(at, index), h("mark", null, word));
    at = index + word.length;
  }
  return [...nodes, text.slice(at)];
}

/** Return the part of a long text that holds the first word found, without the signs of markdown. */
export function excerpt(text, words) {
  const flat = text.slice(0, LOOKED_THROUGH).replace(MARKS, " ").replace(/\s+/g, " ").trim();
  let start = 0;
  for (const { 0: word, index } of words.size ? flat.matchAll(WORD) : []) {
    if (!words.has(plain(word))) continue;
    start = index > EXCERPT - LEAD ? index - LEAD : 0;
    break;
  }
  const end = start + EXCERPT;
  return (start ? "…" : "") + flat.slice(start, end) + (end < flat.length ? "…" : "");
}

/** Mark the words found in an element that shows an answer. */
export function highlightWithin(element, words) {
  if (!words.size) return;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    const nodes = highlighted(text.data, words);
    if (nodes.length > 1) text.replaceWith(...nodes);
  }
}

function plain(word) {
  return word.normalize("NFD").toLowerCase().replace(/([a-z])\p{M}+/gu, "$1");
}
