// The candidates in the order of their answers.

import { draw, make, number } from "./dom.js";
import { answerOf, plain, shownAnswer } from "./numbers.js";

export function ranked(explanations) {
  const order = explanations.map((_, i) => i);
  return order.sort((a, b) => answerOf(explanations[b]) - answerOf(explanations[a]) || a - b);
}

export function labelOf(candidate, position) {
  const said = Object.values(candidate)
    .filter((value) => value !== null && value !== "" && !(Array.isArray(value) && !value.length))
    .slice(0, 3)
    .map((value) => (Array.isArray(value) ? value.join(", ") : String(value)));
  return said.length ? said.join(", ") : `candidate ${position + 1}`;
}

export function rankingTable(state, explanations, on) {
  const top = Math.max(...explanations.map(answerOf), 0);
  const hasProbability = explanations[0].probability !== null;
  const rows = ranked(explanations).map((position, place) => {
    const one = explanations[position];
    const label = labelOf(state.candidates[position], position);
    const id = `candidate-${position}`;
    const choose = make("input", {
      type: "radio", name: "chosen", id, value: position, checked: position === state.chosen, change: () => on.choose(position),
    });
    return make(
      "tr",
      { class: position === state.chosen ? "chosen" : null, "data-candidate": position },
      number(String(place + 1)),
      make("th", { scope: "row" }, choose, make("label", { for: id }, label)),
      make("td", { class: "bar" }, hasProbability ? bar(answerOf(one) / (top || 1)) : ""),
      number(shownAnswer(answerOf(one), hasProbability)),
      number(plain(one.logit, 3)),
      make(
        "td",
        { class: "actions" },
        make("button", { type: "button", "aria-label": `Copy ${label} as another candidate`, click: () => on.copy(position) }, "copy"),
        state.candidates.length > 1
          ? make("button", { type: "button", "aria-label": `Remove ${label}`, click: () => on.remove(position) }, "remove")
          : null,
      ),
    );
  });
  const heads = ["rank", "candidate", "", hasProbability ? "probability" : "score", "logit", ""];
  return make(
    "table",
    { class: "ranking" },
    make("caption", {}, "Candidates by what they are answered with"),
    make("thead", {}, make("tr", {}, ...heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td"))))),
    make("tbody", {}, ...rows),
  );
}

function bar(share) {
  const width = Math.max(0, Math.min(100, 100 * share));
  return draw(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: "amount", x: 0, y: 0, width, height: 10 }),
  );
}
