// Renders an answer. It is untrusted: elements are created one by one, and its text becomes text nodes only.

import { codeBlock, growCodeBlock } from "./code_block.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { blocksOf } from "./markdown_blocks.js";
import { inline } from "./markdown_inline.js";

const DEEPEST = 8; // nested quotes and lists; deeper ones are shown as plain text

/** Render `text` in `container`. A later call with a longer text updates only the blocks that changed. */
export function showMarkdown(container, text) {
  const blocks = blocksOf(text);
  const shown = container.shownSources ?? [];
  blocks.forEach((block, index) => {
    if (shown[index] === block.source) return;
    const before = container.children[index];
    if (before && block.kind === "code" && growCodeBlock(before, block)) return;
    const element = elementOf(block, 0);
    if (before) before.replaceWith(element);
    else container.append(element);
  });
  while (container.children.length > blocks.length) container.lastElementChild.remove();
  container.shownSources = blocks.map((block) => block.source);
}

function elementsOf(text, depth) {
  if (depth > DEEPEST) return [text];
  const blocks = blocksOf(text);
  // A single paragraph in a list item is shown without the margins of a paragraph.
  if (blocks.length && blocks[0].kind === "paragraph") {
    const [first, ...others] = blocks;
    return [h("span", null, inline(first.text)), ...others.map((block) => elementOf(block, depth))];
  }
  return blocks.map((block) => elementOf(block, depth));
}

function elementOf(block, depth) {
  switch (block.kind) {
    case "code":
      return codeBlock(block);
    case "heading":
      // One level for all headings: those of an answer would skip levels in the outline of the page.
      return h("h3", { class: `heading-${block.level}` }, inline(block.text));
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", null, depth < DEEPEST ? blocksOf(block.text).map((inner) => elementOf(inner, depth + 1)) : block.text);
    case "list":
      return h(
        block.isOrdered ? "ol" : "ul",
        { start: block.isOrdered && block.start !== 1 ? block.start : null },
        block.items.map((item) => h("li", null, elementsOf(item, depth + 1))),
      );
    case "table":
      return table(block);
    default:
      return h("p", null, inline(block.text));
  }
}

function table({ head, rows }) {
  const row = (cells, tag) => h("tr", null, head.map((_, index) => h(tag, null, inline(cells[index] ?? ""))));
  return h(
    "div",
    { class: "table", tabindex: "0", role: "group", "aria-label": t("table") },
    h("table", null, h("thead", null, row(head, "th")), h("tbody", null, rows.map((cells) => row(cells, "td")))),
  );
}
