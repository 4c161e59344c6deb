// Splits lines of code into tokens: comments, strings, numbers, keywords and names.

import { ALIASES, LANGUAGES } from "./code_languages.js";

const compiled = new Map();

/** Return the tokenizer of a language by one of its names; null if it is not known. */
export function tokenizerOf(name) {
  const lower = name.toLowerCase();
  const known = ALIASES[lower] ?? lower;
  if (!Object.hasOwn(LANGUAGES, known)) return null;
  if (!compiled.has(known)) compiled.set(known, new Tokenizer(LANGUAGES[known]));
  return compiled.get(known);
}

class Tokenizer {
  #rules;
  #ends;
  #start;
  #words;
  #isCaseIgnored;

  constructor({ rules, words, isCaseIgnored = false }) {
    this.#rules = rules;
    this.#words = words;
    this.#isCaseIgnored = isCaseIgnored;
    this.#start = new RegExp(rules.map(([, pattern]) => `(${pattern})`).join("|"), "g");
    this.#ends = rules.map(([, , end]) => (end ? new RegExp(end, "y") : null));
  }

  /**
   * Return the tokens of a line as `[kind, text]`, an empty kind for plain text, and the state for the next line. The state
   * is the rule of the token that goes on, or null; so it is for the first line.
   */
  tokensOf(line, state) {
    const tokens = [];
    let at = 0; // end of the tokens
    let next = state;
    const take = (kind, end) => {
      if (end > at) tokens.push([kind, line.slice(at, end)]);
      at = end;
    };
    const takeRest = (rule, from) => {
      const end = this.#ends[rule];
      end.lastIndex = from;
      const isClosed = end.test(line);
      next = isClosed ? null : rule;
      take(this.#rules[rule][0], isClosed ? end.lastIndex : line.length);
    };
    if (state !== null) takeRest(state, 0);
    while (next === null) {
      this.#start.lastIndex = at;
      const match = this.#nextMatch(line);
      if (!match) break;
      const { rule, kind, index, text } = match;
      take("", index);
      if (this.#ends[rule]) takeRest(rule, index + text.length);
      else take(kind, index + text.length);
    }
    if (next === null) take("", line.length);
    return { tokens, state: next };
  }

  /** Return the next token that is not plain text. */
  #nextMatch(line) {
    for (let match = this.#start.exec(line); match; match = this.#start.exec(line)) {
      const rule = match.findIndex((text, index) => index > 0 && text !== undefined) - 1;
      const [text] = match;
      const kind = this.#kindOf(rule, text);
      if (text && kind) return { rule, kind, index: match.index, text };
      if (!text) this.#start.lastIndex += 1;
    }
    return null;
  }

  #kindOf(rule, text) {
    const [kind] = this.#rules[rule];
    if (kind !== "word") return kind;
    return this.#words.has(this.#isCaseIgnored ? text.toLowerCase() : text) ? "keyword" : "";
  }
}
