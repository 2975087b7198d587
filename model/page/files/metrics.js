// Prometheus' text format, as far as the model page reads it.

export function readMetrics(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    found.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return found;
}

export function total(metrics, name, wanted = {}) {
  const of = metrics.filter((one) => one.name === name && Object.entries(wanted).every(([key, value]) => one.labels[key] === value));
  return of.reduce((sum, one) => sum + one.value, 0);
}

// Seconds below which a share of a histogram's observations lie; null where there are none.
export function quantile(metrics, name, wanted, share) {
  const buckets = metrics
    .filter((one) => one.name === `${name}_bucket` && Object.entries(wanted).every(([key, value]) => one.labels[key] === value))
    .map((one) => [one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), one.value])
    .sort((a, b) => a[0] - b[0]);
  const all = buckets.at(-1)?.[1] ?? 0;
  if (!all) return null;
  return buckets.find(([, count]) => count >= share * all)[0];
}
