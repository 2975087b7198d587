// All values of one field with the answer that each would have, and the least single change that puts
// a candidate first. Both exact: every value is scored.

import { draw, make, number, scrolled, table } from "./dom.js";
import { count, shownAnswer } from "./numbers.js";
import { valueText } from "./terms.js";

const ROWS = 100; // of the table; a filter finds the others

// What the row's source holds after a change of `field` to the value numbered `i`.
export function givenOf(found, field, i, current) {
  if (found.given) return found.given[i];
  const value = found.values[i];
  return field.kind === "multivalue" ? toggled(field, value, current) : value;
}

// One value of several: put in where it is not there, taken out where it is.
export function toggled(field, value, current) {
  if (value === null) return [];
  const list = Array.isArray(current) ? current : current === null || current === undefined ? [] : [current];
  return list.includes(value) ? list.filter((one) => one !== value) : [...list, value];
}

export function valuesView(found, field, current, hasProbability, apply) {
  const order = found.answers.map((_, i) => i).sort((a, b) => found.answers[b] - found.answers[a] || a - b);
  const list = make("div", {});
  const filter = make("input", { type: "search", id: "values-filter", input: () => show() });
  const said = make("p", { "aria-live": "polite" });
  function show() {
    const typed = filter.value.trim().toLowerCase();
    const wanted = typed ? order.filter((i) => valueText(found.values[i]).toLowerCase().includes(typed)) : order;
    const rows = wanted.slice(0, ROWS).map((i) => row(i));
    const heads = [field.name, "answer", "rank", ""];
    list.replaceChildren(scrolled(`Answers by ${field.name}`, table(`Every value of ${field.name}, highest answer first`, heads, rows)));
    said.textContent = wanted.length > ROWS ? `${ROWS} of ${wanted.length} values are listed; type to find others.` : count(wanted.length, "value", "values");
  }
  function row(i) {
    const isNow = isCurrent(field, found.values[i], current);
    const action = make("button", { type: "button", "aria-label": `Take ${valueText(found.values[i])} for ${field.name}`, click: () => apply(givenOf(found, field, i, current)) }, "take");
    return [
      make("th", { scope: "row" }, words(field, found.values[i], current), isNow ? make("span", { class: "mark" }, "now") : null),
      number(shownAnswer(found.answers[i], hasProbability)),
      number(String(found.ranks[i])),
      make("td", {}, action),
    ];
  }
  show();
  const cut = found.left_out ? make("p", { class: "cut" }, `${count(found.left_out, "rare value is", "rare values are")} left out.`) : null;
  return [curve(found, order, field), cut, make("label", { for: "values-filter" }, "Find a value "), filter, said, list];
}

export function words(field, value, current) {
  if (field.kind !== "multivalue" || value === null) return valueText(value);
  const list = Array.isArray(current) ? current : [];
  return `${list.includes(value) ? "without" : "with"} ${value}`;
}

function isCurrent(field, value, current) {
  if (field.kind === "multivalue") return value === null && !(Array.isArray(current) && current.length);
  const now = current === undefined || current === "" ? null : current;
  return value === null ? now === null : now !== null && String(now) === String(value);
}

// The answers by value, highest first: how much hangs on this field.
function curve(found, order, field) {
  const answers = order.map((i) => found.answers[i]);
  const high = answers[0];
  const low = answers.at(-1);
  const x = (i) => (300 * i) / Math.max(answers.length - 1, 1);
  const y = (value) => 76 - (72 * (value - low)) / (high - low || 1);
  const step = Math.max(1, Math.floor(answers.length / 300));
  const points = answers.map((value, i) => [i, value]).filter(([i]) => i % step === 0 || i === answers.length - 1);
  const line = points.map(([i, value]) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const best = found.others.length === 1 ? y(Math.min(Math.max(found.others[0], low), high)) : null;
  return draw(
    "svg",
    { class: "curve", viewBox: "0 -2 300 82", role: "img", "aria-label": `Answers of ${answers.length} values of ${field.name}, highest first; the table below has them` },
    best === null ? null : draw("line", { class: "other", x1: 0, x2: 300, y1: best, y2: best }, draw("title", {}, "the best other candidate")),
    draw("polyline", { class: "line", points: line }),
  );
}

export function leastView(answer, fields, row, hasProbability, apply) {
  if (answer.first) return [make("p", {}, "This candidate is first already.")];
  const { least } = answer;
  if (least === null) {
    return [make("p", {}, `None of ${count(answer.tried, "single change", "single changes")} puts this candidate first.`)];
  }
  const field = fields.find((one) => one.name === least.field);
  const current = row[field.source];
  const change = field.kind === "multivalue" ? words(field, least.value, current) : `${valueText(current)} → ${valueText(least.value)}`;
  const given = least.given !== undefined ? least.given : field.kind === "multivalue" ? toggled(field, least.value, current) : least.value;
  return [
    make(
      "p",
      { class: "least" },
      make("strong", {}, `${least.field}: ${change}`),
      ` puts it first with ${shownAnswer(least.answer, hasProbability)}, before ${shownAnswer(least.other, hasProbability)}. `,
      make("button", { type: "button", click: () => apply(field, given) }, "take this change"),
    ),
    make("p", {}, `The least of ${count(answer.tried, "single change", "single changes")}: the one that leads by the smallest margin.`),
    answer.left_out ? make("p", { class: "cut" }, `${count(answer.left_out, "rare value was", "rare values were")} left out.`) : null,
  ].filter(Boolean);
}
