// The nets in plain JavaScript, over typed arrays: the formulas of model/nets, of one row at a time.

export class Net {
  constructor({ net, slot_fields: slotFields, bias, embedding, attention, calibration, parameters }) {
    this.name = net;
    this.bias = bias;
    this.calibration = calibration;
    this.fields = slotFields;
    this.most = Math.max(...slotFields) + 1;
    this.K = embedding;
    this.T = attention;
    const weights = Object.fromEntries(Object.entries(parameters).map(([name, text]) => [name, floats(text)]));
    this.weights = weights;
    this.width = net === "ffm" ? this.most * this.K : this.K;
    this.layers = [];
    for (let i = 0; weights[`hidden.${i}.weight`]; i += 1) this.layers.push([weights[`hidden.${i}.weight`], weights[`hidden.${i}.bias`]]);
    this.first = [];
    this.second = [];
    slotFields.forEach((_, i) => {
      for (let j = i + 1; j < slotFields.length; j += 1) {
        this.first.push(i);
        this.second.push(j);
      }
    });
    this.place = this.first.map((i, p) => {
      const high = Math.max(slotFields[i], slotFields[this.second[p]]);
      return (high * (high + 1)) / 2 + Math.min(slotFields[i], slotFields[this.second[p]]);
    });
    // of each slot, its pairs
    this.pairsOf = slotFields.map((_, slot) => this.first.map((_, p) => p).filter((p) => this.first[p] === slot || this.second[p] === slot));
    this.e = new Float64Array(this.K);
  }

  get hasAttention() {
    return this.name === "afm" || this.name === "afm+";
  }

  get additive() {
    return this.name !== "nfm";
  }

  // What the pairs of a row are, each by itself.
  pairs(row) {
    const size = this.additive && this.name !== "lr" ? this.first.length : 0;
    const found = { products: new Float64Array(size), scores: new Float64Array(size), both: new Uint8Array(size) };
    for (let p = 0; p < size; p += 1) this.#pair(row, p, found);
    return found;
  }

  // The same after a change of some slots: only their pairs move.
  changedPairs(before, row, slots) {
    const found = { products: before.products.slice(), scores: before.scores.slice(), both: before.both.slice() };
    if (!found.both.length) return found;
    for (const slot of slots) for (const p of this.pairsOf[slot]) this.#pair(row, p, found);
    return found;
  }

  #pair({ ids, factors }, p, found) {
    const i = this.first[p];
    const j = this.second[p];
    const x = factors[i] * factors[j];
    found.both[p] = factors[i] !== 0 && factors[j] !== 0 ? 1 : 0;
    found.products[p] = 0;
    found.scores[p] = 0;
    if (!found.both[p]) return;
    const { embedding, p: direction, h, field_weights: r, field_scores: u } = this.weights;
    const { K, T, e } = this;
    const from = ids[i] * this.width + (this.name === "ffm" ? this.fields[j] * K : 0);
    const to = ids[j] * this.width + (this.name === "ffm" ? this.fields[i] * K : 0);
    let product = 0;
    if (!this.hasAttention) {
      for (let k = 0; k < K; k += 1) product += embedding[from + k] * embedding[to + k];
      found.products[p] = product * x * (r ? r[this.place[p]] : 1);
      return;
    }
    const weight = this.weights["attention.weight"];
    const bias = this.weights["attention.bias"];
    for (let k = 0; k < K; k += 1) {
      e[k] = embedding[from + k] * embedding[to + k] * x;
      product += direction[k] * e[k];
    }
    let score = 0;
    for (let t = 0; t < T; t += 1) {
      let hidden = bias[t];
      for (let k = 0; k < K; k += 1) hidden += weight[t * K + k] * e[k];
      if (hidden > 0) score += h[t] * hidden;
    }
    found.products[p] = product * (r ? r[this.place[p]] : 1);
    found.scores[p] = score + (u ? u[this.place[p]] : 0);
  }

  linear({ ids, factors }) {
    return Float64Array.from(ids, (id, slot) => this.weights.linear[id] * factors[slot]);
  }

  // Of pairs: what each adds at full attention, and its attention, null where the net has none.
  terms(pairs) {
    if (!this.hasAttention) return { interaction: pairs.products, attention: null };
    const { products, scores, both } = pairs;
    let top = -Infinity;
    let count = 0;
    for (let p = 0; p < scores.length; p += 1) {
      if (!both[p]) continue;
      count += 1;
      if (scores[p] > top) top = scores[p];
    }
    const attention = new Float64Array(scores.length);
    let sum = 0;
    for (let p = 0; p < scores.length; p += 1) if (both[p]) sum += attention[p] = Math.exp(scores[p] - top);
    for (let p = 0; p < scores.length; p += 1) attention[p] /= sum || 1;
    const factor = this.name === "afm+" ? count : 1;
    return { interaction: factor === 1 ? products : products.map((one) => one * factor), attention };
  }

  logit(row, pairs) {
    let sum = this.bias;
    for (let slot = 0; slot < row.ids.length; slot += 1) sum += this.weights.linear[row.ids[slot]] * row.factors[slot];
    if (!this.additive) return sum + this.#deep(row);
    const { interaction, attention } = this.terms(pairs);
    for (let p = 0; p < interaction.length; p += 1) sum += attention ? attention[p] * interaction[p] : interaction[p];
    return sum;
  }

  #deep({ ids, factors }) {
    const { K } = this;
    const { embedding, h } = this.weights;
    let z = new Float64Array(K);
    for (let k = 0; k < K; k += 1) {
      let sum = 0;
      let squares = 0;
      for (let slot = 0; slot < ids.length; slot += 1) {
        const v = embedding[ids[slot] * K + k] * factors[slot];
        sum += v;
        squares += v * v;
      }
      z[k] = (sum * sum - squares) / 2;
    }
    for (const [weight, bias] of this.layers) {
      const before = z;
      z = Float64Array.from(bias, (b, t) => {
        let sum = b;
        for (let k = 0; k < before.length; k += 1) sum += weight[t * before.length + k] * before[k];
        return Math.max(sum, 0);
      });
    }
    return z.reduce((sum, value, t) => sum + value * h[t], 0);
  }

  // The answer of a logit: its probability; null where the task has none.
  probability(logit) {
    const { calibration } = this;
    if (calibration === null) return null;
    const x = logit + Math.log(calibration.rate);
    return 1 / (1 + Math.exp(-(calibration.knots.length ? along(calibration, x) : calibration.scale * x + calibration.shift)));
  }
}

function along({ knots, levels }, x) {
  let k = 0;
  while (k < knots.length - 2 && x > knots[k + 1]) k += 1;
  return levels[k] + ((x - knots[k]) * (levels[k + 1] - levels[k])) / (knots[k + 1] - knots[k]);
}

// Little-endian float32 in base64.
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
