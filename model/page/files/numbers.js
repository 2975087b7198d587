// Numbers as people read them.

export function signed(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

export function percent(value, digits = 2) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`;
}

export function plain(value, digits = 4) {
  return value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
}

// What a row is answered with: its probability, or its score where the task has none.
export function answerOf(explanation) {
  return explanation.probability === null ? explanation.logit : explanation.probability;
}

export function shownAnswer(value, hasProbability) {
  return hasProbability ? percent(value) : plain(value);
}

export function count(value, one, many) {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}
