// What is asked on the page, kept in the address behind the #: it is never sent anywhere.

export function readState(fields) {
  if (location.hash.length < 2) return null;
  try {
    const found = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    if (!Array.isArray(found.candidates) || !found.candidates.length) return null;
    const known = new Set(fields.map((field) => field.source));
    const kept = (row) => Object.fromEntries(Object.entries(row).filter(([name]) => known.has(name)));
    const last = found.candidates.length - 1;
    return {
      context: kept(found.context ?? {}),
      candidates: found.candidates.map(kept),
      chosen: Math.min(Math.max(found.chosen | 0, 0), last),
      other: typeof found.other === "string" ? found.other : null,
      field: typeof found.field === "string" ? found.field : null,
    };
  } catch {
    return null;
  }
}

export function writeState(state) {
  const { context, candidates, chosen, other, field } = state;
  const text = encodeURIComponent(JSON.stringify({ context, candidates, chosen, other, field }));
  history.replaceState(null, "", `#${text}`);
}
