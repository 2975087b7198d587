// One sentence in plain words, made of the largest terms. Fields marked private are not among them.

import { byContribution } from "./terms.js";

const LEAST = 0.02; // of a logit: a smaller term is no reason

export function sentence(read) {
  const largest = byContribution(read.terms).filter((one) => Math.abs(one.contribution) >= LEAST);
  const speakFor = largest.filter((one) => one.contribution > 0).slice(0, 2);
  const against = largest.filter((one) => one.contribution < 0).slice(0, 1);
  const reasons = speakFor.map(phrase).join(", and of ");
  const objections = against.map(phrase).join();
  if (!reasons && !objections) return "No single term stands out: the score is about that of any ad.";
  if (!reasons) return `No term speaks much for it; ${objections} speaks against it.`;
  return `Shown chiefly because of ${reasons}${objections ? `; ${objections} speaks against it.` : "."}`;
}

function phrase(term) {
  return term.fields.map((name, i) => part(name, term.values[i], term.known)).join(" with ");
}

function part(name, value, known) {
  if (value === null) return `a missing ${name}`;
  return `${name} ${value}${known || value === null ? "" : " (not all known)"}`;
}
