// The terms of one explanation: bias + linear + pairs + what is not shown = logit.

export function readTerms(explanation, shown) {
  const hidden = { terms: 0, contribution: 0, attention: 0 };
  const terms = [];
  for (const one of explanation.linear) {
    if (shown.has(one.field)) {
      terms.push({ fields: [one.field], values: [one.value], known: one.known, attention: null, interaction: null, contribution: one.contribution });
    } else {
      hidden.terms += 1;
      hidden.contribution += one.contribution;
    }
  }
  const unknown = new Set(explanation.linear.filter((one) => !one.known).map((one) => `${one.field}\n${one.value}`));
  for (const one of explanation.pairs ?? []) {
    if (one.fields.every((name) => shown.has(name))) {
      terms.push({ ...one, known: one.fields.every((name, i) => !unknown.has(`${name}\n${one.values[i]}`)) });
    } else {
      hidden.terms += 1;
      hidden.contribution += one.contribution;
      hidden.attention += one.attention ?? 0;
    }
  }
  const listed = terms.reduce((sum, one) => sum + one.contribution, explanation.bias + hidden.contribution);
  return {
    bias: explanation.bias,
    logit: explanation.logit,
    probability: explanation.probability,
    additive: explanation.pairs !== null,
    hasAttention: (explanation.pairs ?? []).some((one) => one.attention !== null),
    // what layers add that mix the pairs; no share of it is one pair's
    layers: explanation.pairs === null ? explanation.logit - listed : 0,
    terms,
    hidden,
  };
}

export function byContribution(terms) {
  return [...terms].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
}

// Of fields: what each adds by itself, and what each two of them add together. A field of several
// values has several terms, which are summed.
export function byFields(read) {
  const sums = new Map();
  for (const term of read.terms) {
    const key = [...term.fields].sort().join("\n") + (term.fields.length === 1 ? "" : "\n");
    const sum = sums.get(key) ?? { contribution: 0, attention: 0, terms: 0 };
    sum.contribution += term.contribution;
    sum.attention += term.attention ?? 0;
    sum.terms += 1;
    sums.set(key, sum);
  }
  return (...names) => sums.get([...names].sort().join("\n") + (names.length === 1 ? "" : "\n")) ?? null;
}

export function nameOf(term) {
  return term.fields.map((name, i) => `${name} ${valueText(term.values[i])}`).join(" × ");
}

export function valueText(value) {
  if (value === null || value === undefined) return "(missing)";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  return value === "" ? "(empty)" : String(value);
}
