// One control a source of a row: suggestions from the vocabulary, a slider for a number, a switch for
// missing. Controls are made once for a row; what is typed in them goes on as it is typed.

import { make } from "./dom.js";

const SUGGESTED = 60;

// The sources of one side in the order of the fields, each with the fields that read it.
export function sourcesOf(fields, role) {
  const found = new Map();
  for (const field of fields) {
    if (field.role !== role) continue;
    if (!found.has(field.source)) found.set(field.source, { source: field.source, fields: [] });
    found.get(field.source).fields.push(field);
  }
  return [...found.values()];
}

export class Control {
  #field;
  #inputs = [];
  #missing;
  #mark;
  #changed;
  #source;

  constructor({ source, fields }, value, side, changed) {
    this.#source = source;
    this.#field = fields[0];
    this.#changed = changed;
    const id = `${side}-${source}`;
    this.#mark = make("span", { class: "mark", hidden: true });
    this.#missing = make("input", { type: "checkbox", id: `${id}-missing`, change: () => this.#switched() });
    const parts = fields.filter((field) => field.part).map((field) => field.part);
    const note = parts.length ? make("small", {}, `a moment, of which ${parts.join(", ")} count`) : null;
    const name = make(this.#several ? "span" : "label", { class: "name", id: `${id}-name`, for: this.#several ? null : id }, source, " ");
    this.box = make("div", { class: "slots" });
    this.element = make(
      "div",
      { class: "control", "data-source": source, role: this.#several ? "group" : null, "aria-labelledby": this.#several ? `${id}-name` : null },
      make("div", { class: "head" }, name, this.#mark),
      this.box,
      note,
      make("label", { class: "switch", for: `${id}-missing` }, this.#missing, " missing"),
    );
    this.#id = id;
    this.#show(value);
  }

  #id;

  get #several() {
    return this.#field.kind === "multivalue";
  }

  get #isNumber() {
    return this.#field.kind === "numeric" && !this.#field.part;
  }

  get source() {
    return this.#source;
  }

  // What stands beside the name: from the answer, not from the page's own list of values.
  note(state) {
    this.#mark.hidden = state === null;
    this.#mark.className = `mark ${state ?? ""}`;
    this.#mark.textContent = state ?? "";
  }

  #show(value) {
    const empty = value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length);
    this.#missing.checked = empty;
    this.#inputs = [];
    this.box.replaceChildren();
    if (this.#isNumber) this.#showNumber(empty ? null : value);
    else if (this.#several) this.#showSeveral(empty ? [] : value);
    else this.#addText(empty ? "" : String(value), this.#id, null);
  }

  #showNumber(value) {
    const { low, high } = range(this.#field);
    const slide = make("input", {
      type: "range", min: low, max: high, step: "any", "aria-label": `${this.#source}, slider`, value: value ?? (low + high) / 2,
      input: () => {
        exact.value = nice(Number(slide.value), high - low);
        this.#typed();
      },
    });
    const exact = make("input", {
      type: "number", step: "any", id: this.#id, value: value ?? "",
      input: () => {
        if (exact.value !== "") slide.value = exact.value;
        this.#typed();
      },
    });
    this.#inputs = [exact];
    this.box.append(slide, exact);
  }

  #showSeveral(values) {
    const list = Array.isArray(values) ? values : [values];
    list.forEach((value, i) => this.#addText(String(value), `${this.#id}-${i}`, `${this.#source}, value ${i + 1}`));
    this.#addEmpty();
  }

  #addEmpty() {
    const filled = this.#inputs.length;
    if (filled < this.#field.most) this.#addText("", `${this.#id}-${filled}`, `${this.#source}, value ${filled + 1}`);
  }

  #addText(value, id, label) {
    const list = make("datalist", { id: `${id}-values` });
    const input = make("input", {
      type: "text", id, list: list.id, value, autocomplete: "off", spellcheck: "false", "aria-label": label,
      focus: () => this.#suggest(input, list),
      input: () => {
        this.#suggest(input, list);
        if (this.#several && input === this.#inputs.at(-1) && input.value) this.#addEmpty();
        this.#typed();
      },
    });
    this.#inputs.push(input);
    this.box.append(input, list);
  }

  #suggest(input, list) {
    const values = this.#field.part ? [] : this.#field.values ?? [];
    const typed = input.value.trim().toLowerCase();
    const first = [];
    const within = [];
    for (const value of values) {
      const at = typed ? value.toLowerCase().indexOf(typed) : 0;
      if (at === 0) first.push(value);
      else if (at > 0 && within.length < SUGGESTED) within.push(value);
      if (first.length >= SUGGESTED) break;
    }
    const found = [...first, ...within].slice(0, SUGGESTED);
    list.replaceChildren(...found.map((value) => make("option", { value })));
  }

  #typed() {
    const texts = this.#inputs.map((input) => input.value).filter((text) => text.trim() !== "");
    this.#missing.checked = !texts.length;
    if (this.#isNumber) this.#changed(this.#source, texts.length ? Number(texts[0]) : null);
    else if (this.#several) this.#changed(this.#source, texts);
    else this.#changed(this.#source, texts.length ? texts[0] : null);
  }

  #switched() {
    const usual = this.#isNumber ? nice((range(this.#field).low + range(this.#field).high) / 2, 1) : this.#field.values?.[0] ?? "";
    const value = this.#missing.checked ? null : this.#several ? [usual] : usual;
    this.#show(this.#several && value === null ? [] : value);
    this.#changed(this.#source, this.#several && value === null ? [] : value);
  }
}

export function range(field) {
  if (field.low !== undefined) return { low: field.low, high: field.high > field.low ? field.high : field.low + 1 };
  const edges = field.edges ?? [];
  if (!edges.length) return { low: 0, high: 1 };
  const margin = (edges.at(-1) - edges[0]) / 20 || 1;
  return { low: edges[0] - margin, high: edges.at(-1) + margin };
}

function nice(value, width) {
  const digits = Math.max(0, 3 - Math.floor(Math.log10(Math.abs(width) || 1)));
  return Number(value.toFixed(Math.min(digits, 12)));
}
