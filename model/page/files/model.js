// The model page: what is live, what it was trained to, and how it does.

import { byId, draw, make, number, scrolled, table } from "./dom.js";
import { fieldMap } from "./map.js";
import { quantile, readMetrics, total } from "./metrics.js";
import { percent, plain } from "./numbers.js";
import { Refused, Service } from "./service.js";

const STAGES = ["decode", "wait", "encode", "score", "write"];
const ROUTES = ["/predict", "/explain", "/whatif"];
const EVERY = 5000; // milliseconds from one look at the metrics to the next
const PAIRS = 20;

const service = new Service();

async function start() {
  try {
    const facts = await service.get("model/facts");
    byId("key").hidden = byId("fault").hidden = true;
    show(facts);
    await showHealth();
    byId("page").hidden = false;
  } catch (error) {
    refused(error);
  }
}

function refused(error) {
  const asksForKey = error instanceof Refused && (error.status === 401 || error.status === 403);
  byId("key").hidden = !asksForKey;
  byId("fault").hidden = false;
  byId("fault").textContent = `${error.message}.`;
  byId("what").textContent = "";
}

function show(facts) {
  const { model, version, net, created, task, private: hidden } = facts;
  byId("what").textContent = `Model ${model}, version ${version}, net ${net}, task ${task}, fitted ${created.slice(0, 16).replace("T", " ")}.`;
  byId("foot").textContent = hidden ? `${hidden} private ${hidden === 1 ? "field is" : "fields are"} left out.` : "";
  byId("fields").replaceChildren(fieldsTable(facts));
  byId("answers").replaceChildren(...histogram(facts.histogram, task));
  byId("pairs").replaceChildren(...pairMaps(facts.pairs));
  byId("pairs-table").replaceChildren(...pairsTable(facts.pairs));
  byId("report").replaceChildren(...report(facts));
  byId("versions").replaceChildren(...versions(facts));
}

function fieldsTable({ fields }) {
  const rows = fields.map((one) => [
    make("th", { scope: "row" }, one.name),
    one.kind,
    one.role,
    number(one.values === null ? "–" : one.values.toLocaleString("en")),
    number(percent(one.held_out?.unknown, 1)),
    number(percent(one.recent?.unknown, 1)),
    number(percent(one.held_out?.missing, 1)),
    number(percent(one.recent?.missing, 1)),
  ]);
  const heads = ["field", "kind", "role", "values known", "unknown, held out", "unknown, recent", "missing, held out", "missing, recent"];
  return scrolled("Fields", table("Fields, and the rows in which a value is unknown or missing", heads, rows));
}

function histogram({ edges, held_out: held, recent, rows, recent_rows: count }, task) {
  const shown = (value) => (task === "click" ? percent(value) : plain(value, 3));
  const most = Math.max(...held, ...(recent ?? []), 1e-9);
  const width = 600 / held.length;
  const bars = held.flatMap((share, i) => {
    const bar = (value, kind, left) => draw("rect", { class: kind, x: i * width + left, y: 120 - (116 * value) / most, width: width / 2 - 1, height: (116 * value) / most });
    return [bar(share, "start", 0), ...(recent ? [bar(recent[i], "plus", width / 2 - 1)] : [])];
  });
  const cells = held.map((share, i) => [
    make("th", { scope: "row" }, `${shown(edges[i])} to ${shown(edges[i + 1] ?? edges[i])}`),
    number(percent(share, 1)),
    number(recent ? percent(recent[i], 1) : "–"),
  ]);
  return [
    draw("svg", { class: "curve", viewBox: "0 0 600 122", role: "img", "aria-label": "Shares of the rows by answer; the table has them" }, ...bars),
    make("p", { class: "legend" }, make("span", { class: "key start" }), ` ${rows} held-out rows `, make("span", { class: "key plus" }), recent ? ` ${count} rows asked of this worker lately` : " no request of late"),
    make("details", {}, make("summary", {}, "As a table"), scrolled("Answers", table("Shares of the rows by answer", ["answer", "held out", "recent"], cells))),
  ];
}

function pairMaps(pairs) {
  if (pairs === null) return [make("p", {}, "This net is no sum over pairs: there is none to show.")];
  const at = new Map(pairs.names.map((name, i) => [name, i]));
  const of = (values) => (one, other) => values[at.get(one)][at.get(other)] || null;
  const say = (text) => (byId("cell").textContent = text);
  const drawn = (title, kind, values, text) => make("figure", {}, make("figcaption", {}, title), fieldMap(pairs.names, of(values), { title, kind, text, own: false, say }));
  return [
    drawn("Mean absolute contribution", "plus", pairs.contribution, (value) => `contribution ${plain(value, 3)}`),
    pairs.attention ? drawn("Mean attention", "attention", pairs.attention, (value) => `attention ${percent(value)}`) : make("p", {}, "This net has no attention."),
  ];
}

