// Splits markdown into blocks: `{kind, source, …}`. The renderer compares `source` to keep unchanged blocks.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/;
const DIVIDER = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** Return the blocks of a text. */
export function blocksOf(text) {
  const source = text.replace(/\r\n?/g, "\n").split("\n");
  const lines = source.map((line) => line.replaceAll("\t", "    "));
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const block = blockAt(lines, at);
    if (block.kind === "code") block.text = source.slice(at + 1, block.textEnd).join("\n"); // with its tabs, for copying
    block.source = source.slice(at, block.end).join("\n");
    blocks.push(block);
    at = block.end;
  }
  return blocks;
}

function blockAt(lines, at) {
  const line = lines[at];
  const fence = line.match(FENCE);
  if (fence) return fenceAt(lines, at, fence[1], fence[2]);
  const heading = line.match(HEADING);
  if (heading) return { kind: "heading", level: heading[1].length, text: heading[2], end: at + 1 };
  if (RULE.test(line)) return { kind: "rule", end: at + 1 };
  if (QUOTE.test(line)) return quoteAt(lines, at);
  if (ITEM.test(line)) return listAt(lines, at);
  if (isTableAt(lines, at)) return tableAt(lines, at);
  return paragraphAt(lines, at);
}

/** An unclosed fence extends to the end, because the answer may still be growing. */
function fenceAt(lines, at, mark, language) {
  let end = at + 1;
  while (end < lines.length && !isClosing(lines[end], mark)) end += 1;
  return { kind: "code", language, textEnd: end, end: Math.min(end + 1, lines.length) };
}

function isClosing(line, mark) {
  const trimmed = line.trim();
  return trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length);
}

function quoteAt(lines, at) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const text = lines.slice(at, end).map((line) => line.replace(QUOTE, "")).join("\n");
  return { kind: "quote", text, end };
}

function listAt(lines, at) {
  const isOrdered = /\d/.test(lines[at].match(ITEM)[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = lines[end].match(ITEM);
    if (!item || /\d/.test(item[2]) !== isOrdered || RULE.test(lines[end])) break;
    const indent = item[0].trimEnd().length + 1;
    const content = [lines[end].slice(Math.min(indent, lines[end].length))];
    end += 1;
    while (end < lines.length && isWithin(lines, end, indent)) {
      content.push(lines[end].replace(new RegExp(`^ {0,${indent}}`), ""));
      end += 1;
    }
    items.push(content.join("\n"));
    while (end < lines.length && !lines[end].trim() && ITEM.test(lines[end + 1] ?? "")) end += 1;
  }
  return { kind: "list", isOrdered, start: Number.parseInt(lines[at].match(ITEM)[2], 10) || 1, items, end };
}

/** Return whether a line continues an item: indented, also after a blank line, or text directly after text. */
function isWithin(lines, at, indent) {
  const depth = (line) => line.length - line.trimStart().length;
  if (!lines[at].trim()) return (lines[at + 1] ?? "").trim() !== "" && depth(lines[at + 1]) >= Math.min(indent, 2);
  if (depth(lines[at]) >= Math.min(indent, 2)) return true;
  return lines[at - 1].trim() !== "" && !isNewBlock(lines, at);
}

function isTableAt(lines, at) {
  return lines[at].includes("|") && (lines[at + 1] ?? "").includes("|") && DIVIDER.test(lines[at + 1]);
}

function tableAt(lines, at) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  return { kind: "table", head: cellsOf(lines[at]), rows: lines.slice(at + 2, end).map(cellsOf), end };
}

function cellsOf(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraphAt(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !isNewBlock(lines, end)) end += 1;
  return { kind: "paragraph", text: lines.slice(at, end).map((line) => line.trim()).join("\n"), end };
}

function isNewBlock(lines, at) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((start) => start.test(lines[at])) || isTableAt(lines, at);
}
