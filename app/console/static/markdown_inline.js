// Emphasis, code, links and line breaks within a paragraph. Anything else is shown as plain text.

import { h } from "./dom.js";

const LONGEST = 10_000; // characters of one paragraph; longer ones are shown as plain text
const DEEPEST = 5;
const TOKEN = /\\[!-/:-@[-`{-~]|`+|!?\[|\*{1,3}|_{1,3}|~~|<https?:\/\/[^\s<>]+>|https?:\/\/[^\s<>]+|\n/g;
const TAGS = { "*": ["em"], "**": ["strong"], "***": ["strong", "em"], _: ["em"], __: ["strong"], ___: ["strong", "em"], "~~": ["del"] };

/** Return the nodes for the text of a paragraph. */
export function inline(text) {
  return text.length > LONGEST ? [text] : parsed(text, 0);
}

function parsed(text, depth) {
  const nodes = [];
  let at = 0;
  const token = new RegExp(TOKEN);
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const found = nodeAt(text, match, depth);
    if (!found) continue;
    nodes.push(text.slice(at, match.index), found.node);
    at = token.lastIndex = found.end;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

/** Return the node that begins at a token, and the end of its source; null if the token begins none. */
function nodeAt(text, { 0: token, index }, depth) {
  const start = index + token.length;
  if (token === "\n") return { node: h("br"), end: start };
  if (token[0] === "\\") return { node: token[1], end: start };
  if (token[0] === "`") return codeAt(text, token, start);
  if (token[0] === "<") return { node: link(token.slice(1, -1), [token.slice(1, -1)]), end: start };
  if (token[0] === "h") return bareLink(token, index);
  if (token.endsWith("[")) return linkAt(text, start, depth);
  return depth < DEEPEST ? emphasisAt(text, token, index, depth) : null;
}

function codeAt(text, ticks, start) {
  let end = text.indexOf(ticks, start);
  while (end >= 0 && text[end + ticks.length] === "`") {
    while (text[end] === "`") end += 1;
    end = text.indexOf(ticks, end);
  }
  if (end < 0) return null;
  const code = text.slice(start, end).replaceAll("\n", " ");
  const trimmed = code.trim() && code.startsWith(" ") && code.endsWith(" ") ? code.slice(1, -1) : code;
  return { node: h("code", null, trimmed), end: end + ticks.length };
}

function emphasisAt(text, mark, index, depth) {
  const start = index + mark.length;
  const isWord = (character) => /[\p{L}\p{N}]/u.test(character ?? "");
  if (/\s/.test(text[start] ?? " ") || (mark[0] === "_" && isWord(text[index - 1]))) return null;
  for (let end = text.indexOf(mark, start + 1); end >= 0; end = text.indexOf(mark, end + 1)) {
    const after = end + mark.length;
    if (/\s/.test(text[end - 1]) || text[end - 1] === "\\") continue;
    if (mark.length < 3 && text[after] === mark[0] && text[end - 1] !== mark[0]) {
      end += 1; // a longer run, which closes another element
      continue;
    }
    if (mark[0] === "_" && isWord(text[after])) continue;
    const [outer, within] = TAGS[mark];
    const children = parsed(text.slice(start, end), depth + 1);
    return { node: h(outer, null, within ? h(within, null, children) : children), end: after };
  }
  return null;
}

/** Return a link. Images become links too, since loading them would send requests to other sites. */
function linkAt(text, start, depth) {
  const label = text.indexOf("](", start);
  const end = label < 0 ? -1 : closingOf(text, label + 2);
  if (end < 0) return null;
  const address = text.slice(label + 2, end).trim().split(/\s/)[0];
  const words = depth < DEEPEST ? parsed(text.slice(start, label), depth + 1) : [text.slice(start, label)];
  return { node: link(address, words), end: end + 1 };
}

/** Return the position of the closing parenthesis, skipping pairs within the URL. */
function closingOf(text, start) {
  let open = 1;
  for (let at = start; at < text.length && text[at] !== "\n"; at += 1) {
    if (text[at] === "(") open += 1;
    else if (text[at] === ")") open -= 1;
    if (open === 0) return at;
  }
  return -1;
}

function bareLink(token, index) {
  const address = token.replace(/[.,;:!?'")\]*_]+$/, "");
  return { node: link(address, [address]), end: index + address.length };
}

/** Return a link to another site, or only its text if the URL is not of an allowed kind. */
function link(address, words) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !["http:", "https:"].includes(url.protocol)) return h("span", null, words);
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, words);
}