function pairsTable(pairs) {
  if (pairs === null) return [];
  const found = [];
  pairs.names.forEach((one, i) => pairs.names.forEach((other, j) => j <= i && pairs.contribution[i][j] && found.push([`${one} × ${other}`, pairs.contribution[i][j], pairs.attention?.[i][j]])));
  found.sort((a, b) => b[1] - a[1]);
  const rows = found.slice(0, PAIRS).map(([name, contribution, attention]) => [make("th", { scope: "row" }, name), number(plain(contribution, 4)), number(percent(attention))]);
  const heads = ["fields", "mean absolute contribution", "mean attention"];
  return [make("details", {}, make("summary", {}, "As a table"), scrolled("Pairs of fields", table(`Of ${pairs.rows} held-out rows, the ${rows.length} largest of ${found.length}`, heads, rows)))];
}

function report({ metrics, warnings, changes }) {
  const parts = Object.keys(metrics);
  const names = [...new Set(parts.flatMap((part) => Object.keys(metrics[part])))];
  const shown = (value) => (typeof value === "number" ? (Number.isInteger(value) ? value.toLocaleString("en") : plain(value, 4)) : "–");
  const rows = names.map((name) => [make("th", { scope: "row" }, name), ...parts.map((part) => number(shown(metrics[part][name]))), ...(changes ? parts.map((part) => number(shown(changes.metrics[part]?.[name]))) : [])]);
  const heads = ["metric", ...parts, ...(changes ? parts.map((part) => `${part}, version before`) : [])];
  const said = warnings.map((text) => make("li", {}, text));
  return [scrolled("Metrics", table("When it was fitted", heads, rows)), said.length ? make("ul", { class: "cut" }, ...said) : make("p", {}, "Its fit warned of nothing.")];
}

function versions({ versions: records, active, version, refused: barred, changes, redis }) {
  const found = [];
  if (barred) found.push(make("p", { class: "cut" }, `Refused: ${barred.version} (${barred.code}): ${barred.reason}`));
  if (changes) {
    const sizes = Object.entries(changes.values).map(([name, [old, now]]) => `${name} ${old ?? "–"} → ${now ?? "–"} values`);
    const said = [
      ...(changes.added.length ? [`new fields: ${changes.added.join(", ")}`] : []),
      ...(changes.removed.length ? [`fields gone: ${changes.removed.join(", ")}`] : []),
      ...sizes,
    ];
    found.push(make("p", {}, `Since version ${changes.version} (${changes.net}): ${said.join("; ") || "the same fields and vocabularies"}.`));
  } else {
    found.push(make("p", {}, "This worker holds no other version to compare with."));
  }
  if (!records) return [...found, make("p", { class: "cut" }, `Redis says no versions: ${redis}`)];
  const rows = records.map((one) => [
    make("th", { scope: "row" }, one.version, one.version === version ? make("span", { class: "mark" }, "live here") : null, one.version === active && active !== version ? make("span", { class: "mark unknown" }, "active") : null),
    one.net,
    one.created.slice(0, 16).replace("T", " "),
    one.published.slice(0, 16).replace("T", " "),
  ]);
  return [...found, scrolled("Versions", table("Published", ["version", "net", "fitted", "published"], rows))];
}

async function showHealth() {
  const metrics = readMetrics(await service.text("metrics"));
  const ms = (seconds) => (seconds === null ? "–" : seconds === Infinity ? "over 5 s" : `${(1000 * seconds).toLocaleString("en")} ms`);
  const stages = STAGES.map((stage) => [
    make("th", { scope: "row" }, stage),
    number(total(metrics, "afm_stage_duration_seconds_count", { stage }).toLocaleString("en")),
    number(ms(quantile(metrics, "afm_stage_duration_seconds", { stage }, 0.5))),
    number(ms(quantile(metrics, "afm_stage_duration_seconds", { stage }, 0.99))),
  ]);
  const routes = ROUTES.map((route) => [
    make("th", { scope: "row" }, route),
    number(total(metrics, "afm_request_duration_seconds_count", { route }).toLocaleString("en")),
    number(ms(quantile(metrics, "afm_request_duration_seconds", { route }, 0.5))),
    number(ms(quantile(metrics, "afm_request_duration_seconds", { route }, 0.99))),
  ]);
  const heads = ["", "requests", "half are below", "99 % are below"];
  const counts = [
    ["rows scored", total(metrics, "afm_rows_total")],
    ["requests refused in overload (shed)", total(metrics, "afm_shed_total")],
    ["answers that took values for unknown (degraded)", total(metrics, "afm_degraded_total")],
    ["keys that no field names", total(metrics, "afm_ignored_keys_total")],
    ["workers with this version live", total(metrics, "afm_live_version")],
    ["Redis", total(metrics, "afm_redis_up") ? "reached" : "not reached"],
  ].map(([name, value]) => [make("th", { scope: "row" }, name), number(value.toLocaleString("en"))]);
  byId("health").replaceChildren(
    scrolled("Counts", table("Of all workers, since they started", ["what", "count"], counts)),
    scrolled("Latency by route", table("Latency by route", ["route", ...heads.slice(1)], routes)),
    scrolled("Latency by stage", table("Latency by stage", ["stage", ...heads.slice(1)], stages)),
  );
}

byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  service.withKey(byId("key-text").value.trim());
  byId("key-text").value = "";
  start();
});
start();
setInterval(() => document.hidden || byId("page").hidden || showHealth().catch(refused), EVERY);
