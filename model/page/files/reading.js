// Raw values to the one text form, or number, that the encoder of the service gives them.

const NUMBER = /^(-?)(?:(0|[1-9]\d*)(?:\.(\d*))?|()\.(\d+)|(\d)(?:\.(\d*))?[eE]([+-]?\d{1,3}))$/;
const NUMERIC = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const ISO = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?( ?(?:Z|z|UTC|[+-]\d\d(?::?\d\d)?))?)?$/;
// between thousands: every space that tools write there, and both apostrophes
const THOUSANDS = { " ": " \u00a0\u202f\u2009", "'": "'\u2019" };
const TIME_OF_DAY = /^(\d\d:\d\d:\d\d)\.(\d+)$/;
const EXACT_DIGITS = 15;
const UNITS = [[1e17, 1e9], [1e14, 1e6], [1e11, 1e3]];

export function canonical(value) {
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < 1e16 ? String(value === 0 ? 0 : value) : numberText(String(value)) ?? String(value);
  const text = plainText(value);
  if (/^[-.0-9]/.test(text)) return numberText(text) ?? momentText(text);
  const lower = text.toLowerCase();
  return lower === "true" || lower === "false" ? lower : text;
}

function plainText(text) {
  return text.trim().normalize("NFC");
}

function numberText(text) {
  const found = NUMBER.exec(text);
  if (!found) return null;
  const [, sign, first, decimals, , bare, mantissa, more, exponent] = found;
  let whole = first || "0";
  let fraction = decimals || bare || "";
  if (exponent !== undefined) {
    const power = Number(exponent);
    if (power < -324 || power > 308) return null;
    const digits = mantissa + (more || "");
    if (digits.length > EXACT_DIGITS && String(Number(text)) !== text) return numberText(String(Number(text)));
    const point = 1 + power;
    whole = point <= 0 ? "0" : digits.slice(0, point).padEnd(point, "0");
    fraction = point <= 0 ? "0".repeat(-point) + digits : digits.slice(point);
    whole = whole.replace(/^0+/, "") || "0";
  }
  fraction = fraction.replace(/0+$/, "");
  if (!fraction) return whole === "0" ? whole : sign + whole;
  const written = `${sign}${whole}.${fraction}`;
  if (exponent === undefined && whole.length + fraction.length > EXACT_DIGITS) {
    const shortest = String(Number(written));
    return shortest === written ? written : numberText(shortest);
  }
  return written;
}

function utc(found) {
  const [, date, minutes, seconds, , zone] = found;
  let at = Date.parse(`${date}T${minutes ?? "00:00"}${seconds ?? ":00"}Z`);
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== date) return NaN;
  const away = /^([+-])(\d\d):?(\d\d)?$/.exec((zone ?? "").trim());
  if (away) at -= (away[1] === "+" ? 1 : -1) * (Number(away[2]) * 60 + Number(away[3] ?? 0)) * 60000;
  return at;
}

function fractionOf(digits) {
  const kept = (digits ?? "").replace(/0+$/, "");
  return kept ? `.${kept}` : "";
}

function momentText(text) {
  const found = ISO.exec(text);
  if (!found) {
    const clock = TIME_OF_DAY.exec(text);
    return clock ? clock[1] + fractionOf(clock[2]) : text;
  }
  const at = utc(found);
  if (Number.isNaN(at)) return text;
  const [day, time] = new Date(at).toISOString().slice(0, 19).split("T");
  const fraction = fractionOf(found[4]);
  return time === "00:00:00" && !fraction ? day : `${day}T${time}${fraction}Z`;
}

// Milliseconds since 1970 of a moment; NaN of what is none.
export function momentOf(value) {
  let number = value;
  if (typeof value === "string") {
    const text = value.trim();
    const found = ISO.exec(text);
    if (found) return utc(found);
    if (!/^-?\d+(?:\.\d*)?$/.test(text)) return NaN;
    number = Number(text);
  }
  const unit = UNITS.find(([least]) => Math.abs(number) >= least)?.[1] ?? 1;
  return (number / unit) * 1000;
}

export function partOf(value, part) {
  const at = new Date(momentOf(value));
  const weekday = (at.getUTCDay() + 6) % 7;
  return { minute: at.getUTCMinutes(), hour: at.getUTCHours(), weekday: weekday + 1, hour_of_week: weekday * 24 + at.getUTCHours(), day: at.getUTCDate(), month: at.getUTCMonth() + 1 }[part];
}

// How one field reads its values.
export class Reading {
  constructor(how) {
    this.how = how;
    this.nulls = new Set(how.nulls);
    this.nullNumbers = new Set(how.null_numbers);
  }

  text(value) {
    if (value === null || value === undefined) return null;
    const text = this.how.as_text && typeof value === "string" ? plainText(value) : canonical(value);
    return this.nulls.has(text) ? null : text;
  }

  // NaN of what is no number; the service refuses it.
  number(value) {
    if (value === null || value === undefined) return null;
    let found = value;
    if (typeof value === "string") {
      const written = this.#written(value).trim();
      found = NUMERIC.test(written) ? Number(written) : NaN;
      if (Number.isNaN(found)) return this.nulls.has(canonical(value)) ? null : NaN;
    }
    return this.nullNumbers.has(found) ? null : found;
  }

  members(value) {
    if (value === null || value === undefined) return [];
    const list = Array.isArray(value) ? value : String(value).split(this.how.separator.trim() || this.how.separator);
    return list.filter((one) => one !== null && String(one).trim() !== "" && this.text(one) !== null);
  }

  #written(text) {
    const { thousands, decimal } = this.how;
    if (!thousands && decimal === ".") return text;
    const mark = thousands && `[${THOUSANDS[thousands] ?? thousands}]`;
    const point = decimal.replace(".", "\\.");
    const whole = mark ? `[0-9]{1,3}(?:${mark}[0-9]{3})+|[0-9]+` : "[0-9]+";
    if (!new RegExp(`^[+-]?(?:${whole})(?:${point}[0-9]*)?$`).test(text.trim())) return text;
    return (mark ? text.replace(new RegExp(mark, "g"), "") : text).replace(decimal, ".");
  }
}
