// Two explanations side by side, pair by pair: two candidates, or two versions of one.

import { draw, make, number, scrolled } from "./dom.js";
import { plain, shownAnswer, signed } from "./numbers.js";
import { valueText } from "./terms.js";

const ROWS = 40;

export function differences(one, other) {
  const found = new Map();
  for (const [side, read] of [[0, one], [1, other]]) {
    const seen = new Map();
    for (const term of read.terms) {
      const name = term.fields.join(" × ");
      // the values of a field of several stand in the order of their slots
      const place = seen.get(name) ?? 0;
      seen.set(name, place + 1);
      const key = `${name}\n${place}`;
      if (!found.has(key)) found.set(key, { name, sides: [null, null] });
      found.get(key).sides[side] = term;
    }
  }
  const rows = [...found.values()].map((row) => ({ ...row, difference: (row.sides[1]?.contribution ?? 0) - (row.sides[0]?.contribution ?? 0) }));
  rows.push({ name: "bias", sides: [{ contribution: one.bias }, { contribution: other.bias }], difference: other.bias - one.bias });
  if (one.hidden.terms || other.hidden.terms) {
    rows.push({ name: "with private fields", sides: [one.hidden, other.hidden], difference: other.hidden.contribution - one.hidden.contribution });
  }
  if (!one.additive || !other.additive) {
    rows.push({ name: "layers", sides: [{ contribution: one.layers }, { contribution: other.layers }], difference: other.layers - one.layers });
  }
  return rows.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
}

export function sidesTable(one, other, names) {
  const rows = differences(one, other);
  const most = Math.max(...rows.map((row) => Math.abs(row.difference)), 1e-9);
  const listed = rows.slice(0, ROWS).filter((row) => row.difference !== 0);
  const body = listed.map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, row.name),
      make("td", {}, said(row.sides[0])),
      make("td", {}, said(row.sides[1])),
      number(signed(row.sides[0]?.contribution ?? 0)),
      number(signed(row.sides[1]?.contribution ?? 0)),
      make("td", { class: "bar" }, bar(row.difference / most)),
      number(signed(row.difference)),
    ),
  );
  const rest = rows.filter((row) => !listed.includes(row));
  if (rest.length) {
    const sum = (side) => rest.reduce((total, row) => total + (row.sides[side]?.contribution ?? 0), 0);
    body.push(make("tr", {}, make("th", { scope: "row" }, `${rest.length} other terms`), make("td"), make("td"), number(signed(sum(0))), number(signed(sum(1))), make("td"), number(signed(sum(1) - sum(0)))));
  }
  body.push(make("tr", { class: "total" }, make("th", { scope: "row" }, "logit"), make("td"), make("td"), number(plain(one.logit, 3)), number(plain(other.logit, 3)), make("td"), number(signed(other.logit - one.logit))));
  if (one.probability !== null && other.probability !== null) {
    body.push(make("tr", { class: "total" }, make("th", { scope: "row" }, "calibrated probability"), make("td"), make("td"), number(shownAnswer(one.probability, true)), number(shownAnswer(other.probability, true)), make("td"), make("td")));
  }
  const heads = ["term", `values: ${names[0]}`, `values: ${names[1]}`, names[0], names[1], "", "difference"];
  return scrolled(
    "Two sides, term by term",
    make(
      "table",
      { class: "sides" },
      make("caption", {}, "Contributions term by term, largest difference first"),
      make("thead", {}, make("tr", {}, ...heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td"))))),
      make("tbody", {}, ...body),
    ),
  );
}

function said(term) {
  return term?.values ? term.values.map(valueText).join(" × ") : "";
}

function bar(share) {
  const width = 50 * Math.abs(share);
  return draw(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: share < 0 ? "minus" : "plus", x: share < 0 ? 50 - width : 50, y: 1, width, height: 8 }),
    draw("rect", { class: "zero", x: 49.9, y: 0, width: 0.3, height: 10 }),
  );
}
