// Rows to what the net reads: an id and a factor for each slot. Ids of a field: 0 absent, 1 missing,
// 2 unknown, 3.. its values.

import { partOf, Reading } from "./reading.js";

const UNKNOWN = 2;
const FIRST = 3;

class FieldEncoder {
  constructor(field) {
    this.field = field;
    this.reading = new Reading(field.reading);
    this.places = new Map((field.values ?? []).map((value, i) => [value, i]));
    this.words = new Map(Object.entries(field.words ?? {}));
    this.missing = [field.offset + (field.missing === "token" ? 1 : 0), field.missing === "token" ? 1 : 0];
  }

  // Ids, factors and texts of the field's slots.
  encode(raw) {
    const { field } = this;
    let value = field.hidden ? null : raw ?? null;
    if (value !== null && field.part) value = field.moments.includes(value) ? null : partOf(value, field.part);
    if (field.kind === "multivalue") return this.#several(value);
    if (field.kind === "numeric") return this.#number(value);
    const text = value === null ? null : this.reading.text(value);
    if (text === null) return [[this.missing[0]], [this.missing[1]], [null]];
    return [[this.#id(text)], [1], [text]];
  }

  #id(text) {
    const place = this.places.get(text) ?? this.words.get(text.toLowerCase());
    return this.field.offset + (place === undefined ? UNKNOWN : FIRST + place);
  }

  #several(value) {
    const { width, offset } = this.field;
    const texts = this.reading.members(value).slice(0, width).map((one) => this.reading.text(one));
    const ids = texts.map((text) => this.#id(text));
    const factors = texts.map(() => 1);
    if (!texts.length) {
      ids.push(this.missing[0]);
      factors.push(this.missing[1]);
      texts.push(null);
    }
    while (ids.length < width) {
      ids.push(offset);
      factors.push(0);
      texts.push(null);
    }
    return [ids, factors, texts];
  }

  #number(value) {
    const number = this.reading.number(value);
    if (number === null) return [[this.missing[0]], [this.missing[1]], [null]];
    const text = this.reading.text(value);
    const { offset, scaler, edges } = this.field;
    if (edges) return [[offset + FIRST + edges.filter((edge) => edge <= number).length], [1], [text]];
    const clipped = Math.min(Math.max(number, scaler.low), scaler.high);
    const moved = scaler.log ? Math.sign(clipped) * Math.log1p(Math.abs(clipped)) : clipped;
    return [[offset + FIRST], [Math.fround((moved - scaler.shift) / scaler.scale)], [text]];
  }
}

export class Encoder {
  constructor(fields) {
    let slot = 0;
    this.fields = fields.map((field) => {
      const one = { name: field.name, source: field.source, encoder: new FieldEncoder(field), slot, width: field.width, offset: field.offset };
      slot += field.width;
      return one;
    });
    this.slots = slot;
    this.slotFields = this.fields.flatMap((one, i) => Array(one.width).fill(i));
  }

  encode(row) {
    const ids = new Int32Array(this.slots);
    const factors = new Float64Array(this.slots);
    const texts = Array(this.slots).fill(null);
    for (const one of this.fields) this.#put(one, row, ids, factors, texts);
    return { ids, factors, texts };
  }

  // The slots that read this source, after another value of it: the others stay as they are.
  change(encoded, source, row) {
    const ids = encoded.ids.slice();
    const factors = encoded.factors.slice();
    const slots = [];
    for (const one of this.fields) {
      if (one.source !== source) continue;
      this.#put(one, row, ids, factors, null);
      for (let i = 0; i < one.width; i += 1) slots.push(one.slot + i);
    }
    return { ids, factors, slots };
  }

  known(encoded, slot) {
    return encoded.ids[slot] - this.fields[this.slotFields[slot]].offset !== UNKNOWN;
  }

  #put(one, row, ids, factors, texts) {
    const [newIds, newFactors, newTexts] = one.encoder.encode(one.source === null ? null : row[one.source]);
    ids.set(newIds, one.slot);
    factors.set(newFactors, one.slot);
    if (texts) newTexts.forEach((text, i) => (texts[one.slot + i] = text));
  }
}
