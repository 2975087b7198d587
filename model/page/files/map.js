// A field-by-field map: what each two fields do together. One for contributions, one for attention,
// side by side; neither is the other.

import { draw, make, number, scrolled, table } from "./dom.js";
import { percent, plain, signed } from "./numbers.js";
import { byContribution, byFields, valueText } from "./terms.js";
import { mark } from "./waterfall.js";

const CELL = 20;
const LABEL = 110;

export function fieldMap(names, valueOf, { title, kind, text, own, say }) {
  const size = LABEL + CELL * (names.length + (own ? 1 : 0));
  const height = LABEL + CELL * names.length;
  const cells = [];
  const values = [];
  names.forEach((row, r) => {
    names.forEach((column, c) => {
      if (c <= r) values.push([r, c, row, column, valueOf(row, column)]);
    });
    if (own) values.push([r, names.length, row, null, valueOf(row)]);
  });
  const most = Math.max(...values.map((one) => Math.abs(one[4] ?? 0)), 1e-9);
  for (const [r, c, row, column, value] of values) {
    if (value === null) continue;
    const share = Math.abs(value) / most;
    const words = column === null ? `${row} by itself: ${text(value)}` : `${row} × ${column}: ${text(value)}`;
    cells.push(
      draw(
        "rect",
        {
          class: value < 0 ? "minus" : kind, x: LABEL + CELL * c, y: LABEL + CELL * r, width: CELL - 1, height: CELL - 1,
          "fill-opacity": (0.06 + 0.94 * share).toFixed(3), pointerenter: () => say(words),
        },
        draw("title", {}, words),
      ),
    );
  }
  const labels = names.map((name, i) => draw("text", { x: LABEL - 5, y: LABEL + CELL * i + 14, "text-anchor": "end" }, short(name)));
  [...names, ...(own ? ["by itself"] : [])].forEach((name, i) => {
    labels.push(draw("text", { transform: `translate(${LABEL + CELL * i + 14} ${LABEL - 5}) rotate(-90)` }, short(name)));
  });
  return draw(
    "svg",
    { class: "map", viewBox: `0 0 ${size} ${height}`, role: "img", "aria-label": `${title}; the table of terms below has the same numbers` },
    ...labels,
    ...cells,
  );
}

export function maps(read, names, say) {
  const sum = byFields(read);
  const contribution = fieldMap(names, (...of) => sum(...of)?.contribution ?? null, {
    title: "Map of contributions by field", kind: "plus", text: (value) => `contribution ${signed(value)}`, own: true, say,
  });
  const attention = read.hasAttention
    ? fieldMap(names, (...of) => sum(...of)?.attention ?? null, {
        title: "Map of attention by field", kind: "attention", text: (value) => `attention ${percent(value)}`, own: false, say,
      })
    : make("p", {}, "This net has no attention: each pair counts only by its contribution.");
  return [
    make("figure", {}, make("figcaption", {}, "Contribution: what a pair adds to the logit"), contribution),
    make("figure", {}, make("figcaption", {}, "Attention: the share of the softmax that a pair has"), attention),
  ];
}

export function termsTable(read) {
  const rows = byContribution(read.terms).map((term) => [
    make("th", { scope: "row" }, term.fields.join(" × "), mark(term)),
    term.values.map(valueText).join(" × "),
    number(term.fields.length === 1 ? "by itself" : percent(term.attention)),
    number(term.interaction === null ? "" : plain(term.interaction, 3)),
    number(signed(term.contribution, 5)),
  ]);
  if (read.hidden.terms) {
    const share = read.hasAttention ? percent(read.hidden.attention) : "–";
    rows.push([make("th", { scope: "row" }, "with private fields"), `${read.hidden.terms} terms`, number(share), number(""), number(signed(read.hidden.contribution, 5))]);
  }
  const heads = ["fields", "values", "attention", "interaction", "contribution"];
  return scrolled("Table of all terms", table("All terms, largest contribution first", heads, rows));
}

function short(name) {
  return name.length > 16 ? `${name.slice(0, 15)}…` : name;
}
