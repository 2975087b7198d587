// From the bias by the largest terms to the logit, and from there to the answer: a chart that is a
// table.

import { draw, make, number } from "./dom.js";
import { plain, shownAnswer, signed } from "./numbers.js";
import { byContribution, nameOf } from "./terms.js";

const MOST = 10;

export function steps(read) {
  const order = byContribution(read.terms);
  const found = [{ name: "bias", contribution: read.bias }];
  for (const term of order.slice(0, MOST)) found.push({ name: nameOf(term), contribution: term.contribution, term });
  const others = order.slice(MOST);
  if (others.length) {
    found.push({ name: `${others.length} smaller terms`, contribution: others.reduce((sum, one) => sum + one.contribution, 0) });
  }
  if (read.hidden.terms) {
    found.push({ name: `${read.hidden.terms} terms with private fields`, contribution: read.hidden.contribution });
  }
  if (!read.additive) found.push({ name: "layers, which mix the pairs", contribution: read.layers });
  return found;
}

export function waterfall(read) {
  const found = steps(read);
  let sum = 0;
  const spans = found.map((step) => {
    const from = sum;
    sum += step.contribution;
    return [from, sum];
  });
  const low = Math.min(0, ...spans.flat());
  const high = Math.max(0, ...spans.flat());
  const at = (value) => (100 * (value - low)) / (high - low || 1);
  const rows = found.map((step, i) => {
    const [from, to] = spans[i];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, step.name, mark(step.term)),
      make("td", { class: "bar" }, bar(at(Math.min(from, to)), at(Math.max(from, to)), i === 0 ? "start" : to < from ? "minus" : "plus", at(0))),
      number(signed(step.contribution)),
      number(plain(to, 3)),
    );
  });
  const hasProbability = read.probability !== null;
  rows.push(
    make(
      "tr",
      { class: "total" },
      make("th", { scope: "row" }, "logit"),
      make("td", { class: "bar" }, bar(at(Math.min(0, read.logit)), at(Math.max(0, read.logit)), "start", at(0))),
      number(""),
      number(plain(read.logit, 3)),
    ),
  );
  if (hasProbability) {
    rows.push(
      make(
        "tr",
        { class: "total" },
        make("th", { scope: "row" }, "calibrated probability"),
        make("td", { class: "bar" }),
        number(""),
        number(shownAnswer(read.probability, true)),
      ),
    );
  }
  const heads = ["term", "", "contribution", "sum"];
  return make(
    "table",
    { class: "waterfall" },
    make("caption", {}, "From bias to logit: contributions, largest first"),
    make("thead", {}, make("tr", {}, ...heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td"))))),
    make("tbody", {}, ...rows),
  );
}

export function mark(term) {
  if (!term) return null;
  if (!term.known) return make("span", { class: "mark unknown" }, "unknown");
  if (term.values.some((value) => value === null)) return make("span", { class: "mark missing" }, "missing");
  return null;
}

function bar(from, to, kind, zero) {
  return draw(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: kind, x: from, y: 1, width: Math.max(to - from, 0.4), height: 8 }),
    draw("rect", { class: "zero", x: zero, y: 0, width: 0.3, height: 10 }),
  );
}
