// The explain page: a request that can be changed, and everything that follows from its answer.

import { leastView, valuesView } from "./changes.js";
import { Control, sourcesOf } from "./controls.js";
import { asCurl, asJson, asPython } from "./copies.js";
import { byId, make } from "./dom.js";
import { maps, termsTable } from "./map.js";
import { shownAnswer } from "./numbers.js";
import { labelOf, ranked, rankingTable } from "./ranking.js";
import { sentence } from "./sentence.js";
import { Refused, Service } from "./service.js";
import { sidesTable } from "./sides.js";
import { readState, writeState } from "./state.js";
import { readTerms } from "./terms.js";
import { waterfall } from "./waterfall.js";

const BEFORE = "before"; // the version before, among what can stand on the other side
const LATER = 250; // milliseconds until what is not looked at first is asked for

class Page {
  #source;
  #begun;
  #state;
  #explanations = [];
  #controls = [];
  #asked = null;
  #askedValues = null;
  #later = 0;
  #found = false;

  constructor(source) {
    this.#source = source;
  }

  async start() {
    try {
      this.#begun = await this.#source.begin();
    } catch (error) {
      this.#refused(error);
      return;
    }
    this.#shown = new Set(this.#begun.fields.map((field) => field.name));
    byId("key").hidden = true;
    byId("fault").hidden = true;
    this.#describe();
    this.#state = readState(this.#begun.fields) ?? this.#exampleState();
    this.#listFields();
    this.#listen();
    this.#makeControls();
    await this.#ask();
    byId("page").hidden = false;
  }

  #shown;

