// Marks search results as the API's `q` matches them: whole words, ignoring case, and accents on the letters a to z.

import { h } from "./dom.js";

const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const EXCERPT = 220; // characters
const MARKS = /^[|:\s-]+$|^#+ |^```.*$|\*\*|[`|]/gm; // markdown syntax
const SEARCHED = 20_000; // characters of a text that are searched for its excerpt
const LEAD = 60; // characters of an excerpt before the first match

/** Return the words of a search in normalised form. */
export function wordsOf(question) {
  return new Set((question.match(WORD) ?? []).map(plain));
}

/** Return `text` as nodes, with matching words in `mark` elements. */
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

/** Return the part of a long text around the first match, without markdown syntax. */
export function excerpt(text, words) {
  const flat = text.slice(0, SEARCHED).replace(MARKS, " ").replace(/\s+/g, " ").trim();
  let start = 0;
  for (const { 0: word, index } of words.size ? flat.matchAll(WORD) : []) {
    if (!words.has(plain(word))) continue;
    start = index > EXCERPT - LEAD ? index - LEAD : 0;
    break;
  }
  const end = start + EXCERPT;
  return (start ? "…" : "") + flat.slice(start, end) + (end < flat.length ? "…" : "");
}

/** Mark matching words in a rendered answer. */
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
