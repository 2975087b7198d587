// The model within this file, which answers as the service does, without one.

import { toggled } from "./changes.js";
import { Encoder } from "./encoder.js";
import { Net } from "./net.js";
import { momentOf, partOf } from "./reading.js";

const POINTS = 101; // of the range of a number
const ROWS = 2000; // that are scored before the page can be used in between
const HOUR = 3600000;

export class Local {
  portable = true;
  asksForKey = false;
  #begun;
  #encoder;
  #net;

  constructor({ begun, net, encoding }) {
    this.#begun = begun;
    this.#encoder = new Encoder(encoding);
    this.#net = new Net({ ...net, slot_fields: this.#encoder.slotFields });
  }

  async begin() {
    return this.#begun;
  }

  withKey() {}

  async explain({ context, candidates }) {
    return { version: this.#begun.version, explanations: candidates.map((candidate) => this.#explanation({ ...context, ...candidate })) };
  }

  #explanation(raw) {
    const net = this.#net;
    const encoder = this.#encoder;
    const row = encoder.encode(raw);
    const pairs = net.pairs(row);
    const logit = net.logit(row, pairs);
    const linear = net.linear(row);
    const nameOf = (slot) => encoder.fields[encoder.slotFields[slot]].name;
    const found = { probability: net.probability(logit), logit, bias: net.bias, linear: [], pairs: net.additive ? [] : null };
    row.texts.forEach((value, slot) => {
      if (value === null && row.factors[slot] === 0) return;
      found.linear.push({ field: nameOf(slot), value, known: encoder.known(row, slot), contribution: linear[slot] });
    });
    if (!net.additive) return found;
    const { interaction, attention } = net.terms(pairs);
    for (let p = 0; p < interaction.length; p += 1) {
      if (!pairs.both[p]) continue;
      const slots = [net.first[p], net.second[p]];
      found.pairs.push({
        fields: slots.map(nameOf), values: slots.map((slot) => row.texts[slot]), attention: attention ? attention[p] : null,
        interaction: interaction[p], contribution: attention ? attention[p] * interaction[p] : interaction[p],
      });
    }
    return found;
  }

  async whatIf({ context, candidates }, row, name, signal) {
    const rows = candidates.map((candidate) => ({ ...context, ...candidate }));
    const bases = rows.map((one) => {
      const encoded = this.#encoder.encode(one);
      const pairs = this.#net.pairs(encoded);
      return { row: one, encoded, pairs, answer: this.#answer(this.#net.logit(encoded, pairs)) };
    });
    const answer = { row, answer: bases[row].answer, tried: 0, left_out: 0, least: null };
    answer.first = bases.every((one, i) => i === row || answer.answer > one.answer);
    let margin = Infinity;
    for (const field of this.#begun.fields.filter((one) => name === null || one.name === name)) {
      const own = field.role === "candidate" || field.source in candidates[row];
      const tried = await this.#tried(bases, candidates, row, field, own, signal);
      answer.tried += tried.values.length;
      answer.left_out += field.left_out ?? 0;
      if (name !== null) Object.assign(answer, tried);
      tried.answers.forEach((mine, i) => {
        const other = tried.others[own ? 0 : i];
        if (answer.first || !(mine > other) || !(mine - other < margin)) return;
        margin = mine - other;
        answer.least = { field: field.name, value: tried.values[i], answer: mine, other, given: tried.given[i] };
      });
    }
    return answer;
  }

  async #tried(bases, candidates, row, field, own, signal) {
    const { values, given } = changesOf(field, bases[row].row[field.source]);
    const found = { field: field.name, values, given, answers: [], others: [], ranks: [] };
    const fixed = bases.map((one) => one.answer);
    let scored = 0;
    for (const value of given) {
      const answers = bases.map((base, i) => {
        if (i !== row && (own || field.source in candidates[i])) return fixed[i];
        scored += 1;
        const changed = this.#encoder.change(base.encoded, field.source, { [field.source]: value });
        return this.#answer(this.#net.logit(changed, this.#net.changedPairs(base.pairs, changed, changed.slots)));
      });
      const mine = answers[row];
      found.answers.push(mine);
      found.ranks.push(1 + answers.filter((one, i) => one > mine || (one === mine && i < row)).length);
      if (!own || !found.others.length) found.others.push(Math.max(...answers.filter((_, i) => i !== row)));
      if (scored > ROWS) {
        scored = 0;
        await new Promise((resolve) => setTimeout(resolve));
        if (signal?.aborted) throw new DOMException("another one was asked for", "AbortError");
      }
    }
    return found;
  }

  #answer(logit) {
    return this.#net.probability(logit) ?? logit;
  }
}

// Every single change of one field, as the service makes them.
function changesOf(field, now) {
  if (field.part) return moved(field, now);
  if (field.kind === "multivalue") {
    const held = Array.isArray(now) ? now : [];
    const values = field.values.filter((value) => held.includes(value) || held.length < field.most);
    return { values: [...values, null], given: [...values, null].map((value) => toggled(field, value, held)) };
  }
  const values = [...(field.values ?? points(field)), null];
  return { values, given: values };
}

function points(field) {
  if (field.examples) return field.examples;
  const width = field.high - field.low;
  return [...new Set(Array.from({ length: POINTS }, (_, i) => (i === POINTS - 1 ? field.high : field.low + (i * width) / (POINTS - 1))))];
}

function moved(field, now) {
  const read = now === null || now === undefined ? NaN : momentOf(now);
  const at = Number.isNaN(read) ? Date.UTC(2024, 0, 1) : read;
  const all = { minute: 60, hour: 24, weekday: 8, hour_of_week: 168, day: 32, month: 13 }[field.part];
  const wanted = field.values ? field.values.map(Number).filter((value) => Number.isInteger(value) && value < all) : [...Array(all).keys()];
  const values = [];
  const given = [];
  for (const value of wanted.sort((a, b) => a - b)) {
    const when = new Date(at);
    const weekday = (when.getUTCDay() + 6) % 7;
    if (field.part === "minute") when.setUTCMinutes(value);
    else if (field.part === "hour") when.setUTCHours(value);
    else if (field.part === "weekday") when.setTime(at + (value - 1 - weekday) * 24 * HOUR);
    else if (field.part === "hour_of_week") when.setTime(at + (value - weekday * 24 - when.getUTCHours()) * HOUR);
    else if (field.part === "day") when.setUTCDate(value);
    else when.setUTCMonth(value - 1, Math.min(when.getUTCDate(), 28));
    if (partOf(when.toISOString().slice(0, 19) + "Z", field.part) !== value) continue;
    values.push(String(value));
    given.push(`${when.toISOString().slice(0, 19)}+00:00`);
  }
  return { values: [...values, null], given: [...given, null] };
}