  askForKey() {
    byId("key").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#source.withKey(byId("key-text").value.trim());
      byId("key-text").value = "";
      this.start();
    });
  }

  #exampleState() {
    const { context, candidates } = structuredClone(this.#begun.example);
    return { context, candidates, chosen: 0, other: null, field: null };
  }

  #describe() {
    const { model, version, net, task } = this.#begun;
    byId("what").textContent = `${model ? `Model ${model}, version` : "Version"} ${version}, net ${net}${task === "click" ? "" : `, task ${task}`}.`;
    const hidden = this.#begun.private;
    const notes = [
      hidden ? `${hidden} private ${hidden === 1 ? "field is" : "fields are"} left out, and count as missing.` : "",
      ...(this.#begun.notes ?? []),
      "Nothing of this page is sent anywhere but to the service it came from; the address keeps what you ask behind the #.",
    ];
    if (this.#source.portable) notes[notes.length - 1] = "This file scores by itself and sends nothing.";
    byId("foot").textContent = notes.filter(Boolean).join(" ");
    if (!this.#source.portable) {
      byId("links").replaceChildren(make("a", { href: "model.html" }, "The model"), make("a", { href: "docs" }, "API"));
    }
  }

  #listFields() {
    const options = this.#begun.fields.map((field) => make("option", { value: field.name }, field.name));
    byId("field").replaceChildren(make("option", { value: "" }, "choose a field"), ...options);
    byId("field").value = this.#state.field ?? "";
  }

  #listen() {
    byId("skip").onclick = (event) => {
      event.preventDefault(); // the address is what is asked
      byId("ranking").focus();
    };
    byId("example").onclick = () => this.#setState(this.#exampleState());
    byId("field").onchange = () => {
      this.#state.field = byId("field").value || null;
      this.#keep();
      this.#askValues();
    };
    byId("other").onchange = () => {
      this.#state.other = byId("other").value || null;
      this.#keep();
      this.#showSides();
    };
    byId("find").onclick = () => {
      this.#found = true;
      this.#askLeast();
    };
    byId("terms").ontoggle = () => this.#showTerms();
    for (const button of document.querySelectorAll("[data-copy]")) button.onclick = () => this.#copy(button.dataset.copy);
    window.addEventListener("hashchange", () => {
      const found = readState(this.#begun.fields);
      if (found) this.#setState(found);
    });
  }

  #setState(state) {
    this.#state = state;
    byId("field").value = state.field ?? "";
    this.#makeControls();
    this.#ask();
  }

  #keep() {
    writeState(this.#state);
  }

  get #request() {
    return { context: this.#state.context, candidates: this.#state.candidates };
  }

  get #row() {
    return { ...this.#state.context, ...this.#state.candidates[this.#state.chosen] };
  }

  #makeControls() {
    const made = (role, row, side) =>
      sourcesOf(this.#begun.fields, role).map((source) => new Control(source, row[source.source], side, (name, value) => this.#change(role, name, value)));
    const context = made("context", this.#state.context, "context");
    const candidate = made("candidate", this.#state.candidates[this.#state.chosen], "candidate");
    this.#controls = [...context, ...candidate];
    byId("context").replaceChildren(...context.map((control) => control.element));
    byId("candidate").replaceChildren(...candidate.map((control) => control.element));
    byId("context-box").hidden = !context.length;
    byId("candidate-box").hidden = !candidate.length;
  }

  #change(role, source, value) {
    const row = role === "context" ? this.#state.context : this.#state.candidates[this.#state.chosen];
    row[source] = value;
    this.#ask();
  }

  // Takes a change that was found: the control shows it.
  #apply(field, value) {
    const row = field.role === "context" ? this.#state.context : this.#state.candidates[this.#state.chosen];
    row[field.source] = value;
    this.#makeControls();
    this.#ask();
  }

  async #ask() {
    this.#keep();
    const began = performance.now();
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    try {
      const answer = await this.#source.explain(this.#request, asked.signal);
      if (asked !== this.#asked) return;
      this.#explanations = answer.explanations;
      byId("fault").hidden = true;
      this.#show();
      document.body.dataset.took = (performance.now() - began).toFixed(1);
      document.body.dataset.shown = JSON.stringify(this.#request);
    } catch (error) {
      if (error.name !== "AbortError") this.#refused(error);
      return;
    }
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#askMore(), LATER);
  }

  #askMore() {
    if (this.#state.field) this.#askValues();
    if (this.#found) this.#askLeast();
    this.#showSides();
  }

  get #read() {
    return readTerms(this.#explanations[this.#state.chosen], this.#shown);
  }

  #show() {
    const read = this.#read;
    const on = { choose: (i) => this.#choose(i), copy: (i) => this.#addCopy(i), remove: (i) => this.#remove(i) };
    const focused = document.activeElement?.closest("#ranking-table") ? document.activeElement.id : null;
    byId("ranking-table").replaceChildren(rankingTable(this.#state, this.#explanations, on));
    if (focused) byId(focused)?.focus();
    byId("sentence").textContent = sentence(read);
    const label = labelOf(this.#state.candidates[this.#state.chosen], this.#state.chosen);
    const place = ranked(this.#explanations).indexOf(this.#state.chosen) + 1;
    const answer = shownAnswer(read.probability ?? read.logit, read.probability !== null);
    byId("candidate-title").textContent = `The chosen candidate: ${label}, rank ${place} of ${this.#explanations.length}, ${answer}`;
    byId("waterfall").replaceChildren(waterfall(read));
    const names = this.#begun.fields.map((field) => field.name);
    byId("maps").replaceChildren(...maps(read, names, (text) => (byId("cell").textContent = text)));
    this.#showTerms();
    this.#noteControls();
    this.#listOthers();
    byId("copy-text").textContent = asCurl(this.#request, this.#origin, this.#source.asksForKey);
  }

  #showTerms() {
    if (byId("terms").open) byId("terms-table").replaceChildren(termsTable(this.#read));
  }

  // Unknown and missing values are marked beside their controls, by what the answer says.
  #noteControls() {
    const { linear } = this.#explanations[this.#state.chosen];
    for (const control of this.#controls) {
      const names = this.#begun.fields.filter((field) => field.source === control.source).map((field) => field.name);
      const terms = linear.filter((term) => names.includes(term.field));
      const given = terms.filter((term) => term.value !== null);
      control.note(given.some((term) => !term.known) ? "unknown" : given.length ? null : "missing");
    }
  }

  #listOthers() {
    const options = [make("option", { value: "" }, "nobody")];
    this.#state.candidates.forEach((candidate, i) => {
      if (i !== this.#state.chosen) options.push(make("option", { value: String(i) }, labelOf(candidate, i)));
    });
    if (this.#begun.previous) options.push(make("option", { value: BEFORE }, `itself by version ${this.#begun.previous}`));
    byId("other").replaceChildren(...options);
    const known = options.some((option) => option.value === this.#state.other);
    byId("other").value = known ? this.#state.other : "";
  }

  async #showSides() {
    const other = byId("other").value;
    if (!other) {
      byId("sides").replaceChildren();
      return;
    }
    let explanation = this.#explanations[Number(other)];
    let names = [labelOf(this.#state.candidates[this.#state.chosen], this.#state.chosen)];
    if (other === BEFORE) {
      const answer = await this.#source.explainBefore(this.#request).catch((error) => this.#refused(error));
      if (!answer) return;
      explanation = answer.explanations[this.#state.chosen];
      names = [this.#begun.version, answer.version];
    } else {
      names.push(labelOf(this.#state.candidates[Number(other)], Number(other)));
    }
    byId("sides").replaceChildren(sidesTable(this.#read, readTerms(explanation, this.#shown), names));
  }

  async #askValues() {
    const field = this.#begun.fields.find((one) => one.name === this.#state.field);
    this.#askedValues?.abort();
    if (!field) {
      byId("values").replaceChildren();
      return;
    }
    const asked = (this.#askedValues = new AbortController());
    const began = performance.now();
    try {
      const found = await this.#source.whatIf(this.#request, this.#state.chosen, field.name, asked.signal);
      const hasProbability = this.#explanations[0].probability !== null;
      const typed = byId("values-filter")?.value ?? "";
      byId("values").replaceChildren(...valuesView(found, field, this.#row[field.source], hasProbability, (value) => this.#apply(field, value)).filter(Boolean));
      if (typed) {
        byId("values-filter").value = typed;
        byId("values-filter").dispatchEvent(new Event("input"));
      }
      document.body.dataset.tookValues = (performance.now() - began).toFixed(1);
    } catch (error) {
      if (error.name !== "AbortError") this.#refused(error);
    }
  }

  async #askLeast() {
    try {
      const answer = await this.#source.whatIf(this.#request, this.#state.chosen, null);
      const hasProbability = this.#explanations[0].probability !== null;
      byId("least").replaceChildren(...leastView(answer, this.#begun.fields, this.#row, hasProbability, (field, value) => this.#apply(field, value)));
    } catch (error) {
      this.#refused(error);
    }
  }

  #choose(position) {
    this.#state.chosen = position;
    this.#makeControls();
    this.#keep();
    this.#show();
    this.#askMore();
  }

  #addCopy(position) {
    this.#state.candidates.push(structuredClone(this.#state.candidates[position]));
    this.#state.chosen = this.#state.candidates.length - 1;
    this.#makeControls();
    this.#ask();
  }

  #remove(position) {
    this.#state.candidates.splice(position, 1);
    this.#state.chosen = Math.min(this.#state.chosen - (position < this.#state.chosen ? 1 : 0), this.#state.candidates.length - 1);
    this.#state.other = null;
    this.#makeControls();
    this.#ask();
  }

  get #origin() {
    return this.#source.portable ? "http://127.0.0.1:8000" : new URL(".", location.href).href.replace(/\/$/, "");
  }

  async #copy(kind) {
    const withKey = this.#source.asksForKey;
    const text = { json: () => asJson(this.#request), curl: () => asCurl(this.#request, this.#origin, withKey), python: () => asPython(this.#request, this.#origin, withKey) }[kind]();
    byId("copy-text").textContent = text;
    try {
      await navigator.clipboard.writeText(text);
      byId("copied").textContent = "Copied.";
    } catch {
      byId("copied").textContent = "The browser does not let this page copy: take the text below.";
      byId("copy-text").closest("details").open = true;
    }
  }

  #refused(error) {
    const asksForKey = error instanceof Refused && (error.status === 401 || error.status === 403);
    byId("key").hidden = !asksForKey;
    byId("fault").hidden = false;
    byId("fault").textContent = asksForKey ? `${error.message}.` : `Not answered: ${error.message}.`;
    if (!this.#begun) byId("what").textContent = "";
    if (asksForKey) byId("key-text").focus();
  }
}

export function startPage(source) {
  const page = new Page(source);
  page.askForKey();
  return page.start();
}

if (!document.getElementById("portable")) startPage(new Service());
